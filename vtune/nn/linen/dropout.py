"""Packed `Dropout` for flax.linen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen

from vtune.hyper import Size
from vtune.nn.dropout import dropout, never_drops
from vtune.nn.linen.params import inputs_of


class Dropout(linen.Module):
    """`flax.linen.Dropout` for packed inputs: the mask is that of the network without padding.

    Attributes:
      rate: the part that is zeroed: a number, or a hyperparameter, of which nothing is asked, so that 0 and 1 share the
        program of the others.
      broadcast_dims: axes along which the mask is the same.
      deterministic: True to leave inputs as they are.
      rng_collection: name of the stream that keys come from.
      inputs: number of features, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> x = jnp.ones((2, 4))
      >>> vnn.Dropout(0.5).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(1)}).tolist()
      [[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 2.0]]
    """

    rate: Any
    broadcast_dims: Sequence[int] = ()
    deterministic: bool | None = None
    rng_collection: str = "dropout"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array, deterministic: bool | None = None) -> jax.Array:
        """Drops a part of the inputs, [..., features], unless it is deterministic."""
        off = linen.merge_param("deterministic", self.deterministic, deterministic)
        if off or never_drops(self.rate):
            return x
        axes = {axis % x.ndim for axis in self.broadcast_dims}
        lengths = [Size(length, length) for length in x.shape[:-1]] + [inputs_of(self, x, self.inputs)]
        sizes = [Size(1, 1) if axis in axes else size for axis, size in enumerate(lengths)]
        return dropout(x, self.rate, self.make_rng(self.rng_collection), sizes)
