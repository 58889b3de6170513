"""hyperoptax: random search that vmaps the objective. It draws its own configurations, from the same distributions."""

from __future__ import annotations

import jax
import numpy as np
from peers import problem
from peers.problem import BOUNDS, Batch, Settings

LANES = 64


def search(settings: Settings, train: Batch, valid: Batch) -> list[float]:
    """`RandomSearch.optimize` over a jitted whole run."""
    from hyperoptax.random import RandomSearch
    from hyperoptax.spaces import LinearSpace, LogSpace

    run = jax.jit(problem.whole_run(settings))
    kinds = {"log": LogSpace, "linear": LinearSpace}
    space = {name: kinds[scale](low, high) for name, (low, high, scale) in BOUNDS.items()}
    lanes = min(LANES, settings.trials)
    state, search = RandomSearch.init(space, n_parallel=lanes)

    def objective(key, config):
        return run(config, key, train, valid)[-1, 0]

    rounds = -(-settings.trials // lanes)
    _, (_, scores) = search.optimize(state, jax.random.key(0), objective, rounds)
    return np.concatenate([np.asarray(s) for s in scores]).tolist()


DRIVERS = {"hyperoptax over 64": search}
