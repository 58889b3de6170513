"""An expert's compromise: draw the structure once for a batch of trials, and vmap over all that need not recompile."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from peers import structure_problem
from peers.generator import PCG
from peers.problem import Batch
from peers.structure_outcome import Outcome
from peers.structure_problem import Settings

LANES = 32


def search(settings: Settings, train: Batch, valid: Batch, *, threads: int = 1) -> Outcome:
    """Blocks of 32 trials that share layers, width, activation, initializer, optimizer and batch size.

    Another search than the others': 256 trials try 8 structures. Blocks run on host threads if asked.
    """
    table = structure_problem.drawn(settings.trials)
    kept: dict[tuple, jax.stages.Wrapped] = {}

    def program(config):
        def one(hp, trial, train, valid):
            init_key, run_key = jax.random.split(jax.random.key(trial, impl=PCG))
            params = structure_problem.initial(config, init_key)
            return structure_problem.whole_run(config, settings.steps)(hp, params, run_key, train, valid)

        return jax.jit(jax.vmap(one, in_axes=(0, 0, None, None)))

    def scores(first: int) -> np.ndarray:
        block = table[first : first + LANES]
        structure = tuple(block[0][name] for name in structure_problem.CHOICES)
        run = kept.setdefault(structure, program(block[0]))
        hp = jax.tree.map(lambda *column: np.stack(column), *map(structure_problem.values, block))
        trials = np.arange(first, first + len(block), dtype=np.uint32)
        return np.asarray(run(hp, trials, train, valid))[:, 0]

    blocks = range(0, settings.trials, LANES)
    with ThreadPoolExecutor(threads) as pool:
        found = np.concatenate(list(pool.map(scores, blocks)))
    return Outcome(found.tolist(), facts={"structures": len(kept)})


DRIVERS = {
    "by hand, 32 a structure": search,
    "by hand, 32 a structure, a thread a core": functools.partial(search, threads=os.cpu_count() or 1),
}
