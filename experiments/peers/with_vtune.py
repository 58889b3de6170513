"""vtune with its store on a file, and the unmodified Flax network: `nn.Dropout`, no tracer in sight."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import flax.linen as nn
from peers import problem
from peers.problem import BOUNDS, Batch, Settings

import vtune


def digits(settings: Settings, train: Batch, valid: Batch) -> tuple[vtune.Supervised, vtune.Space]:
    """The network of these settings as a task, and its space."""
    task = vtune.Supervised(
        lambda hp: problem.network(settings, hp.dropout, nn.Dropout),
        problem.optimizer,
        train=train,
        valid=valid,
        metrics=("accuracy",),
        batch_size=settings.batch,
    )
    return task, vtune.Space(
        **{name: vtune.Float(low, high, log=scale == "log") for name, (low, high, scale) in BOUNDS.items()}
    )


def search(settings: Settings, train: Batch, valid: Batch, **options) -> list[float]:
    """`vtune.tune` over the same configurations, handed over as enqueued trials."""
    task, space = digits(settings, train, valid)
    study = vtune.tune(
        task,
        space,
        metric="accuracy",
        mode="max",
        trials=settings.trials,
        steps=settings.steps,
        eval_every=settings.eval_every,
        enqueue=problem.configs(settings.trials),
        store=Path(tempfile.mkdtemp(prefix="vtune-")) / "vtune.db",
        name="bench",
        progress="off",
        **options,
    )
    return study.frame()["accuracy"].tolist()


DRIVERS = {
    "vtune": search,
    "vtune, threefry": functools.partial(search, rng="threefry"),
    "vtune, one thread": functools.partial(search, threads=1),
    "vtune, threefry, one thread": functools.partial(search, rng="threefry", threads=1),
}
