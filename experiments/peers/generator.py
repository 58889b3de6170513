"""Twenty lines that an expert adds to a vmapped sweep: a counter-based generator that XLA fuses into the dropout.

PCG3D: Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 2020.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.extend import random


def pcg3d(x, y, z):
    x, y, z = (jnp.asarray(v).astype(jnp.uint32) * 1664525 + 1013904223 for v in (x, y, z))
    for last in (False, True):
        x = x + y * z
        y = y + z * x
        z = z + x * y
        if not last:
            x, y, z = (v ^ v >> 16 for v in (x, y, z))
    return x, y, z


def derive(key, data, domain):
    x, y, _ = pcg3d(data, key[0] ^ jnp.uint32(domain), key[1])
    return jnp.stack([x, y], axis=-1)


def draw(key, bit_width, shape):
    _, _, z = pcg3d(jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape), key[0], key[1])
    return (z ^ z >> 16).astype(f"uint{bit_width}")


PCG = random.define_prng_impl(
    key_shape=(2,),
    seed=lambda seed: derive((seed.astype(jnp.uint32), jnp.uint32(0)), 0, 1),
    split=lambda key, shape: derive(key, jnp.arange(math.prod(shape)).reshape(shape), 2),
    fold_in=lambda key, data: derive(key, data, 3),
    random_bits=draw,
    name="peer_pcg3d",
    tag="peer",
)
