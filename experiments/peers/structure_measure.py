"""Runs one driver of the structure benchmark in this process: `python -m peers.structure_measure '{"driver": ...}'`."""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from peers import problem
from peers.measure import heard_compiles
from peers.structure_outcome import Outcome
from peers.structure_problem import Settings

MODULES = {"Optuna": "structure_optuna", "by": "structure_expert", "vtune": "structure_vtune"}


def find(driver: str) -> Callable[..., Outcome]:
    """The function of a driver, by its name in a table; only its own packages are imported."""
    module = importlib.import_module(f"peers.{MODULES[driver.replace(',', ' ').split()[0]]}")
    return module.DRIVERS[driver]


def measure(driver: str, settings: Settings) -> dict[str, Any]:
    """Seconds in all, of processors, in XLA's compiler and by part; how well the trials scored; memory at its peak."""
    run = find(driver)
    train, valid = jax.block_until_ready(problem.load())
    compiles = heard_compiles()
    start, used = time.perf_counter(), time.process_time()
    outcome = run(settings, train, valid)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    scores = np.asarray(outcome.scores)
    return {
        "seconds": seconds,
        "cpu_seconds": used,
        "compile_seconds": sum(compiles),
        "compiles": len(compiles),
        "trials": len(scores),
        "best_accuracy": float(np.nanmax(scores)),
        "mean_accuracy": float(np.nanmean(scores)),
        "diverged": int(np.isnan(scores).sum()),
        "setup_seconds": {kind: list(each) for kind, each in outcome.setup.items()},
        "running_seconds": list(outcome.running),
        "facts": dict(outcome.facts),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(measure(request["driver"], Settings(**request["settings"]))))
