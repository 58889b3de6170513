"""A packed multi-layer perceptron for flax.nnx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.nn.activations import activation as function_of
from vtune.nn.depth import equal_layers
from vtune.nn.nnx.dropout import Dropout
from vtune.nn.nnx.held import held, released, size_of
from vtune.nn.nnx.linear import Linear
from vtune.nn.nnx.norm import norm_layer


class MLP(nnx.Module):
    """A multi-layer perceptron in which everything may be a hyperparameter, all of it in one program.

    Hidden layer i is `hidden_i` (a `Linear`), then `norm_i`, the activation and `dropout_i`; the last layer is `out`.
    Params lie at `hidden_0/kernel`, `hidden_0/bias`, `norm_0/scale`, `out/kernel` and so on. Keys come from
    `rngs.fork()`, those of `out` first and none for norms, so that no param's values depend on the other layers.

    Args:
      in_features: number of inputs: an int or a hyperparameter.
      features: units of each hidden layer: an int or a hyperparameter.
      depth: number of hidden layers: an int or a hyperparameter. A trial has no weights beyond its own depth.
      out: number of outputs; None for no last layer.
      activation: a name of `vtune.nn.activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout after each hidden layer, in training: a number or a hyperparameter.
      norm: what normalises the hidden layers, before their activation: None, "none", "layer", "rms" or "batch", or a
        hyperparameter that is a Choice of names.
      residual: whether hidden layers after the first add their inputs to their outputs.
      use_bias: whether layers have a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> model = vnnx.MLP(5, features=8, depth=2, out=3, rngs=nnx.Rngs(0))
      >>> model(jnp.ones((4, 5))).shape, model.hidden_1.kernel.shape, model.out.kernel.shape
      ((4, 3), (8, 8), (8, 3))
    """

    def __init__(
        self,
        in_features: Any,
        *,
        features: Any,
        depth: Any,
        out: Any = None,
        activation: Any = "relu",
        dropout: Any = 0.0,
        norm: Any = None,
        residual: Any = False,
        use_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
    ):
        types = {"dtype": dtype, "param_dtype": param_dtype}
        linear = {"use_bias": use_bias, "kernel_init": kernel_init, "bias_init": bias_init, **types}
        rngs, size = rngs.fork(), size_of(in_features)
        layers = equal_layers(features, depth)
        if out is not None:
            self.out = Linear(layers[0].features if layers else size, out, rngs=rngs, **linear)
        for at, layer in enumerate(layers):
            setattr(self, f"hidden_{at}", Linear(layer.features if at else size, layer.features, rngs=rngs, **linear))
            setattr(self, f"norm_{at}", norm_layer(norm, layer.features, **types))
            setattr(self, f"dropout_{at}", Dropout(dropout, layer.features, rngs=rngs))
        self.active = tuple(held(layer.active) for layer in layers)
        self.activation, self.residual = function_of(activation), bool(residual)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., inputs] to [..., out], or to [..., features] without a last layer."""
        for at, active in enumerate(map(released, self.active)):
            y, norm = getattr(self, f"hidden_{at}")(x), getattr(self, f"norm_{at}")
            y = y if norm is None else norm(y)
            y = getattr(self, f"dropout_{at}")(self.activation(y))
            y = x + y if self.residual and at else y
            x = y if active is True else jnp.where(active, y, x)
        return self.out(x) if hasattr(self, "out") else x
