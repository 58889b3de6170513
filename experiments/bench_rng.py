"""What random bits cost inside vmapped training steps: published generators, and the keyed shuffle against plain draws.

Every candidate is timed in turn within one round, and the ratios to vtune's generator are medians over rounds, as
machines drift. Times are those of the processor, all threads together: what else the machine does counts little.
usage: python experiments/bench_rng.py [--rounds 7] [--only [NAME ...]]        writes experiments/results/rng.json
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend import random as extend_random

from vtune.rng import implementation, permuted

LANES, BATCH, WIDTH, EXAMPLES, STEPS = 32, 64, 64, 1437, 50
RESULTS = Path(__file__).parent / "results" / "rng.json"
Words = Sequence[jax.Array]
U32 = np.uint32


def pcg3d(words: Words, rounds: int = 2) -> Words:
    """Jarzynski and Olano, Hash Functions for GPU Rendering, JCGT 2020."""
    x, y, z = (v * 1664525 + 1013904223 for v in words)
    for i in range(rounds):
        if i:
            x, y, z = (v ^ v >> 16 for v in (x, y, z))
        x = x + y * z
        y = y + z * x
        z = z + x * y
    return x, y, z


def pcg4d(words: Words, rounds: int = 2) -> Words:
    """The same source."""
    x, y, z, w = (v * 1664525 + 1013904223 for v in words)
    for i in range(rounds):
        if i:
            x, y, z, w = (v ^ v >> 16 for v in (x, y, z, w))
        x = x + y * w
        y = y + z * x
        z = z + x * y
        w = w + y * z
    return x, y, z, w


def philox(words: Words, k0: jax.Array, k1: jax.Array, rounds: int) -> Words:
    """Philox-4x32: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011."""
    a, b, c, d = words
    m0, m1 = U32(0xD2511F53), U32(0xCD9E8D57)
    for _ in range(rounds):
        high0, low0 = jax.lax.mulhi(a, jnp.full_like(a, m0)), a * m0
        high1, low1 = jax.lax.mulhi(c, jnp.full_like(c, m1)), c * m1
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = k0 + U32(0x9E3779B9), k1 + U32(0xBB67AE85)
    return a, b, c, d


def threefry(a: jax.Array, b: jax.Array, k0: jax.Array, k1: jax.Array, rounds: int) -> Words:
    """Threefry-2x32, unrolled: the same source as Philox."""
    keys = (k0, k1, k0 ^ k1 ^ U32(0x1BD11BDA))
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    a, b = a + k0, b + k1
    for i in range(rounds):
        a = a + b
        b = (b << rotations[i % 8] | b >> 32 - rotations[i % 8]) ^ a
        if i % 4 == 3:
            j = i // 4 + 1
            a, b = a + keys[j % 3], b + keys[(j + 1) % 3] + U32(j)
    return a, b


def add64(a: Words, b: Words) -> Words:
    low = a[0] + b[0]
    return low, a[1] + b[1] + (low < a[0]).astype(jnp.uint32)


def square64(a: Words) -> Words:
    return a[0] * a[0], jax.lax.mulhi(a[0], a[0]) + 2 * a[0] * a[1]


def squares(index: jax.Array, k0: jax.Array, k1: jax.Array) -> jax.Array:
    """Squares32: Widynski, Squares: A Fast Counter-Based RNG, 2020; 64-bit products from 32-bit halves."""
    low_key, high_key = k0 | 1, k1
    wide_key = jnp.broadcast_to(low_key, index.shape)
    y = (index * low_key, jax.lax.mulhi(index, wide_key) + index * high_key)
    z = add64(y, (wide_key, jnp.broadcast_to(high_key, index.shape)))
    x = add64(square64(y), y)[::-1]
    x = add64(square64(x), z)[::-1]
    x = add64(square64(x), y)[::-1]
    return add64(square64(x), z)[1]


def shifted(words: Words) -> Words:
    """Lets the low half of each word see the high half."""
    return tuple(v ^ v >> 16 for v in words)


def each(word: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]) -> Callable[[jax.Array, int], jax.Array]:
    """One hash an element: nothing but elementwise work, which XLA fuses into what consumes it."""
    return lambda key, size: word(jax.lax.iota(jnp.uint32, size), key[0], key[1])


def blocks(
    words: Callable[[jax.Array, jax.Array, jax.Array], Words], count: int
) -> Callable[[jax.Array, int], jax.Array]:
    """One hash for `count` elements, joined: fewer hashes, but the concatenation ends a fusion."""

    def draw(key: jax.Array, size: int) -> jax.Array:
        out = words(jax.lax.iota(jnp.uint32, -(-size // count)), key[0], key[1])
        return jnp.concatenate(out)[:size]

    return draw


def like(index: jax.Array, *words: jax.Array | int) -> Words:
    return tuple(jnp.broadcast_to(jnp.asarray(w, jnp.uint32), index.shape) for w in words)


CANDIDATES: dict[str, Callable[[jax.Array, int], jax.Array]] = {
    "pcg3d, x": each(lambda i, a, b: pcg3d((i, a, b))[0]),
    "pcg3d, z shifted": each(lambda i, a, b: shifted(pcg3d((i, a, b)))[2]),
    "pcg3d 3 rounds, z shifted": each(lambda i, a, b: shifted(pcg3d((i, a, b), 3))[2]),
    "pcg3d, 2 of 3 words joined": blocks(lambda i, a, b: shifted(pcg3d((i, *like(i, a, b))))[1:], 2),
    "pcg3d, 3 words joined": blocks(lambda i, a, b: shifted(pcg3d((i, *like(i, a, b)))), 3),
    "pcg4d, w shifted": each(lambda i, a, b: shifted(pcg4d((i, a, b, jnp.uint32(4))))[3]),
    "pcg4d 3 rounds, w shifted": each(lambda i, a, b: shifted(pcg4d((i, a, b, jnp.uint32(4)), 3))[3]),
    "pcg4d, 4 words joined": blocks(lambda i, a, b: shifted(pcg4d((i, *like(i, a, b, 4)))), 4),
    "philox4x32-7, 1 word": each(lambda i, a, b: philox((i, *like(i, 0, 0, 4)), a, b, 7)[0]),
    "philox4x32-7, 4 words joined": blocks(lambda i, a, b: philox((i, *like(i, 0, 0, 4)), a, b, 7), 4),
    "philox4x32-10, 4 words joined": blocks(lambda i, a, b: philox((i, *like(i, 0, 0, 4)), a, b, 10), 4),
    "squares32": each(squares),
    "threefry2x32-13 unrolled, 1 word": each(lambda i, a, b: threefry(i, jnp.zeros_like(i), a, b, 13)[0]),
    "threefry2x32-20 unrolled, 2 words joined": blocks(lambda i, a, b: threefry(i, *like(i, 0), a, b, 20), 2),
}


OF_JAX = {"philox2x32 of jax": "philox2x32", "philox4x32 of jax": "philox4x32", "threefry4x32 of jax": "threefry4x32"}


@functools.cache
def generator(name: str):
    """The implementation of a candidate: its bits, and the same PCG4D keys for all, so that only the bits differ."""
    if name in OF_JAX:
        return OF_JAX[name]
    if name in ("pcg", "threefry"):
        return implementation(name)

    def derive(a, b, data, domain):
        return jnp.stack(shifted(pcg4d(like(jnp.zeros(jnp.shape(data)), data, a, b, domain), 3))[:2], axis=-1)

    return extend_random.define_prng_impl(
        key_shape=(2,),
        seed=lambda s: derive(s.astype(jnp.uint32), 0, 0, 1),
        split=lambda k, shape: derive(k[0], k[1], jnp.arange(math.prod(shape)).reshape(shape), 2),
        fold_in=lambda k, data: derive(k[0], k[1], data, 3),
        random_bits=lambda k, width, shape: CANDIDATES[name](k, math.prod(shape)).reshape(shape),
        name=name,
    )


def lane_keys(name: str) -> jax.Array:
    base = jax.random.key(0, impl=generator(name))
    return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.arange(LANES))


def mask_loop(keys: jax.Array, x: jax.Array) -> jax.Array:
    """Dropout of [LANES, BATCH, WIDTH] alone, STEPS times."""

    def body(t, x):
        def drop(key, x):
            return jnp.where(jax.random.bernoulli(jax.random.fold_in(key, t), 0.9, x.shape), x * 1.001, 0.5)

        return jax.vmap(drop)(keys, x)

    return jax.lax.fori_loop(0, STEPS, body, x)


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.Dropout(0.1, deterministic=False)(nn.relu(nn.Dense(WIDTH)(x)))
        return nn.Dense(10)(x)


def train_loop(keys: jax.Array, data: tuple[jax.Array, jax.Array]) -> jax.Array:
    """STEPS steps of a 2x64 network with two flax Dropouts, in every lane; the batches cost no draws."""
    x, y = data
    optimizer = optax.adamw(1e-3)

    def lane(key):
        params = MLP().init({"params": jax.random.fold_in(key, 0), "dropout": key}, x[:1])

        def body(t, carry):
            params, state = carry
            start = t * BATCH % (EXAMPLES - BATCH)
            xb, yb = (jax.lax.dynamic_slice_in_dim(v, start, BATCH) for v in (x, y))

            def loss(params):
                logits = MLP().apply(params, xb, rngs={"dropout": jax.random.fold_in(key, t)})
                return optax.softmax_cross_entropy_with_integer_labels(logits, yb).mean()

            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state

        params, _ = jax.lax.fori_loop(0, STEPS, body, (params, optimizer.init(params)))
        return sum(p.sum() for p in jax.tree.leaves(params))

    return jax.vmap(lane)(keys)


def batch_loop(draw: Callable[[jax.Array, jax.Array], jax.Array], keys: jax.Array) -> jax.Array:
    """The indices of a batch in every lane, STEPS times."""

    def body(t, total):
        return total + jax.vmap(lambda key: draw(key, t))(keys)

    return jax.lax.fori_loop(0, STEPS, body, jnp.zeros((LANES, BATCH), jnp.int32))


def shuffled(key: jax.Array, t: jax.Array) -> jax.Array:
    return permuted(key, (t * BATCH + jnp.arange(BATCH)) % EXAMPLES, EXAMPLES)


def drawn(key: jax.Array, t: jax.Array) -> jax.Array:
    return jax.random.randint(jax.random.fold_in(key, t), (BATCH,), 0, EXAMPLES)


def permuted_each_step(key: jax.Array, t: jax.Array) -> jax.Array:
    return jax.random.permutation(jax.random.fold_in(key, t), EXAMPLES)[:BATCH]


def compare(runs: dict[str, tuple[Callable, tuple]], rounds: int) -> dict[str, dict[str, float]]:
    """Compiles each run, then times all of them in turn; the median of the ratios to the first."""
    compiled, seconds, compile_seconds = {}, {name: [] for name in runs}, {}
    function, args = next(iter(runs.values()))
    jax.jit(lambda *args: function(*args)).lower(*args).compile()  # what the first compilation starts is no candidate's
    for name, (function, args) in runs.items():
        start = time.process_time()
        compiled[name] = jax.jit(function).lower(*args).compile()
        compile_seconds[name] = time.process_time() - start
        jax.block_until_ready(compiled[name](*args))
    for _ in range(rounds):
        for name, (_, args) in runs.items():
            start = time.process_time()
            jax.block_until_ready(compiled[name](*args))
            seconds[name].append(time.process_time() - start)
    first = next(iter(runs))
    return {
        name: {
            "us_per_lane_step": statistics.median(values) / STEPS / LANES * 1e6,
            "ratio": statistics.median(a / b for a, b in zip(values, seconds[first], strict=True)),
            "compile_seconds": compile_seconds[name],
        }
        for name, values in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=None)
    options = parser.parse_args()
    names = ["pcg", "threefry", *(options.only if options.only is not None else (*OF_JAX, *CANDIDATES))]
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(LANES, BATCH, WIDTH)), jnp.float32)
    data = jnp.asarray(random.normal(size=(EXAMPLES, 64)), jnp.float32), jnp.asarray(random.integers(0, 10, EXAMPLES))
    batches = {"permuted": shuffled, "randint": drawn, "permutation": permuted_each_step}
    report = {
        "machine": {"processor": platform.machine(), "device": jax.devices()[0].platform, "jax": jax.__version__},
        "sizes": {"lanes": LANES, "batch": BATCH, "width": WIDTH, "examples": EXAMPLES, "steps": STEPS},
        "dropout of [lanes, 64, 64]": compare({n: (mask_loop, (lane_keys(n), x)) for n in names}, options.rounds),
        "training step, 2x64 MLP": compare({n: (train_loop, (lane_keys(n), data)) for n in names}, options.rounds),
        "indices of a batch": compare(
            {
                f"{draw}, {rng}": (functools.partial(batch_loop, batches[draw]), (lane_keys(rng),))
                for rng in ("pcg", "threefry")
                for draw in batches
            },
            options.rounds,
        ),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    for title, rows in list(report.items())[2:]:
        print(title)
        for name, row in rows.items():
            print(f"  {name:42s}{row['us_per_lane_step']:9.2f} us{row['ratio']:8.2f}x{row['compile_seconds']:8.2f} s")


if __name__ == "__main__":
    main()
