"""Runs one driver in this process and prints what it took as JSON: `python -m peers.measure '{"driver": ...}'`.

A fresh process a driver, so that no cache, thread or memory of one helps or hinders the next. The clock starts once
packages are imported, JAX is up and the data are on the device, which every driver needs alike.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time

import jax
import numpy as np
from peers import limit, problem
from peers.problem import Settings

BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"
LIMIT = "bare matrix products"
MODULES = {"Optuna": "with_optuna", "hyperoptax": "with_hyperoptax", "Ray": "with_ray", "vtune": "with_vtune"}


def find(driver: str):
    """The function of a driver, by its name in a table; only its own packages are imported."""
    module = importlib.import_module(f"peers.{MODULES.get(driver.replace(',', ' ').split()[0], 'by_hand')}")
    return module.DRIVERS[driver]


def heard_compiles() -> list[float]:
    """Seconds of every program that XLA compiles in this process from now on."""
    compiles: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiles.append(seconds) if event == BACKEND_COMPILE else None
    )
    return compiles


def measure(driver: str, settings: Settings) -> dict[str, float]:
    """Seconds in all and in XLA's compiler, programs compiled, memory at its peak, and how well the trials scored."""
    if driver == LIMIT:
        seconds = limit.seconds_a_trial(settings)
        return {"seconds": seconds * settings.trials, "compile_seconds": 0.0, "trials": settings.trials}
    run = find(driver)
    train, valid = jax.block_until_ready(problem.load())
    compiles = heard_compiles()
    start = time.perf_counter()
    scores = run(settings, train, valid)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "compile_seconds": sum(compiles),
        "compiles": len(compiles),
        "trials": len(scores),
        "best_accuracy": float(np.nanmax(scores)),
        "median_accuracy": float(np.nanmedian(scores)),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(measure(request["driver"], Settings(**request["settings"]))))
