"""Random numbers by position: single elements of a draw, without the draw.

A padded array draws the same numbers as the unpadded one, if each of its elements draws what lies at its position in
the unpadded array. Here a position becomes a part of the key: a key that holds (key, position) draws one word, the one
that `jax.random.bits` has there. All of `jax.random` that needs one word an element then works on it as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jax.extend import random as extend_random

from vtune.errors import ArgumentError
from vtune.rng.generator import draw_seeds, implementation, indexed_bits

_GENERATORS = ("pcg", "threefry")


def bits_at(key: jax.Array, positions: Any, dtype: Any = "uint32") -> jax.Array:
    """Returns the bits that a draw with this key has at these positions, whatever its shape.

    Args:
      key: a typed key of a generator of `implementation`, [].
      positions: flat positions in the draw, in row-major order, of any shape; may be traced. Taken as uint32.
      dtype: of the bits: unsigned integers.

    Returns:
      `jax.random.bits(key, (n,), dtype)[positions]` for any n larger than the positions; of the positions' shape.

    Raises:
      ArgumentError: the key is no single typed key of "pcg" or "threefry", or `jax_threefry_partitionable` is off.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune.rng import implementation
      >>> key = jax.random.key(0, impl=implementation("pcg"))
      >>> bool((bits_at(key, jnp.array([7, 2])) == jax.random.bits(key, (10,))[jnp.array([7, 2])]).all())
      True
    """
    generator, words, positions = _parts(key, positions)
    return _BITS[generator](words, jnp.iinfo(dtype).bits, positions)


def keys_at(key: jax.Array, positions: Any) -> jax.Array:
    """Returns a key for each position of a draw: what it draws is what the whole draw has there.

    Args:
      key: a typed key of a generator of `implementation`, [].
      positions: flat positions in the draw, in row-major order, of any shape; may be traced. Taken as uint32.

    Returns:
      Typed keys of the positions' shape, for draws that need one word an element (`uniform`, `normal`, `bernoulli`,
      `truncated_normal`, `gumbel`, ...) under `each`. They cannot be split, and their second element is their first.

    Raises:
      ArgumentError: the key is no single typed key of "pcg" or "threefry", or `jax_threefry_partitionable` is off.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> key = jax.random.key(0)
      >>> normals = each(keys_at(key, jnp.arange(3)), jax.random.normal)
      >>> bool((normals == jax.random.normal(key, (5,))[:3]).all())
      True
    """
    generator, words, positions = _parts(key, positions)
    parts = [jnp.broadcast_to(word, positions.shape) for word in (words[0], words[1])]
    return jax.random.wrap_key_data(jnp.stack([*parts, positions], axis=-1), impl=_at_position(generator))


def each(keys: jax.Array, draw: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Returns what every key draws, of the keys' shape.

    Args:
      keys: typed keys of any shape.
      draw: of one key, to a scalar.
    """
    return jax.vmap(draw)(keys.reshape(-1)).reshape(keys.shape)


def _parts(key: Any, positions: Any) -> tuple[str, jax.Array, jax.Array]:
    """The generator, what all elements of a draw share, uint32[2], and the positions as uint32."""
    generator = _generator(key)
    words = jax.random.key_data(key)
    return generator, draw_seeds(words) if generator == "pcg" else words, jnp.asarray(positions).astype(jnp.uint32)


def _generator(key: Any) -> str:
    if not (isinstance(key, jax.Array) and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)) or key.shape:
        raise ArgumentError(
            f"Drawing by position needs one typed key, as vtune.rng.key or jax.random.key give it; {key!r} was given."
        )
    found = jax.random.key_impl(key)
    for name in _GENERATORS:
        if found == implementation(name):
            break
    else:
        raise ArgumentError(
            f"Drawing by position needs a key of the generator {' or '.join(_GENERATORS)}; it is of {found}. "
            'Make it with jax.random.key(seed, impl=vtune.rng.implementation("pcg")).'
        )
    if name == "threefry" and not getattr(jax.config, "jax_threefry_partitionable", True):
        raise ArgumentError(
            "Drawing by position with the generator threefry needs jax_threefry_partitionable, as what is drawn "
            'depends on the shape without it; it is off. Leave it on, which is JAX\'s default, or use "pcg".'
        )
    return name


@functools.cache
def _at_position(generator: str) -> Hashable:
    def random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
        return jnp.broadcast_to(_BITS[generator](key, bit_width, key[2]), shape)

    def refuse(*_: Any) -> NoReturn:
        raise ArgumentError("The key of a position draws one word; it cannot be seeded, split or folded into.")

    return extend_random.define_prng_impl(
        key_shape=(3,),
        seed=refuse,
        split=refuse,
        random_bits=random_bits,
        fold_in=refuse,
        name=f"vtune_{generator}_at_position",
        tag=f"{generator}_at",
    )


def _threefry_bits(key: jax.Array, bit_width: int, index: jax.Array) -> jax.Array:
    """JAX's partitionable draw: the counter is the 64-bit position."""
    zeros = index - index  # under vmap too as long as the index: the primitive does not broadcast lanes
    high, low = extend_random.threefry2x32_p.bind(key[0] + zeros, key[1] + zeros, zeros, index)
    if bit_width == 64:
        return high.astype(jnp.uint64) << 32 | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{bit_width}")


_BITS = {"pcg": indexed_bits, "threefry": _threefry_bits}
"""Generator -> (what the draw shares, bit width, positions) -> bits."""
