"""A packed convolutional network for flax.linen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.nn.activations import activation
from vtune.nn.convolution import equal_stages, pooled, strides_of
from vtune.nn.linen.convolution import Conv
from vtune.nn.linen.dense import Dense
from vtune.nn.linen.dropout import Dropout
from vtune.nn.linen.norm import normalised
from vtune.nn.linen.params import inputs_of, produced


class CNN(linen.Module):
    """A convolutional network in which everything may be a hyperparameter, all of it in one program.

    Each stage has `depth` convolutions. The first one of every later stage halves the resolution and doubles the
    channels. Convolution j of stage i is `conv_i_j` (a `Conv`), then `norm_i_j`, the activation and `dropout_i_j`. A
    mean over all positions follows, and the layer `out`. Params lie at `conv_0_0/kernel`, `norm_0_0/scale`,
    `out/kernel` and so on.

    Attributes:
      features: channels of the first stage: an int or a hyperparameter.
      depth: convolutions of each stage: an int or a hyperparameter. A trial has no weights beyond its own depth.
      out: number of outputs; None for no last layer.
      stages: how many stages there are.
      kernel_size: of the windows, one number a spatial axis.
      activation: a name of `activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout after each convolution, in training: a number or a hyperparameter.
      norm: None, "layer", "rms" or "batch": what normalises before the activation.
      pool: "mean" or "max" over all positions.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      inputs: number of input channels, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> variables = vnn.CNN(features=8, depth=1, out=3, stages=2).init(jax.random.key(0), jnp.ones((4, 8, 8, 1)))
      >>> {name: layer["kernel"].shape for name, layer in variables["params"].items()}
      {'conv_0_0': (3, 3, 1, 8), 'conv_1_0': (3, 3, 8, 16), 'out': (16, 3)}
    """

    features: Any
    depth: Any
    out: Any = None
    stages: int = 1
    kernel_size: Sequence[int] = (3, 3)
    activation: Any = "relu"
    dropout: Any = 0.0
    norm: Any = None
    pool: str = "mean"
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps [..., *space, inputs] to [..., out], or to [..., features of the last stage] without a last layer.

        Args:
          x: inputs.
          train: whether dropout drops, and batch norm normalises by the batch.
        """
        size, function = inputs_of(self, x, self.inputs), activation(self.activation)
        given = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = {"kernel_init": self.kernel_init, "bias_init": self.bias_init, **given}
        for stage, layers in enumerate(equal_stages(self.features, self.depth, self.stages)):
            for at, layer in enumerate(layers):
                name, inputs = f"{stage}_{at}", layer.features if at else size
                strides = strides_of(stage, at)
                y = Conv(layer.features, self.kernel_size, strides, inputs=inputs, name=f"conv_{name}", **init)(x)
                y = function(normalised(self.norm, y, train, name=f"norm_{name}", inputs=layer.features, **given))
                y = Dropout(self.dropout, name=f"dropout_{name}", inputs=layer.features)(y, deterministic=not train)
                x = layer.chosen(y, x) if at else y
            size = layers[0].features if layers else size
        x = pooled(self.pool, x, self.kernel_size)
        return produced(self, x, size) if self.out is None else Dense(self.out, inputs=size, name="out", **init)(x)
