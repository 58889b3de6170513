"""What it costs to be killed: a study of 2,000 trials, whole, and killed in the middle and resumed.

    python experiments/bench_resume.py                  # a minute of processor time
    python experiments/bench_resume.py --trials 500     # a look

Each run is a process of its own, in this order: one that fills the compilation cache, the whole study, the same study
killed (SIGKILL) once half of its trials are over, and its successor. Told are the processor seconds of each, how many
steps were trained again, and whether both studies ended with the same curves. Snapshots lie a minute apart, so that
short trials are simply trained again; `--seconds 0` writes them as often as can be.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vtune
import vtune.study
from vtune.resume.snapshots import Snapshots
from vtune.store import open_reader

STEPS, EVERY = 200, 20


class Net:
    """A small network that learns a wave by gradient descent with momentum."""

    name = "wave"

    def __init__(self) -> None:
        x = jnp.linspace(-1.0, 1.0, 64)[:, None]
        self.data = (x, jnp.sin(6.0 * x))

    def init(self, hp, data, key):
        a, b = jax.random.split(key)
        params = {"a": jax.random.normal(a, (1, 32)), "bias": jnp.zeros(32), "b": jax.random.normal(b, (32, 1)) / 8}
        return params, jax.tree.map(jnp.zeros_like, params)

    def loss(self, params, data):
        x, y = data
        return jnp.square(jnp.tanh(x @ params["a"] + params["bias"]) @ params["b"] - y).mean()

    def step(self, hp, state, data, key):
        params, speed = state
        value, gradients = jax.value_and_grad(self.loss)(params, data)
        speed = jax.tree.map(lambda v, g: hp.momentum * v - hp.lr * g, speed, gradients)
        return (jax.tree.map(jnp.add, params, speed), speed), {"train_loss": value}

    def evaluate(self, hp, state, data, key):
        return {"loss": self.loss(state[0], data)}


def run(store: Path, trials: int, seconds: float) -> None:
    """The study, begun or gone on with: what a user's script does."""
    vtune.study.Snapshots = functools.partial(Snapshots, seconds=seconds)  # type: ignore[misc, assignment]
    space = vtune.Space(lr=vtune.Float(1e-3, 0.2, log=True), momentum=vtune.Float(0.0, 0.95))
    found = vtune.tune(
        Net(), space, trials=trials, steps=STEPS, eval_every=EVERY, proposer="tpe", seed=0, keep=0, block=64, lanes=128,
        store=store, name="wave", resume=True, progress="off",
    )  # fmt: skip
    found.close()


def processor_seconds(store: Path, options: argparse.Namespace, until: int | None = None) -> float:
    """Runs the study in a process of its own, which is killed once so many trials are over."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [f"--trials={options.trials}", f"--seconds={options.seconds}", f"--run={store}"]
    child = subprocess.Popen([sys.executable, __file__, *arguments])
    while until is not None and child.poll() is None and over(store) < until:
        time.sleep(0.05)
    if until is not None:
        child.send_signal(signal.SIGKILL)
    if child.wait() not in (0, -signal.SIGKILL):
        raise SystemExit(f"the study ended with exit code {child.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def over(store: Path) -> int:
    """How many trials are over by now."""
    if not store.exists():
        return 0
    try:
        with open_reader(store) as reader:
            return sum(count for state, count in reader.counts(1).items() if state in ("complete", "diverged"))
    except vtune.errors.VtuneError:
        return 0


def trained(store: Path) -> tuple[int, int]:
    """Steps that are in the store as done, and trials that are not over."""
    with open_reader(store) as reader:
        frame = reader.frame(1)
    return int(frame["step"].sum()), int(frame["state"].isin(["running", "waiting"]).sum())


def curves(store: Path) -> np.ndarray:
    with open_reader(store) as reader:
        return reader.curves(1).sort_values(["trial", "step"]).to_numpy()


def main() -> None:
    """Measures and prints."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--trials", type=int, default=2_000)
    given.add_argument("--seconds", type=float, default=60.0, help="between two snapshots")
    given.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = given.parse_args()
    if options.run:
        run(options.run, options.trials, options.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VTUNE_CACHE"] = str(Path(folder) / "cache")
        stores = {name: Path(folder) / f"{name}.db" for name in ("warm", "whole", "killed")}
        spent = {"start": processor_seconds(stores["warm"], argparse.Namespace(trials=128, seconds=options.seconds))}
        spent["whole"] = processor_seconds(stores["whole"], options)
        spent["until the kill"] = processor_seconds(stores["killed"], options, until=options.trials // 2)
        steps, unfinished = trained(stores["killed"])
        spent["resumed"] = processor_seconds(stores["killed"], options)
        same = np.array_equal(curves(stores["whole"]), curves(stores["killed"]), equal_nan=True)
        in_all, _ = trained(stores["whole"])
    told = {
        "trials": options.trials,
        "processor_seconds": {name: round(value, 1) for name, value in spent.items()},
        "killed_and_resumed_over_whole": round((spent["until the kill"] + spent["resumed"]) / spent["whole"], 3),
        "steps": in_all,
        "steps_done_when_killed": steps,
        "trials_in_lanes_when_killed": unfinished,
        "the_same_curves": same,
    }
    print(json.dumps(told, indent=2))


if __name__ == "__main__":
    main()
