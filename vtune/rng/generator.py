"""A counter-based generator that XLA fuses into what consumes it, as an implementation of JAX's typed keys.

A training step with dropout draws millions of bits. JAX's default generator, Threefry, is a loop of its own on a CPU
and takes a third to a half of a small network's step; here a word is a dozen integer operations, which disappear into
the elementwise code around them. Every word is a pure function of (key, index): a draw under `vmap` is bit for bit the
draw alone. One hash a word is faster than joining the three words of a hash, as the concatenation ends the fusion
(`experiments/bench_rng.py` compares the published candidates).

Jarzynski and Olano's hashes were made for shaders. As published, the highest bits of their input never reach the low
bits of their output, and the first output word is the weakest: its low bits are correlated from one index to the next
and between keys that differ in high bits (`tests/test_rng_statistics.py` finds both). Hence the last word, a shift
after the last round too, a third round where keys are made, and a hash of the key before it meets the index.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable

import jax
import jax.numpy as jnp
from jax.extend import random as extend_random

from vtune.errors import ArgumentError

_MULTIPLIER = 1664525
_INCREMENT = 1013904223
_SEED, _SPLIT, _FOLD_IN, _BITS = range(1, 5)


@functools.cache
def implementation(name: str) -> Hashable:
    """Returns the generator of that name, to be passed as `jax.random.key(seed, impl=...)`.

    "pcg" hashes (key, index) with PCG3D and derives keys with PCG4D (Jarzynski and Olano, "Hash Functions for GPU
    Rendering", JCGT 2020), strengthened where the published hashes leave low bits weak; its keys are 64 bits.
    "threefry" is JAX's own (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). Neither is meant
    for cryptography. One draw of "pcg" has at most 2**32 elements.

    Args:
      name: "pcg" or "threefry".

    Returns:
      What `jax.random.key` and `jax.random.wrap_key_data` take as `impl`.

    Raises:
      ArgumentError: there is no generator of that name.

    Example:
      >>> import jax
      >>> key = jax.random.key(0, impl=implementation("pcg"))
      >>> jax.random.bernoulli(key, 0.5, (32, 64)).shape
      (32, 64)
    """
    if name == "threefry":
        return "threefry2x32"
    if name == "pcg":
        return extend_random.define_prng_impl(
            key_shape=(2,),
            seed=_seed,
            split=_split,
            random_bits=random_bits,
            fold_in=_fold_in,
            name="vtune_pcg",
            tag="pcg",
        )
    raise ArgumentError(
        f'A random generator is "pcg" or "threefry"; {name!r} was given. Pass "pcg" unless you need the bits of JAX.'
    )


def _seed(seed: jax.Array) -> jax.Array:
    wide = seed.dtype.itemsize == 8
    high = jax.lax.shift_right_logical(seed, jnp.asarray(32, seed.dtype)) if wide else jnp.zeros_like(seed)
    return _derive(seed.astype(jnp.uint32), high.astype(jnp.uint32), 0, _SEED)


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return _derive(key[0], key[1], _indices(shape), _SPLIT)


def _fold_in(key: jax.Array, data: jax.Array | int) -> jax.Array:
    return _derive(key[0], key[1], data, _FOLD_IN)


def random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    """The bits of the generator "pcg" for the two words of a key: uint{bit_width} of that shape."""
    return indexed_bits(draw_seeds(key), bit_width, _indices(shape))


def draw_seeds(key: jax.Array) -> jax.Array:
    """What all elements of a draw with the generator "pcg" share, uint32[2]."""
    return _derive(key[0], key[1], 0, _BITS)


def indexed_bits(seeds: jax.Array, bit_width: int, index: jax.Array) -> jax.Array:
    """What `random_bits` has at these flat positions of a shape, uint32: uint{bit_width} of the same shape."""
    low, high = _hash_index(index, seeds[0], seeds[1])
    if bit_width == 64:
        return high.astype(jnp.uint64) << 32 | low.astype(jnp.uint64)
    return (high >> (32 - bit_width)).astype(f"uint{bit_width}")


def _indices(shape: tuple[int, ...]) -> jax.Array:
    size = math.prod(shape)
    if size > 2**32:
        raise ArgumentError(
            f'One draw of the generator "pcg" has at most 2**32 elements; the shape {shape} has {size}. '
            "Split the key and draw in parts."
        )
    return jax.lax.iota(jnp.uint32, size).reshape(shape)


def _hash_index(index: jax.Array, k0: jax.Array, k1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two words an index: PCG3D, and the shift once more, without which low bits never see all high bits."""
    x, y, z = (v * _MULTIPLIER + _INCREMENT for v in (index, k0, k1))
    x, y, z = (v ^ v >> 16 for v in _mix3(x, y, z))
    _, y, z = _mix3(x, y, z)
    return y ^ y >> 16, z ^ z >> 16


def _mix3(x: jax.Array, y: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    x = x + y * z
    y = y + z * x
    z = z + x * y
    return x, y, z


def _derive(a: jax.Array, b: jax.Array, data: jax.Array | int, domain: int) -> jax.Array:
    """Keys of (key, data), apart for each domain: PCG4D with a third round, as data may differ in one bit."""
    words = jnp.broadcast_arrays(data, a, b, domain)
    x, y, z, w = (v.astype(jnp.uint32) * _MULTIPLIER + _INCREMENT for v in words)
    for _ in range(3):
        x = x + y * w
        y = y + z * x
        z = z + x * y
        w = w + y * z
        x, y, z, w = (v ^ v >> 16 for v in (x, y, z, w))
    return jnp.stack([x, y], axis=-1)
