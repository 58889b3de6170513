"""A packed convolutional network for flax.nnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.nn.activations import activation as function_of
from vtune.nn.convolution import equal_stages, pooled, strides_of
from vtune.nn.nnx.convolution import Conv
from vtune.nn.nnx.dropout import Dropout
from vtune.nn.nnx.held import held, released, size_of
from vtune.nn.nnx.linear import Linear
from vtune.nn.nnx.norm import norm_layer


class CNN(nnx.Module):
    """A convolutional network in which everything may be a hyperparameter, all of it in one program.

    Each stage has `depth` convolutions. The first one of every later stage halves the resolution and doubles the
    channels. Convolution j of stage i is `conv_i_j` (a `Conv`), then `norm_i_j`, the activation and `dropout_i_j`. A
    mean over all positions follows, and the layer `out`. Keys come from `rngs.fork()`, those of `out` first and then
    one fork a stage, so that no param's values depend on how many layers there are.

    Args:
      in_features: number of input channels: an int or a hyperparameter.
      features: channels of the first stage: an int or a hyperparameter.
      depth: convolutions of each stage: an int or a hyperparameter. A trial has no weights beyond its own depth.
      out: number of outputs; None for no last layer.
      stages: how many stages there are.
      kernel_size: of the windows, one number a spatial axis.
      activation: a name of `vtune.nn.activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout after each convolution, in training: a number or a hyperparameter.
      norm: None, "layer", "rms" or "batch": what normalises before the activation.
      pool: "mean" or "max" over all positions.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> model = vnnx.CNN(1, features=8, depth=1, out=3, stages=2, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((4, 8, 8, 1))).shape, model.conv_1_0.kernel.shape
      ((4, 3), (3, 3, 8, 16))
    """

    def __init__(
        self,
        in_features: Any,
        *,
        features: Any,
        depth: Any,
        out: Any = None,
        stages: int = 1,
        kernel_size: Sequence[int] = (3, 3),
        activation: Any = "relu",
        dropout: Any = 0.0,
        norm: Any = None,
        pool: str = "mean",
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
    ):
        types = {"dtype": dtype, "param_dtype": param_dtype}
        init = {"kernel_init": kernel_init, "bias_init": bias_init, **types}
        rngs, size = rngs.fork(), size_of(in_features)
        layers = equal_stages(features, depth, stages)
        if out is not None:
            last = [stage[0].features for stage in layers if stage] or [size]
            self.out = Linear(last[-1], out, rngs=rngs, **init)
        for stage, convolutions in enumerate(layers):
            keys = rngs.fork()
            for at, layer in enumerate(convolutions):
                name, inputs = f"{stage}_{at}", layer.features if at else size
                strides = strides_of(stage, at)
                convolution = Conv(inputs, layer.features, kernel_size, strides, rngs=keys, **init)
                setattr(self, f"conv_{name}", convolution)
                setattr(self, f"norm_{name}", norm_layer(norm, layer.features, **types))
                setattr(self, f"dropout_{name}", Dropout(dropout, layer.features, rngs=keys))
            size = convolutions[0].features if convolutions else size
        self.active = tuple(tuple(held(layer.active) for layer in stage) for stage in layers)
        self.activation, self.pool, self.kernel_size = function_of(activation), pool, tuple(kernel_size)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., *space, inputs] to [..., out], or to [..., features of the last stage] without a last layer."""
        for stage, layers in enumerate(self.active):
            for at, active in enumerate(map(released, layers)):
                name = f"{stage}_{at}"
                y, norm = getattr(self, f"conv_{name}")(x), getattr(self, f"norm_{name}")
                y = y if norm is None else norm(y)
                y = getattr(self, f"dropout_{name}")(self.activation(y))
                x = y if active is True else jnp.where(active, y, x)
        x = pooled(self.pool, x, self.kernel_size)
        return self.out(x) if hasattr(self, "out") else x
