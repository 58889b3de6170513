"""Random arrays with padded axes: the true block is what `jax.random` draws for an array of the true shape.

Every element draws at its flat position in the true array. So a padded layer starts from the very values of the small
network, and a trial does not depend on how far its arrays are padded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vtune.hyper import Size
from vtune.nn.sizes import masked
from vtune.rng.bits import bits_at, each, keys_at

_MANTISSA = 23


def positions(sizes: Sequence[Size]) -> jax.Array:
    """Returns the flat position of each element in the array without padding, in row-major order.

    Args:
      sizes: of the axes.

    Returns:
      uint32 `[caps]`. Padding has positions of other elements, or none: mask what is drawn there.

    Example:
      >>> positions((Size(2, 2), Size(3, 3))).tolist()
      [[0, 1, 2], [3, 4, 5]]
    """
    shape, stride = tuple(size.cap for size in sizes), jnp.uint32(1)
    found = jnp.zeros(shape, jnp.uint32)
    for axis in reversed(range(len(shape))):
        found += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * stride
        stride *= jnp.asarray(sizes[axis].value).astype(jnp.uint32)
    return found


def uniform(
    key: jax.Array, sizes: Sequence[Size], dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0
) -> jax.Array:
    """Returns `jax.random.uniform` of the true shape, and zeros around it.

    Args:
      key: a typed key of "pcg" or "threefry", [].
      sizes: of the axes.
      dtype: a floating type.
      minval: smallest value, [].
      maxval: values are below it, [].

    Returns:
      `[caps]`.

    Raises:
      ArgumentError: an axis is packed and the key is of another generator.

    Example:
      >>> uniform(jax.random.key(0), (Size(2, 2), Size(3, 3))).shape
      (2, 3)
    """
    return _drawn(key, sizes, lambda one, shape: jax.random.uniform(one, shape, dtype, minval, maxval))


def normal(key: jax.Array, sizes: Sequence[Size], dtype: Any = float) -> jax.Array:
    """Returns `jax.random.normal` of the true shape, and zeros around it.

    Args:
      key: a typed key of "pcg" or "threefry", [].
      sizes: of the axes.
      dtype: a floating type.

    Returns:
      `[caps]`.

    Raises:
      ArgumentError: an axis is packed and the key is of another generator.

    Example:
      >>> normal(jax.random.key(0), (Size(2, 2), Size(3, 3))).shape
      (2, 3)
    """
    return _drawn(key, sizes, lambda one, shape: jax.random.normal(one, shape, dtype))


def truncated_normal(key: jax.Array, lower: Any, upper: Any, sizes: Sequence[Size], dtype: Any = float) -> jax.Array:
    """Returns `jax.random.truncated_normal` of the true shape, and zeros around it.

    Args:
      key: a typed key of "pcg" or "threefry", [].
      lower: values are above it, [].
      upper: values are below it, [].
      sizes: of the axes.
      dtype: a floating type.

    Returns:
      `[caps]`.

    Raises:
      ArgumentError: an axis is packed and the key is of another generator.

    Example:
      >>> bool((abs(truncated_normal(jax.random.key(0), -2, 2, (Size(9, 9),))) < 2).all())
      True
    """
    return _drawn(key, sizes, lambda one, shape: jax.random.truncated_normal(one, lower, upper, shape, dtype))


def bernoulli(key: jax.Array, p: Any, sizes: Sequence[Size]) -> jax.Array:
    """Returns `jax.random.bernoulli` of the true shape, and False around it.

    Args:
      key: a typed key of "pcg" or "threefry", [].
      p: probability of True, [].
      sizes: of the axes.

    Returns:
      bool `[caps]`.

    Raises:
      ArgumentError: an axis is packed and the key is of another generator.

    Example:
      >>> bernoulli(jax.random.key(0), 0.5, (Size(2, 2), Size(3, 3))).shape
      (2, 3)
    """
    if jnp.result_type(p) != jnp.float32 or not any(size.packed for size in sizes):
        return _drawn(key, sizes, lambda one, shape: jax.random.bernoulli(one, p, shape))
    drawn = bits_at(key, positions(sizes)) >> (32 - _MANTISSA)  # what jax.random.uniform makes its fraction of
    return masked(drawn.astype(jnp.float32) < p * 2.0**_MANTISSA, sizes)


def _drawn(key: jax.Array, sizes: Sequence[Size], draw: Callable[[jax.Array, tuple[int, ...]], jax.Array]) -> jax.Array:
    if not any(size.packed for size in sizes):
        return draw(key, tuple(size.cap for size in sizes))
    return masked(each(keys_at(key, positions(sizes)), lambda one: draw(one, ())), sizes)
