"""A keyed shuffle without a table: where each position goes, one position at a time."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import ArgumentError

_ROUNDS = 24
_MIX1, _MIX2 = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)


def permuted(key: jax.Array, positions: jax.Array, n: int) -> jax.Array:
    """Returns the indices at some positions of a random order of range(n), without making the whole order.

    The swap-or-not shuffle of Hoang, Morris and Rogaway ("An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012):
    a round pairs x with K - x modulo n and a keyed hash of the pair says whether they change places. A bijection for
    every n and key, in O(1) memory and in constant time, so that lanes with different keys never wait for one another.

    Args:
      key: a typed key, []: the same key gives the same order.
      positions: whole numbers from 0 to n - 1, any shape.
      n: how many there are, from 1 to 2**31 - 1; static.

    Returns:
      Indices from 0 to n - 1, int32, of the shape of `positions`.

    Raises:
      ArgumentError: `n` is out of range, or `positions` are not whole numbers.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> order = permuted(jax.random.key(0), jnp.arange(10), 10)
      >>> sorted(order.tolist()) == list(range(10))
      True
    """
    if not 1 <= n < 2**31:
        raise ArgumentError(f"A shuffle has from 1 to 2**31 - 1 elements; n = {n} was given.")
    x = jnp.asarray(positions)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ArgumentError(f"The positions of a shuffle are whole numbers; an array of {x.dtype} was given.")
    x = x.astype(jnp.uint32)
    words = jax.random.bits(key, (2, _ROUNDS), jnp.uint32)
    for shift, word in zip(_below(words[0], n), words[1], strict=True):
        partner = jnp.where(x > shift, shift + n, shift) - x
        x = jnp.where(_coin(jnp.maximum(x, partner), word), partner, x)
    return x.astype(jnp.int32)


def _coin(x: jax.Array, word: jax.Array) -> jax.Array:
    h = (x ^ word) * _MIX1
    h = (h ^ h >> 15) * _MIX2
    return h >> 31 == 1


def _below(words: jax.Array, n: int) -> jax.Array:
    """Scales random words to range(n): the high half of the product, from halves, as 64-bit integers may be off."""
    low, high = words & 0xFFFF, words >> 16
    n_low, n_high = n & 0xFFFF, n >> 16
    middle = (low * n_low >> 16) + (high * n_low & 0xFFFF) + (low * n_high & 0xFFFF)
    return (middle >> 16) + (high * n_low >> 16) + (low * n_high >> 16) + high * n_high
