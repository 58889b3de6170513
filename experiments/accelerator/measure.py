"""Measures one driver of one network at rising numbers of lanes, in this process; prints a JSON line a point.

`python -m accelerator.measure '{"network": ..., "driver": ..., "lanes": [...], "seconds": 0.5, "dtype": "float32"}'`
A process of its own, so that a driver's memory at its peak is its own, and that one which dies takes no other along.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from accelerator import workloads
from accelerator.workloads import WORKLOADS, Workload
from peers.generator import PCG

import vtune
from vtune.errors import MemoryExhausted

REPEATS = 3
MOST_STEPS = 4096
RUNGS = 27
Point = dict[str, Any]


def timed(run: Callable[[int], Any], lanes: int, seconds: float) -> Point:
    """How fast a compiled function does steps: medians of runs that last long enough.

    Args:
      run: does a number of steps of all lanes and returns something to wait for.
      lanes: that it steps.
      seconds: how long a run is to last.
    """

    def clock(steps: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(run(steps))
        return time.perf_counter() - start

    clock(2)
    steps = 8
    while (took := clock(steps)) < seconds / 2 and steps < MOST_STEPS:
        steps = min(MOST_STEPS, max(2 * steps, int(steps * seconds / max(took, 1e-9))))
    spent = statistics.median([took, *(clock(steps) for _ in range(REPEATS - 1))])
    return {"steps": steps, "seconds": spent, "lane_steps_per_second": lanes * steps / spent}


def by_hand(work: Workload, lanes: int, seconds: float, dtype: Any, *, impl: Any = PCG, vmap: bool = True) -> Point:
    """A whole run as an expert writes it, vmapped over lanes, or for one trial at a time, compiled once."""
    train, valid = jax.device_put(workloads.data_of(work))
    one = workloads.whole_run(work, dtype)

    def keyed(hp: Any, trial: Any, steps: Any, train: Any, valid: Any) -> Any:
        return one(hp, jax.random.key(trial, impl=impl), steps, train, valid)

    hp, trials = workloads.configs(lanes), np.arange(lanes, dtype=np.uint32)
    if vmap:
        keyed = jax.vmap(keyed, in_axes=(0, 0, None, None, None))
    else:
        hp, trials = {name: values[0] for name, values in hp.items()}, trials[0]
    start = time.perf_counter()
    compiled = jax.jit(keyed).lower(hp, trials, np.int32(1), train, valid).compile()
    compile_seconds = time.perf_counter() - start
    hp, trials = jax.device_put((hp, trials))
    found = timed(lambda steps: compiled(hp, trials, np.int32(steps), train, valid), lanes, seconds)
    return {"compile_seconds": compile_seconds, **found}


def with_vtune(work: Workload, lanes: int | str, seconds: float, dtype: Any) -> Point:
    """`vtune.tune` of as many trials as lanes, in steps enough to last; what `plan` foresaw beside it."""
    task, space = workloads.task(work, dtype)
    wide = {"lanes": lanes} if lanes == "auto" else {"lanes": lanes, "block": lanes, "strategy": "vmap"}
    trials = 16384 if lanes == "auto" else lanes
    planned = vtune.plan(task, space, trials=trials, steps=MOST_STEPS, devices=1, **wide)
    step = max(planned.programs[0].step_seconds or 1e-3, 1e-6)
    steps = int(np.clip(seconds / step, 8, MOST_STEPS))
    start = time.perf_counter()
    study = vtune.tune(
        task, space, trials=planned.lanes, steps=steps, eval_every=steps, devices=1, progress="off",
        **({"lanes": planned.lanes} if lanes == "auto" else wide),
    )  # fmt: skip
    total, told = time.perf_counter() - start, study.explain()
    shrunk = {"status": "out of memory", "lanes_left": told.lanes} if told.lanes < planned.lanes else {}
    return {
        "lanes": planned.lanes,
        "steps": steps,
        "seconds": told.seconds["device"],
        "lane_steps_per_second": planned.lanes * steps / told.seconds["device"],
        "planned_lane_steps_per_second": planned.lanes / step,
        "compile_seconds": planned.programs[0].compile_seconds,
        "whole_study_seconds": total,
        "whole_study_lane_steps_per_second": planned.lanes * steps / total,
        "forecast_bytes": planned.memory_bytes,
        "strategy": told.strategy,
        **shrunk,
    }


def under_asha(work: Workload, lanes: int, seconds: float, dtype: Any) -> Point:
    """Eight times as many trials as lanes under ASHA, which ends most of them early: how full the lanes stay."""
    task, space = workloads.task(work, dtype)
    start = time.perf_counter()
    study = vtune.tune(
        task, space, trials=8 * lanes, steps=RUNGS * 8, eval_every=8, lanes=lanes, block=lanes, strategy="vmap",
        devices=1, scheduler=vtune.schedulers.ASHA(min_steps=8, reduction=3), progress="off",
    )  # fmt: skip
    total, told = time.perf_counter() - start, study.explain()
    done = float(study.frame()["step"].sum())
    return {
        "trials": 8 * lanes,
        "steps": RUNGS * 8,
        "seconds": told.seconds["device"],
        "lane_steps_per_second": done / told.seconds["device"],
        "whole_study_seconds": total,
        "trials_per_second": 8 * lanes / total,
        "occupancy": told.occupancy,
        "forecast_bytes": told.memory_bytes,
    }


def limit(work: Workload, lanes: int, seconds: float, dtype: Any) -> Point:
    """Nothing but the batched matrix products of a step, forward and backward, and writing what they give."""
    keys = iter(jax.random.split(jax.random.key(0), 2 * len(work.products)))
    shapes = [((lanes, m, k), (lanes, k, n)) for m, k, n in work.products]
    normal = functools.partial(jax.random.normal, dtype=dtype)
    operands = [(normal(next(keys), x), normal(next(keys), w)) for x, w in shapes]

    def step(_: Any, operands: Any) -> Any:
        following = []
        for place, (x, w) in enumerate(operands):
            y = x @ w
            by_weights = jnp.swapaxes(x, 1, 2) @ y
            by_inputs = x if place == 0 else y @ jnp.swapaxes(w, 1, 2)
            following.append(((x + 1e-6 * by_inputs).astype(dtype), (w + 1e-6 * by_weights).astype(dtype)))
        return following

    run = jax.jit(lambda operands, steps: jax.lax.fori_loop(0, steps, step, operands))
    return timed(lambda steps: run(operands, np.int32(steps)), lanes, seconds)


DRIVERS: dict[str, Callable[..., Point]] = {
    "vtune": with_vtune,
    "by hand, cheap generator": by_hand,
    "by hand, threefry": functools.partial(by_hand, impl="threefry2x32"),
    "one by one, jitted once": functools.partial(by_hand, vmap=False),
    "matrix products alone": limit,
    "vtune under ASHA": under_asha,
}


def memory() -> dict[str, int]:
    """What JAX says of the device's memory; nothing on a CPU."""
    told = jax.local_devices()[0].memory_stats() or {}
    names = {"peak_bytes_in_use": "peak_bytes", "bytes_limit": "device_bytes"}
    return {name: int(told[key]) for key, name in names.items() if key in told}


def exhausted(error: Exception) -> bool:
    """Whether an error says that the device's memory ran out."""
    return "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryExhausted)


def points(request: dict[str, Any]) -> Iterator[Point]:
    """A point for each number of lanes, from few to many; after the first that memory ran out at, no more."""
    work, dtype = WORKLOADS[request["network"]], jnp.dtype(request["dtype"])
    drive = DRIVERS[request["driver"]]
    for lanes in request["lanes"]:
        point: Point = {"asked_lanes": lanes, "lanes": lanes, "batch": work.batch, "status": "ok"}
        try:
            point |= drive(work, lanes, request["seconds"], dtype)
            point["flops_per_lane_step"] = work.flops
            point["flops_per_second"] = work.flops * point["lane_steps_per_second"]
        except Exception as error:  # whatever it is belongs in the table, and other points go on
            status = "out of memory" if exhausted(error) else "failed"
            point |= {"status": status, "error": f"{type(error).__name__}: {error}"[:400]}
        yield point | memory()
        if point["status"] == "out of memory":
            return


if __name__ == "__main__":
    for found in points(json.loads(sys.argv[1])):
        print(json.dumps(found), flush=True)
