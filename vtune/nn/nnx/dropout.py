"""Packed `Dropout` for flax.nnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from flax import nnx

from vtune.errors import ArgumentError
from vtune.hyper import Size
from vtune.nn.dropout import dropout, never_drops
from vtune.nn.nnx.held import held, kept, released, size_of


class Dropout(nnx.Dropout):
    """`flax.nnx.Dropout` for packed inputs: the mask is that of the network without padding.

    Args:
      rate: the part that is zeroed: a number, or a hyperparameter, of which nothing is asked, so that 0 and 1 share the
        program of the others.
      num_features: length of the last axis: an int or a hyperparameter, or whole-number arithmetic on some.
      broadcast_dims: axes along which the mask is the same.
      deterministic: True to leave inputs as they are; set by `.train()` and `.eval()`.
      rng_collection: name of the stream that keys come from.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> layer = vnnx.Dropout(0.5, 4, rngs=nnx.Rngs(0))
      >>> layer(jnp.ones((2, 4))).shape, layer(jnp.ones((1, 4)), deterministic=True).tolist()
      ((2, 4), [[1.0, 1.0, 1.0, 1.0]])
    """

    def __init__(
        self,
        rate: Any,
        num_features: Any,
        *,
        broadcast_dims: Sequence[int] = (),
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ):
        super().__init__(
            held(rate),
            broadcast_dims=tuple(broadcast_dims),
            deterministic=deterministic,
            rng_collection=rng_collection,
            rngs=rngs,
        )
        self.size = kept(size_of(num_features))

    def __call__(self, inputs: jax.Array, *, deterministic: bool | None = None, rngs: Any = None) -> jax.Array:
        """Drops a part of the inputs, [..., features], unless it is deterministic.

        Args:
          inputs: what is dropped from.
          deterministic: True to leave them as they are; what the layer was told if None.
          rngs: streams, a stream or a key; the layer's own stream if None.
        """
        rate = released(self.rate)
        off = self.deterministic if deterministic is None else deterministic
        if off is None:
            raise ArgumentError(
                "Dropout needs to know whether to drop; it was told neither when it was made nor when it was called. "
                "Call .train() or .eval() on the model, or pass deterministic."
            )
        if off or never_drops(rate):
            return inputs
        axes = {axis % inputs.ndim for axis in self.broadcast_dims}
        lengths = [*(Size(length, length) for length in inputs.shape[:-1]), size_of(self.size)]
        sizes = [Size(1, 1) if axis in axes else size for axis, size in enumerate(lengths)]
        return dropout(inputs, rate, self._key(self.rngs if rngs is None else rngs), sizes)

    def _key(self, source: Any) -> jax.Array:
        if source is None:
            raise ArgumentError("Dropout needs keys; it was given no rngs, neither when made nor when called.")
        if isinstance(source, nnx.Rngs):
            return source[self.rng_collection]()
        return source() if isinstance(source, nnx.RngStream) else source
