"""Packed `Linear` for flax.nnx."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from vtune.nn.convolution import drawn
from vtune.nn.nnx.held import kept, size_of
from vtune.nn.sizes import masked


class Linear(nnx.Linear):
    """A linear map of the last axis; `flax.nnx.Linear` whose numbers of features may be hyperparameters.

    Args:
      in_features: number of inputs: an int or a hyperparameter, or whole-number arithmetic on some.
      out_features: number of outputs, the same.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for the bias.
      rngs: streams of keys.
      **options: those of `flax.nnx.Linear`: use_bias, dtype, param_dtype, precision and others.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> layer = vnnx.Linear(3, 4, rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((2, 3))).shape
      ((3, 4), (2, 4))
    """

    def __init__(
        self,
        in_features: Any,
        out_features: Any,
        *,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
        **options: Any,
    ):
        inputs, features = size_of(in_features), size_of(out_features)
        super().__init__(
            inputs.cap,
            features.cap,
            kernel_init=drawn(kernel_init, (inputs, features)),
            bias_init=drawn(bias_init, (features,)),
            rngs=rngs,
            **options,
        )
        self.in_size, self.out_size = kept(inputs), kept(features)

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Maps [..., inputs] to [..., features]; both are padded where they are packed."""
        y = super().__call__(masked(inputs, (size_of(self.in_size),)), out_sharding)
        return masked(y, (size_of(self.out_size),))
