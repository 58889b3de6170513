"""A keyed shuffle without a table: where each position goes, one position at a time."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import jax
import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.rng.generator import random_bits

_ROUNDS = 24


def permuted(key: jax.Array, positions: jax.typing.ArrayLike, n: SupportsIndex | jax.Array) -> jax.Array:
    """Returns the indices at some positions of a random order of range(n), without making the whole order.

    The swap-or-not shuffle of Hoang, Morris and Rogaway ("An Enciphering Scheme Based on a Card Shuffle", CRYPTO 2012):
    a round pairs x with K - x modulo n, and a coin that belongs to the pair says whether the two change places. The
    coins are the top bits of a multiply-add hash, independent for any two pairs (Dietzfelbinger, "Universal Hashing and
    k-wise Independent Random Variables via Integer Arithmetic without Primes", STACS 1996). A bijection for every key
    and n, in O(1) memory and in constant time, so that lanes with different keys never wait for one another.

    Args:
      key: a typed key, []; the same key gives the same order. Of any generator: the rounds draw from the cheap one.
      positions: whole numbers from 0 to n - 1, any shape.
      n: how many there are, from 1 to 2**31 - 1; may be an array, int [], traced or not, and is then not checked.

    Returns:
      Indices from 0 to n - 1, int32, of the shape of `positions`.

    Raises:
      ArgumentError: `n` is out of range, or `n` or `positions` are not whole numbers.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> order = permuted(jax.random.key(0), jnp.arange(10), 10)
      >>> sorted(order.tolist()) == list(range(10))
      True
    """
    size = _size(n)
    x = jnp.asarray(positions)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ArgumentError(f"The positions of a shuffle are whole numbers; an array of {x.dtype} was given.")
    words = random_bits(jax.random.key_data(key).ravel()[:2], 32, (3, _ROUNDS))

    def change_places(x: jax.Array, words: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        pairing, multiplier, offset = words
        difference = pairing - x
        partner = jnp.minimum(difference, difference + size)
        coin = jnp.maximum(x, partner) * multiplier + offset >> 31
        return jnp.where(coin == 1, partner, x), None

    # A loop, not unrolled: XLA on a CPU vectorizes one round, and runs a chain of them four times as slowly.
    x, _ = jax.lax.scan(change_places, x.astype(jnp.uint32), (_below(words[0], size), words[1], words[2]))
    return x.astype(jnp.int32)


def _size(n: SupportsIndex | jax.Array) -> int | jax.Array:
    if isinstance(n, jax.Array) and jnp.issubdtype(n.dtype, jnp.integer) and n.shape == ():
        return n.astype(jnp.uint32)
    try:
        size = operator.index(n)
    except TypeError:
        raise ArgumentError(f"The n of a shuffle is a whole number; {n!r} was given.") from None
    if not 1 <= size < 2**31:
        raise ArgumentError(f"A shuffle has from 1 to 2**31 - 1 elements; n = {size} was given.")
    return size


def _below(words: jax.Array, n: int | jax.Array) -> jax.Array:
    """Scales random words to range(n): the high half of the product, from halves, as 64-bit integers may be off."""
    low, high = words & 0xFFFF, words >> 16
    n_low, n_high = n & 0xFFFF, n >> 16
    middle = (low * n_low >> 16) + (high * n_low & 0xFFFF) + (low * n_high & 0xFFFF)
    return (middle >> 16) + (high * n_low >> 16) + (low * n_high >> 16) + high * n_high
