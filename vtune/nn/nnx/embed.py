"""Packed `Embed` for flax.nnx."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from vtune.nn.convolution import drawn
from vtune.nn.nnx.held import kept, size_of
from vtune.nn.sizes import masked


class Embed(nnx.Embed):
    """A vector for each of some whole numbers; `flax.nnx.Embed` whose features may be a hyperparameter.

    Args:
      num_embeddings: how many vectors: an int or a hyperparameter.
      features: length of each: an int or a hyperparameter, or whole-number arithmetic on some.
      embedding_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      rngs: streams of keys.
      **options: those of `flax.nnx.Embed`: dtype, param_dtype and others.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> vnnx.Embed(10, 4, rngs=nnx.Rngs(0))(jnp.array([[1, 2, 3]])).shape
      (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: Any,
        features: Any,
        *,
        embedding_init: Any = "embedding",
        rngs: nnx.Rngs,
        **options: Any,
    ):
        count, size = size_of(num_embeddings), size_of(features)
        super().__init__(count.cap, size.cap, embedding_init=drawn(embedding_init, (count, size)), rngs=rngs, **options)
        self.count, self.size = kept(count), kept(size)

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Gives [...] whole numbers their vectors, [..., features]."""
        return masked(super().__call__(inputs, out_sharding), (size_of(self.size),))

    def attend(self, query: jax.Array, out_sharding: Any = None) -> jax.Array:
        """Multiplies [..., features] with every vector: [..., embeddings]."""
        scores = super().attend(masked(query, (size_of(self.size),)), out_sharding)
        return masked(scores, (size_of(self.count),))
