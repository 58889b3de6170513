"""More training data than the device holds: they stay on disk, and all lanes share the window that is on the device.

The rows of a regression problem are written to files, mapped into memory and streamed: while the lanes train on a
window, the next is read and sent. What a trial sees follows from its own steps, so that any of it can be repeated.

usage: python experiments/out_of_core.py [--small] [--store vtune.db]     then: vtune app vtune.db
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import optax
from flax import linen as nn
from rich.console import Console
from rich.table import Table

import vtune
from vtune.analysis import best_trials

INPUTS, BATCH, NOISE = 32, 100, 0.1
SPACE = vtune.Space(
    lr=vtune.Float(1e-4, 3e-2, log=True),
    decay=vtune.Float(1e-6, 1e-1, log=True),
    warmup=vtune.Float(0.01, 0.3),
)


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.gelu(nn.Dense(64)(x))
        return nn.Dense(1)(x)


def optimizer(hp, run):
    schedule = optax.warmup_cosine_decay_schedule(0.0, hp.lr, hp.warmup * run.steps, run.steps)
    return optax.adamw(schedule, weight_decay=hp.decay)


def drawn(rows: int, rng: np.random.Generator):
    """Rows of the problem: a sum of waves in eight directions, and noise."""
    directions = np.random.default_rng(0).normal(size=(INPUTS, 8)) / np.sqrt(INPUTS)
    x = rng.normal(size=(rows, INPUTS))
    y = np.sin(2 * x @ directions).sum(1) + NOISE * rng.normal(size=rows)
    return x.astype(np.float32), y.astype(np.float32)


def written(folder: Path, rows: int, part: int):
    """Files of many rows, written a part at a time, as read-only maps."""
    rng, shapes = np.random.default_rng(1), {"x": (rows, INPUTS), "y": (rows,)}
    files = {name: np.memmap(folder / name, np.float32, "w+", shape=shape) for name, shape in shapes.items()}
    for start in range(0, rows, part):
        files["x"][start : start + part], files["y"][start : start + part] = drawn(part, rng)
    return tuple(np.memmap(folder / name, np.float32, "r", shape=shape) for name, shape in shapes.items())


class Counted(vtune.Streamed):
    """Counts how often windows are loaded."""

    loads = 0

    def window(self, number):
        Counted.loads += 1
        return super().window(number)


def figures(task: Counted, train, study) -> Table:
    """What lies where, and how often it was sent."""
    table = Table("what", "figure")
    whole, window = (sum(each.nbytes for each in parts) / 2**20 for parts in (train, task.data["train"]))
    explained = study.explain()
    passes = study.record.steps / task.windows.steps / task.windows.count
    table.add_row("training data on disk", f"{whole:,.1f} MiB")
    table.add_row("of them on the device", f"{2 * window:,.1f} MiB, two windows of {task.windows.count}")
    table.add_row("lanes that share them", f"{explained.lanes} of {explained.trials} trials, {passes:g} passes each")
    table.add_row("windows loaded", f"{Counted.loads}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a glimpse: 16 trials on 2.5 MiB")
    parser.add_argument("--store", default="vtune.db", help="where everything is kept; the app opens it")
    options = parser.parse_args()
    trials, rows, window = (16, 20_000, 4_000) if options.small else (128, 400_000, 40_000)

    with tempfile.TemporaryDirectory() as folder:
        train = written(Path(folder), rows, window)
        task = Counted(
            lambda hp: MLP(), optimizer, train=train, valid=drawn(2000, np.random.default_rng(2)), loss="mse",
            metrics="r2", window=window, batch_size=BATCH, name="out-of-core",
        )  # fmt: skip
        study = vtune.tune(task, SPACE, metric="loss", trials=trials, epochs=1, store=options.store)
        print(study.explain())
        print(f"\nThe best five; the noise alone makes a loss of {NOISE**2:g}:")
        print(best_trials(study.frame(), "min", 5)[["id", "loss", "r2", "train_loss", *SPACE]].to_string(index=False))
        Console().print(figures(task, train, study))


if __name__ == "__main__":
    main()
