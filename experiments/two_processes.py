"""A search over the processes of one JAX cluster, as the hosts of a TPU slice are: each tunes on its own devices.

    python experiments/two_processes.py                     # starts two processes here, as two hosts would be started
    python experiments/two_processes.py --trials 256 --store /shared/folder

Lanes do not talk to each other, so nothing is won by one array over all hosts: each process runs a study of its own on
its local devices, with its own seed and its own store, and the first one ranks what all have found. On a real slice,
start this file once a host, with `--process N --processes N --address HOST:PORT`.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

import vtune

SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), decay=vtune.Float(0.0, 0.5))
X = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
Y = X @ np.linspace(-1, 1, 8, dtype=np.float32)


class Regression:
    """Linear regression by gradient descent, in place of your own task."""

    name, data = "regression", (X, Y)

    def init(self, hp, data, key):
        return 0.1 * jax.random.normal(key, (8,))

    def step(self, hp, weights, data, key):
        x, y = data
        rows = jax.random.randint(key, (32,), 0, len(x))
        gradient = x[rows].T @ (x[rows] @ weights - y[rows]) / 32
        return weights - hp.lr * (gradient + hp.decay * weights), {}

    def evaluate(self, hp, weights, data, key):
        x, y = data
        return {"loss": jnp.square(x @ weights - y).mean()}


def search(store: Path, trials: int, steps: int = 50) -> vtune.Study:
    """This process's part of the search: its own seed gives it configurations that no other tries."""
    process = jax.process_index()
    return vtune.tune(
        Regression(), SPACE, trials=trials // jax.process_count(), steps=steps, seed=process, progress="off",
        store=store / f"process-{process}.db", name="regression", resume=True,
    )  # fmt: skip


def worker(options: argparse.Namespace) -> None:
    jax.distributed.initialize(options.address, options.processes, options.process)
    store = Path(options.store)
    search(store, options.trials).close()
    multihost_utils.sync_global_devices("all studies are over")
    if jax.process_index() == 0:
        report(store, jax.process_count())


def report(store: Path, processes: int) -> None:
    """The best of all studies, from their stores."""
    print(f"{len(jax.devices())} devices in {processes} processes, {len(jax.local_devices())} of them in each")
    studies = [vtune.load(store / f"process-{number}.db", "regression") for number in range(processes)]
    for number, study in enumerate(studies):
        print(f"process {number}: {len(study.trials())} trials, best loss {study.best.score:.6f}")
    best = min((study.best for study in studies), key=lambda trial: trial.score)
    print(f"best of all: {best.score:.6f} with {best.config}")


def start(options: argparse.Namespace) -> int:
    """Starts the processes here, and gives the first error code."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    given = ["--processes", f"{options.processes}", "--address", address, "--store", options.store]
    command = [sys.executable, __file__, "--trials", f"{options.trials}", *given]
    running = [subprocess.Popen([*command, "--process", f"{number}"]) for number in range(options.processes)]
    return max(process.wait() for process in running)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--trials", type=int, default=64, help="of all processes together")
    given.add_argument("--store", help="a folder that all processes see; one that is thrown away if left out")
    given.add_argument("--processes", type=int, default=2)
    given.add_argument("--process", type=int, help="which of them this is; all are started here if left out")
    given.add_argument("--address", help="HOST:PORT of the first one")
    options = given.parse_args()
    if options.process is not None:
        worker(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.store = options.store or folder
        sys.exit(start(options))


if __name__ == "__main__":
    main()
