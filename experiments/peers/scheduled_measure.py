"""Runs one driver of the scheduler benchmark in this process: `python -m peers.scheduled_measure '{"driver": ...}'`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

import jax
import numpy as np
from peers import problem
from peers.measure import heard_compiles
from peers.scheduled import Settings

MODULES = {"Optuna": "scheduled_optuna", "Ray": "scheduled_ray", "vtune": "scheduled_vtune"}


def measure(driver: str, settings: Settings) -> dict[str, Any]:
    """Seconds in all and in XLA's compiler, and the best accuracy so far whenever it rose: [seconds, accuracy]."""
    run = importlib.import_module(f"peers.{MODULES[driver.replace(',', ' ').split()[0]]}").DRIVERS[driver]
    train, valid = jax.block_until_ready(problem.load())
    compiles = heard_compiles()
    start = time.perf_counter()
    outcome = run(settings, train, valid)
    seconds = time.perf_counter() - start
    best = np.fmax.accumulate(np.nan_to_num(np.asarray(outcome.score, float), nan=0.0))
    rises = np.flatnonzero(np.diff(best, prepend=0.0) > 0)
    return {
        "seconds": seconds,
        "compile_seconds": sum(compiles),
        "compiles": len(compiles),
        "trials": len(outcome.score),
        "trained_steps": int(np.sum(outcome.steps)),
        "full_trials": int((np.asarray(outcome.steps) >= settings.steps).sum()),
        "best_accuracy": float(best[-1]),
        "rises": [[round(outcome.ended[i], 3), round(float(best[i]), 5)] for i in rises.tolist()],
        "facts": dict(outcome.facts),
    }


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(measure(request["driver"], Settings(**request["settings"]))))
