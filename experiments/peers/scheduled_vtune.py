"""vtune with its store on a file: random search with and without a scheduler."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import guide
from peers import problem
from peers.problem import Batch
from peers.scheduled import Outcome, Settings
from peers.with_vtune import digits

import vtune
from vtune import tune


def search(settings: Settings, train: Batch, valid: Batch, scheduler: Any = None) -> Outcome:
    """`vtune.tune` with its defaults; a trial's end is when the store says that it ended."""
    began = time.time()
    if settings.space == "digits":
        task, space = digits(problem.Settings(), train, valid)
    else:
        task, space = guide.task(train, valid), guide.SPACE
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
        store=Path(tempfile.mkdtemp(prefix="vtune-")) / "vtune.db",
        name="bench",
        progress="off",
    )
    frame = study.frame().merge(study.placement()[["id", "finished"]], on="id")
    frame = frame.sort_values("finished", kind="stable")
    return Outcome(
        (frame["finished"] - began).tolist(), frame["score"].tolist(), frame["step"].astype(int).tolist(),
        {"explained": study.explain().to_json()},
    )  # fmt: skip


DRIVERS = {
    "vtune": search,
    "vtune, ASHA": functools.partial(search, scheduler=vtune.schedulers.ASHA),
    "vtune, promoting ASHA": functools.partial(
        search, scheduler=functools.partial(vtune.schedulers.ASHA, variant="promoting")
    ),
    "vtune, Hyperband": functools.partial(search, scheduler=vtune.schedulers.Hyperband),
}
