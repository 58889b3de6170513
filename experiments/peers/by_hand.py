"""Sweeps without a tuner: by hand, vmap, the same on two threads, and loops over single trials."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from peers import problem
from peers.generator import PCG
from peers.problem import Batch, Settings


def expert(settings: Settings, train: Batch, valid: Batch, *, lanes: int, threads: int = 1) -> list[float]:
    """A vmapped whole run over blocks of configurations, with a cheap generator; blocks on host threads if asked."""
    hp = problem.stack(problem.configs(settings.trials))
    trials = np.arange(settings.trials, dtype=np.uint32)
    one = problem.whole_run(settings)

    @jax.jit
    def run(hp, trials, train, valid):
        return jax.vmap(lambda hp, trial: one(hp, jax.random.key(trial, impl=PCG), train, valid))(hp, trials)

    def arguments(first):
        part = slice(first, first + lanes)
        return {name: column[part] for name, column in hp.items()}, trials[part], train, valid

    blocks = [arguments(first) for first in range(0, settings.trials, lanes)]
    compiled = run.lower(*blocks[0]).compile()

    def score(block):
        return np.asarray((compiled if len(block[1]) == len(blocks[0][1]) else run)(*block))[:, -1, 0]

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(score, blocks))).tolist()


def loop_of_runs(settings: Settings, train: Batch, valid: Batch) -> list[float]:
    """One whole run after another, compiled once with the values as arguments."""
    one = problem.whole_run(settings)
    run = jax.jit(lambda hp, trial, train, valid: one(hp, jax.random.key(trial, impl=PCG), train, valid))
    table = enumerate(problem.configs(settings.trials))
    return [float(run(hp, np.uint32(i), train, valid)[-1, 0]) for i, hp in table]


def loop_of_steps(settings: Settings, train: Batch, valid: Batch) -> list[float]:
    """One trial after another, a step jitted once and called from the host; the state is donated, the data stay put."""

    @jax.jit
    def start(hp, trial, train):
        init_key, batch_key, dropout_key = jax.random.split(jax.random.key(trial, impl=PCG), 3)
        return problem.start(settings, hp, init_key, train), batch_key, dropout_key

    @functools.partial(jax.jit, donate_argnums=1)
    def step(hp, state, batch_key, dropout_key, number, train):
        index = jax.random.randint(jax.random.fold_in(batch_key, number), (settings.batch,), 0, len(train[0]))
        key = jax.random.fold_in(dropout_key, number)
        return problem.step(settings, hp, state, key, train[0][index], train[1][index])[0]

    evaluate = jax.jit(functools.partial(problem.evaluate, settings))

    def trial(i: int, hp: dict[str, float]) -> float:
        hp = {name: np.float32(value) for name, value in hp.items()}
        state, batch_key, dropout_key = start(hp, np.uint32(i), train)
        for number in range(settings.steps):
            state = step(hp, state, batch_key, dropout_key, np.uint32(number), train)
            if (number + 1) % settings.eval_every == 0:
                scores = np.asarray(evaluate(state, train, valid))
        return float(scores[0])

    return [trial(i, hp) for i, hp in enumerate(problem.configs(settings.trials))]


DRIVERS = {
    "by hand, vmap over 32": functools.partial(expert, lanes=32),
    "by hand, vmap over 64": functools.partial(expert, lanes=64),
    "by hand, vmap over 16, a thread a core": functools.partial(expert, lanes=16, threads=os.cpu_count() or 1),
    "a loop over jitted runs": loop_of_runs,
    "a loop over jitted steps": loop_of_steps,
}
