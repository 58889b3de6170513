"""A small study in a store, made by the real writer, for tests of what reads stores."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from vtune.space import Choice, Float, Int, Space
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, Writer

SPACE = Space(
    lr=Float(1e-4, 1.0, log=True),
    width=Int(8, 64, log=True),
    optimizer=Choice("adam", "momentum"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
    idle=Float(0.0, 1.0),
)
METRICS = ("loss", "train_loss", "size", "grad_norm")
EVALS = 5
PROGRAM = {
    "guards": [{"question": "hp.width <= 64", "outcome": "True", "place": "train.py:7", "names": ["width"]}],
    "lanes": 4,
    "trials": 10,
    "trace_seconds": 0.5,
    "compile_seconds": 1.5,
    "step_seconds": 4e-3,
    "state_bytes": 2048,
    "demotion": "",
}
REPORT = {
    "kinds": {"lr": "traced", "width": "packed"},
    "programs": [PROGRAM],
    "possible": 1,
    "compiles": 1,
    "lanes": 8,
    "block": 4,
    "strategy": "scan",
    "threads": 1,
    "trials": 10,
    "occupancy": 0.9,
    "seconds": {"total": 9.0},
    "padded_share": 0.25,
}


def losses(configs: list[dict[str, Any]]) -> np.ndarray:
    """What matters is the learning rate, and a little the optimizer."""
    lr = np.log10([config["lr"] for config in configs])
    adam = np.array([config["optimizer"] == "adam" for config in configs])
    return 0.1 + (lr + 2.0) ** 2 / 4.0 + 0.2 * adam


def store_study(writer: Writer, name: str = "bowl", trials: int = 60, *, seed: int = 0, **fields: Any) -> StudyRecord:
    """A study whose every tenth trial diverged, every seventh was stopped, and whose last three are running.

    Args:
      writer: of the store.
      name: of the study.
      trials: how many.
      seed: of its configurations.
      **fields: of `StudyRecord`, in place of the usual ones.
    """
    record = StudyRecord(
        name=name,
        space=SPACE.to_json(),
        objectives=(("loss", "min"),),
        metrics=METRICS,
        trials=trials,
        steps=EVALS * 10,
        eval_every=10,
        proposer="gp",
        report=REPORT,
    )
    study = writer.create(dataclasses.replace(record, **fields))
    if not trials:
        return study
    configs = SPACE.sample(trials, np.random.default_rng(seed))
    ids, loss = np.arange(trials), losses(configs)
    state = np.full(trials, "complete", dtype=object)
    state[7::7], state[9::10], state[max(0, trials - 3) :] = "stopped", "diverged", "running"
    step = np.where(state == "complete", EVALS, 2)
    size = np.array([100.0 * config["width"] for config in configs])
    trial = np.repeat(ids, step)
    index = np.concatenate([np.arange(1, each + 1) for each in step])
    valid = loss[trial] + 1.0 / index
    values = np.stack([valid, 0.8 * valid, size[trial], 1.0 / index], axis=1)
    last = loss + 1.0 / step
    sign = -1.0 if study.objectives[0][1] == "max" else 1.0
    expected = [
        Event(
            float(i),
            "proposed",
            {"trial": int(i), "model": "gp", "mean": sign * last[i], "deviation": 0.1, "gain": 1 / (i + 1)},
        )
        for i in ids[10:]
    ]
    writer.commit(
        study.id,
        Commit(
            clock=1,
            new_trials=[NewTrial(int(i), config, "gp" if i % 5 else "enqueued") for i, config in enumerate(configs)],
            trial_updates=TrialUpdates(
                id=ids,
                state=state,
                step=step * 10,
                score=np.where(state == "diverged", np.nan, last),
                program=np.zeros(trials, int),
                block=ids % 8 // 4,
                lane=ids % 4,
                started=study.created + 2.0 * (ids // 8),
                finished=np.where(state == "running", np.nan, study.created + 2.0 * (ids // 8) + 0.4 * step),
            ),
            measurements=Measurements(trial, index * 10, values),
            events=expected,
        ),
    )
    return study
