"""vtune with its store on a file: random search with and without a scheduler."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import flax.linen as nn
import guide
from peers import problem
from peers.problem import BOUNDS, Batch
from peers.scheduled import Outcome, Settings

import vtune
from vtune import Supervised, tune
from vtune.store import open_reader


def search(settings: Settings, train: Batch, valid: Batch, scheduler: Any = None) -> Outcome:
    """`vtune.tune` with its defaults; a trial's end is when the store says that it ended."""
    began, path = time.time(), Path(tempfile.mkdtemp(prefix="vtune-")) / "vtune.db"
    task, space = _digits(train, valid) if settings.space == "digits" else (guide.task(train, valid), guide.SPACE)
    study = tune(
        task,
        space,
        metric="accuracy",
        mode="max",
        trials=settings.trials,
        steps=settings.steps,
        eval_every=settings.steps,
        scheduler=scheduler and scheduler(min_steps=settings.min_steps, reduction=settings.reduction),
        seed=settings.seed,
        store=path,
        name="bench",
        progress="off",
    )
    reader = open_reader(path)
    frame = study.frame().merge(reader.placement(reader.study("bench").id)[["id", "finished"]], on="id")
    frame = frame.sort_values("finished", kind="stable")
    return Outcome(
        (frame["finished"] - began).tolist(), frame["score"].tolist(), frame["step"].astype(int).tolist(),
        {"explained": study.explain().to_json()},
    )  # fmt: skip


def _digits(train: Batch, valid: Batch) -> tuple[Any, Any]:
    shape = problem.Settings()
    task = Supervised(
        lambda hp: problem.network(shape, hp.dropout, nn.Dropout),
        problem.optimizer,
        train=train,
        valid=valid,
        metrics=("accuracy",),
        batch_size=shape.batch,
    )
    return task, vtune.Space(
        **{name: vtune.Float(low, high, log=scale == "log") for name, (low, high, scale) in BOUNDS.items()}
    )


DRIVERS = {
    "vtune": search,
    "vtune, ASHA": functools.partial(search, scheduler=vtune.schedulers.ASHA),
    "vtune, promoting ASHA": functools.partial(
        search, scheduler=functools.partial(vtune.schedulers.ASHA, variant="promoting")
    ),
    "vtune, Hyperband": functools.partial(search, scheduler=vtune.schedulers.Hyperband),
}
