"""Dropout whose mask is that of the network without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vtune.hyper import Hyper, Size
from vtune.nn.draws import bernoulli


def dropout(x: jax.Array, rate: Any, key: jax.Array, sizes: Sequence[Size]) -> jax.Array:
    """Zeroes a random part of an array and scales up the rest (Srivastava et al., 2014).

    Args:
      x: inputs, [caps].
      rate: the part that is zeroed, from 0 to 1; may be a hyperparameter, of which nothing is asked.
      key: a typed PRNG key.
      sizes: of the axes of `x`, one each; a plain 1 for an axis along which the mask is the same.

    Returns:
      [caps]. Bit for bit what `flax.linen.Dropout` gives for the array without padding and the same key.

    >>> from vtune.hyper import packed_size
    >>> x = jnp.ones((2, 8))
    >>> dropout(x, 0.5, jax.random.key(0), [packed_size(2), packed_size(8)]).tolist()[0]
    [0.0, 0.0, 2.0, 2.0, 0.0, 2.0, 2.0, 0.0]
    """
    keep = 1.0 - rate
    mask = jnp.broadcast_to(bernoulli(key, _tracer(keep), sizes), x.shape)
    never_zero = jnp.where(_tracer(keep) > 0, _tracer(keep), 1.0).astype(x.dtype)
    return jnp.where(mask, x / never_zero, jnp.zeros((), x.dtype))


def never_drops(rate: Any) -> bool:
    """Whether a rate is a plain zero, for which Flax asks for no key."""
    return isinstance(rate, int | float) and rate == 0


def _tracer(number: Any) -> Any:
    return number.tracer if isinstance(number, Hyper) else number
