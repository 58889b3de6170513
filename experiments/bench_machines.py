"""What a trial costs the process that drives a study, when others train it: `executor="ray"` with three workers.

The task is as small as can be, so that nearly all of a trial is proposing, handing over, deciding and writing. The same
study runs with fewer and with more trials: what the additional trials took is the cost of a trial, and what is left is
that of beginning; a run before them takes what happens once in a process. Seconds are those of the driving process, all
of its threads together; they hold on a machine that others use too.

Run it with `python experiments/bench_machines.py`; it prints the figures and writes experiments/results/machines.json.
Without a cluster it starts Ray on this machine, with a logical core for each worker.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import vtune
from vtune.executors import Ray

RESULT = Path(__file__).parent / "results" / "machines.json"
SPACE = vtune.Space(x=vtune.Float(-1.0, 1.0), y=vtune.Float(-1.0, 1.0))
STEPS, EVERY = 20, 10


class Bowl:
    """A step is a handful of additions."""

    data = None

    def init(self, hp, data, key):
        return {"x": jax.random.normal(key, (4,))}

    def step(self, hp, state, data, key):
        return {"x": state["x"] - 0.1 * (state["x"] - hp.x)}, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state["x"] - hp.y).mean()}


def run(trials: int, executor: Any, block: int, workers: int) -> dict[str, float]:
    """Seconds of this process for a study, by the clock and by the processor, and how often its store was written."""
    wall, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        study = vtune.tune(
            Bowl(), SPACE, trials=trials, steps=STEPS, eval_every=EVERY, block=block, lanes=block * workers, threads=1,
            keep=0, executor=executor, store=Path(folder) / "vtune.db", name="machines", progress="off",
        )  # fmt: skip
        counts, ticks = study.frame()["state"].value_counts().to_dict(), study.record.clock
        study.close()
    if counts != {"complete": trials}:
        raise SystemExit(f"{trials} trials were asked for, and their ends are {counts}")
    return {"clock": time.perf_counter() - wall, "processor": time.process_time() - processor, "ticks": ticks}


def per_trial(fewer: dict[str, float], more: dict[str, float], trials: int) -> dict[str, float]:
    """Milliseconds of an additional trial."""
    return {unit: 1e3 * (more[unit] - fewer[unit]) / trials for unit in ("clock", "processor")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--address", default=None, help="of a cluster that is there")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()

    import ray

    here = {} if given.address else {"num_cpus": given.workers, "include_dashboard": False}
    ray.init(address=given.address, log_to_driver=False, logging_level="error", **here)
    few = max(1, given.trials // 10)
    found: dict[str, Any] = {}
    for name, executor in (("ray", Ray(workers=given.workers, cpus=1)), ("local", "local")):
        _, fewer, more = (run(trials, executor, given.block, given.workers) for trials in (few, few, given.trials))
        found[name] = {"fewer": fewer, "more": more, "ms_a_trial": per_trial(fewer, more, given.trials - few)}
    found["ray"]["whole_ms_a_trial"] = 1e3 * found["ray"]["more"]["processor"] / given.trials
    ray.shutdown()
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": {"cores": os.cpu_count(), "kind": platform.machine()},
        "versions": {"vtune": vtune.__version__, "jax": jax.__version__, "ray": ray.__version__},
        "trials": given.trials,
        "fewer": few,
        "workers": given.workers,
        "block": given.block,
        **found,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for name in ("ray", "local"):
        cost = found[name]["ms_a_trial"]
        print(f"{name}: {cost['processor']:.3f} ms of processor and {cost['clock']:.3f} ms by the clock a trial")
    print(f"ray, beginning included: {found['ray']['whole_ms_a_trial']:.3f} ms of processor a trial")


if __name__ == "__main__":
    main()
