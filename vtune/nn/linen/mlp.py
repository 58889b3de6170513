"""A packed multi-layer perceptron for flax.linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.hyper import Size
from vtune.nn.activations import activation
from vtune.nn.depth import equal_layers
from vtune.nn.linen.dense import Dense
from vtune.nn.linen.dropout import Dropout
from vtune.nn.linen.norm import normalised
from vtune.nn.linen.params import inputs_of, produced


class MLP(linen.Module):
    """A multi-layer perceptron in which everything may be a hyperparameter, all of it in one program.

    Hidden layer i is `hidden_i` (a `Dense`), then `norm_i`, the activation and `dropout_i`; the last layer is `out`.
    Params lie at `hidden_0/kernel`, `hidden_0/bias`, `norm_0/scale`, `out/kernel` and so on.

    Attributes:
      features: units of each hidden layer: an int or a hyperparameter.
      depth: number of hidden layers: an int or a hyperparameter. A trial has no weights beyond its own depth.
      out: number of outputs; None for no last layer.
      activation: a name of `activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout after each hidden layer, in training: a number or a hyperparameter.
      norm: what normalises the hidden layers, before their activation: None, "none", "layer", "rms" or "batch", or a
        hyperparameter that is a Choice of names.
      residual: whether hidden layers after the first add their inputs to their outputs.
      use_bias: whether layers have a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      inputs: number of inputs, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> variables = vnn.MLP(features=8, depth=2, out=3).init(jax.random.key(0), jnp.ones((4, 5)))
      >>> {name: layer["kernel"].shape for name, layer in variables["params"].items()}
      {'hidden_0': (5, 8), 'hidden_1': (8, 8), 'out': (8, 3)}
    """

    features: Any
    depth: Any
    out: Any = None
    activation: Any = "relu"
    dropout: Any = 0.0
    norm: Any = None
    residual: Any = False
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps [..., inputs] to [..., out], or to [..., features] without a last layer.

        Args:
          x: inputs.
          train: whether dropout drops, and batch norm normalises by the batch.
        """
        size, function = inputs_of(self, x, self.inputs), activation(self.activation)
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for at, layer in enumerate(equal_layers(self.features, self.depth)):
            y = self._dense(layer.features, f"hidden_{at}", size if at == 0 else layer.features)(x)
            y = function(normalised(self.norm, y, train, name=f"norm_{at}", inputs=layer.features, **types))
            y = Dropout(self.dropout, name=f"dropout_{at}", inputs=layer.features)(y, deterministic=not train)
            x = layer.chosen(x + y if self.residual and at else y, x) if at else y
            size = layer.features if at == 0 else size
        return produced(self, x, size) if self.out is None else self._dense(self.out, "out", size)(x)

    def _dense(self, features: Any, name: str, inputs: Size) -> Dense:
        return Dense(
            features,
            use_bias=self.use_bias,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
            inputs=inputs,
            name=name,
        )
