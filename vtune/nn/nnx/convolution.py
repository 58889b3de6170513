"""Packed `Conv` for flax.nnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from vtune.nn.convolution import drawn, kernel_sizes
from vtune.nn.nnx.held import kept, size_of
from vtune.nn.sizes import masked


class Conv(nnx.Conv):
    """A convolution, channels last; `flax.nnx.Conv` whose numbers of features may be hyperparameters.

    Args:
      in_features: number of input channels: an int or a hyperparameter, or whole-number arithmetic on some.
      out_features: number of output channels, the same.
      kernel_size: of the window, one number a spatial axis.
      strides: steps of the window.
      feature_group_count: groups of channels that do not mix; 1 where channels are packed.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for the bias.
      rngs: streams of keys.
      **options: those of `flax.nnx.Conv`: padding, use_bias, dtype, param_dtype, precision and others.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> layer = vnnx.Conv(1, 4, (3, 3), rngs=nnx.Rngs(0))
      >>> layer.kernel.shape, layer(jnp.ones((2, 8, 8, 1))).shape
      ((3, 3, 1, 4), (2, 8, 8, 4))
    """

    def __init__(
        self,
        in_features: Any,
        out_features: Any,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] | None = 1,
        *,
        feature_group_count: int = 1,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
        **options: Any,
    ):
        inputs, features = size_of(in_features), size_of(out_features)
        super().__init__(
            inputs.cap,
            features.cap,
            kernel_size,
            strides,
            feature_group_count=feature_group_count,
            kernel_init=drawn(kernel_init, kernel_sizes(kernel_size, inputs, features, feature_group_count)),
            bias_init=drawn(bias_init, (features,)),
            rngs=rngs,
            **options,
        )
        self.in_size, self.out_size = kept(inputs), kept(features)

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Convolves [..., *space, inputs]; returns [..., *space, features]."""
        y = super().__call__(masked(inputs, (size_of(self.in_size),)), out_sharding)
        return masked(y, (size_of(self.out_size),))
