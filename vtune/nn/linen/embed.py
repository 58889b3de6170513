"""Packed `Embed` for flax.linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.errors import ArgumentError
from vtune.nn.linen.params import param, produced, size_of
from vtune.nn.sizes import masked


class Embed(linen.Module):
    """A vector for each of some whole numbers; `flax.linen.Embed` whose features may be a hyperparameter.

    Attributes:
      num_embeddings: how many vectors: an int or a hyperparameter.
      features: length of each: an int or a hyperparameter, or whole-number arithmetic on some.
      dtype: of the result; that of the params if None.
      param_dtype: of the vectors.
      embedding_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> layer, tokens = vnn.Embed(10, 4), jnp.array([[1, 2, 3]])
      >>> layer.init_with_output(jax.random.key(0), tokens)[0].shape
      (1, 3, 4)
    """

    num_embeddings: Any
    features: Any
    dtype: Any = None
    param_dtype: Any = jnp.float32
    embedding_init: Any = "embedding"

    @linen.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Gives [...] whole numbers their vectors, [..., features]."""
        if not jnp.issubdtype(tokens.dtype, jnp.integer):
            raise ArgumentError(f"Embed takes whole numbers; an array of {tokens.dtype} was given.")
        count, features = size_of(self.num_embeddings), size_of(self.features)
        vectors = param(self, "embedding", self.embedding_init, (count, features), self.param_dtype)
        if self.dtype is not None:
            vectors = vectors.astype(self.dtype)
        return produced(self, masked(jnp.take(vectors, tokens, axis=0), (features,)), features)
