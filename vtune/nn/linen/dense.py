"""Packed `Dense` for flax.linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.nn.dense import dense
from vtune.nn.linen.params import inputs_of, param, produced, size_of


class Dense(linen.Module):
    """A linear map of the last axis; `flax.linen.Dense` whose number of features may be a hyperparameter.

    Attributes:
      features: number of outputs: an int or a hyperparameter, or whole-number arithmetic on some.
      use_bias: whether to add a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of kernel and bias.
      precision: of the matrix product, see `jax.lax.Precision`.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for the bias.
      inputs: number of inputs, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> variables = vnn.Dense(4).init(jax.random.key(0), jnp.ones((2, 3)))
      >>> jax.tree.map(jnp.shape, variables["params"])
      {'bias': (4,), 'kernel': (3, 4)}
    """

    features: Any
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [..., inputs] to [..., features]; both are padded where they are packed."""
        inputs, features = inputs_of(self, x, self.inputs), size_of(self.features)
        kernel = param(self, "kernel", self.kernel_init, (inputs, features), self.param_dtype)
        bias = param(self, "bias", self.bias_init, (features,), self.param_dtype) if self.use_bias else None
        y = dense(x, kernel, bias, inputs, features, dtype=self.dtype, precision=self.precision)
        return produced(self, y, features)
