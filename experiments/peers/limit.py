"""The distance to the limit: nothing but the matrix products of a training step, on every core, for as many steps.

Forward, gradients of the weights and of the hidden activations of the 2x64 network: no dropout, no optimizer, no loss,
no data. Blocks of several widths are tried, and the fastest counts.
"""

from __future__ import annotations

import functools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
from peers.problem import Settings

INPUTS, HIDDEN, CLASSES = 64, 64, 10
WIDTHS = (8, 16, 32, 64)


@functools.partial(jax.jit, static_argnums=2)
def products(weights, x, steps: int):
    """The eight batched products of a step, each step's weight gradients being the next one's weights."""

    def step(weights, _):
        w0, w1, w2 = weights
        h1 = x @ w0
        h2 = h1 @ w1
        out = h2 @ w2
        d2 = jnp.einsum("lbo,lio->lbi", out, w2)
        d1 = jnp.einsum("lbo,lio->lbi", d2, w1)
        pairs = ((x, d1), (h1, d2), (h2, out))
        return tuple(jnp.einsum("lbi,lbo->lio", inputs, gradient) for inputs, gradient in pairs), None

    return jax.lax.scan(step, weights, None, length=steps)[0]


def seconds_a_trial(settings: Settings) -> float:
    """Wall seconds that the products of one trial take, with all cores busy."""
    threads = os.cpu_count() or 1
    fastest = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for lanes in WIDTHS:
            x = jnp.zeros((lanes, settings.batch, INPUTS))
            shapes = ((INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, CLASSES))
            weights = tuple(jnp.zeros((lanes, *shape)) for shape in shapes)
            run = functools.partial(products, weights, x, settings.steps)
            jax.block_until_ready(run())
            for _ in range(3):
                start = time.perf_counter()
                jax.block_until_ready([future.result() for future in [pool.submit(run) for _ in range(threads)]])
                fastest = min(fastest, (time.perf_counter() - start) / (threads * lanes))
    return fastest
