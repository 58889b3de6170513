"""vtune over nine hyperparameters with its store on a file: the task of `guide.py` as it stands."""

from __future__ import annotations

import tempfile
from pathlib import Path

import guide
from peers import structure_problem
from peers.problem import Batch
from peers.structure_outcome import Outcome
from peers.structure_problem import Settings

import vtune


def search(settings: Settings, train: Batch, valid: Batch) -> Outcome:
    """`vtune.tune` over the same configurations, handed over as enqueued trials."""
    study = vtune.tune(
        guide.task(train, valid),
        guide.SPACE,
        metric="accuracy",
        mode="max",
        trials=settings.trials,
        steps=settings.steps,
        eval_every=settings.steps,
        enqueue=structure_problem.configs(settings.trials),
        store=Path(tempfile.mkdtemp(prefix="vtune-")) / "vtune.db",
        name="bench",
        progress="off",
    )
    return Outcome(study.frame()["accuracy"].tolist(), facts={"explained": study.explain().to_json()})


DRIVERS = {"vtune": search}
