"""The loop of a study over recorded curves: what a study must do for a scheduler, in a page and without any training.

Lanes are filled with recalled trials before new ones. In each tick some of the live trials, drawn at random, get to
their next measurement, so that trials arrive in any order and some much later than others.
"""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vtune.records import Decision
from vtune.schedulers import Report, StudyInfo, Verdict, checked, dump, load, marks, prepared
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(1e-4, 1.0, log=True),
    shift=Float(-1.0, 1.0),
    width=Int(4, 64),
    rate=Float(0.0, 0.5, step=0.1),
    optimizer=Choice("momentum", "adam"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
    constraints=lambda config: config["width"] < 60,
)


@dataclass(frozen=True)
class Case:
    """A study whose curves are known beforehand.

    Attributes:
      study: what the scheduler is told of it.
      curves: float64 [trials, steps + 1] or [trials, steps + 1, objectives]; a trial diverges at its first NaN.
      lanes: trials that train side by side.
      offered: configurations that the proposer has; fewer than the study's trials are found out only by asking.
      seed: of the order in which trials get on.
      together: whether all live trials get to their next measurement in every tick.
    """

    study: StudyInfo
    curves: np.ndarray
    lanes: int
    offered: int
    seed: int = 0
    together: bool = False


@dataclass
class Played:
    """What became of a study: each report with its verdict, and how each trial ended."""

    reports: list[tuple[Report, Verdict]] = field(default_factory=list)
    ends: dict[int, str] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    saved: dict[int, int] = field(default_factory=dict)
    configs: dict[int, dict[str, Any]] = field(default_factory=dict)
    states: list[Any] = field(default_factory=list)


def case(number: int, *, objectives: int = 1, together: bool = False, **fixed: Any) -> Case:
    """A case of a number: some with ties, diverging trials, a single trial, a proposer that runs out."""
    rng = np.random.default_rng([number, objectives])
    trials = fixed.get("trials", int(rng.choice([1, 2, 5, 9, 14])))
    steps = fixed.get("steps", int(rng.integers(8, 20)))
    shape = (trials, steps + 1) + ((objectives,) if objectives > 1 else ())
    curves = rng.normal(size=shape).cumsum(axis=1)
    if rng.random() < 0.5:
        curves = np.round(curves / 2)
    if rng.random() < 0.5:
        hit = rng.random((trials, steps + 1)) < rng.choice([0.02, 0.2])
        curves[hit] = np.nan
    space = fixed.get("space")
    info = StudyInfo(
        steps=steps, trials=trials, eval_every=int(rng.integers(1, 8)), seed=number, space=space,
        fits=fixed.get("fits"),
        objectives=tuple((f"m{i}", "min") for i in range(objectives)),
    )  # fmt: skip
    offered = trials if rng.random() < 0.7 else int(rng.integers(1, trials + 1))
    return Case(info, curves, int(rng.integers(1, 9)), offered, number, together or bool(rng.random() < 0.5))


def play(scheduler: Any, played: Case, *, stored: bool = False, shuffled: bool = False) -> Played:
    """Runs a study to its end.

    Args:
      scheduler: as `make` gives it.
      played: the study.
      stored: whether the state goes through JSON after every report, and is looked at for changes in place.
      shuffled: whether the rows of each report come in a random order, and are decided as if they did not.
    """
    study, out = played.study, Played()
    every = study.eval_every
    scheduler = prepared(scheduler, study)
    due = np.array(sorted({*marks(scheduler), *range(every, study.steps, every), study.steps}))
    rng, state, configs = np.random.default_rng(played.seed), scheduler.init(), _configs(study)
    shuffle = np.random.default_rng([played.seed, 1])
    live: dict[int, int] = {}
    paused: dict[int, int] = {}
    queue: list[int] = []
    asked, closed = 0, False
    while True:
        while len(live) < played.lanes and (queue or not closed):
            if queue:
                trial = queue.pop(0)
                live[trial] = out.steps[trial]
            elif asked < min(played.offered, study.trials):
                live[asked], out.configs[asked], asked = 0, configs[asked], asked + 1
            refused = not queue and asked >= played.offered and len(live) < played.lanes
            closed = closed or asked >= study.trials or refused
        if not live and not paused:
            return out
        moved = sorted(live)
        if not played.together and moved:
            moved = sorted(rng.choice(moved, size=rng.integers(1, len(moved) + 1), replace=False).tolist())
        for trial in moved:
            live[trial] = int(due[np.searchsorted(due, live[trial], side="right")])
        report = _report(played, moved, live, out.configs, asked, closed)
        order = shuffle.permutation(len(moved)) if shuffled else np.arange(len(moved))
        shown = _reordered(report, order) if shuffled else report
        before = copy.deepcopy(state) if stored else None
        after, verdict = scheduler.decide(state, shown)
        if stored:
            np.testing.assert_equal(state, before)
            after = load(json.loads(json.dumps(dump(after), allow_nan=False)))
        state = after
        verdict = _reordered_back(checked(verdict, shown, list(paused)), order)
        out.reports.append((report, verdict))
        out.states.append(state)
        _carry_out(report, verdict, live, paused, queue, out)
        if not moved:
            for trial in list(paused):
                paused.pop(trial)
                out.ends[trial] = "stopped"


def _report(played: Case, moved: list[int], live: dict[int, int], configs: Any, asked: int, closed: bool) -> Report:
    step = np.array([live[trial] for trial in moved], dtype=np.int64)
    trial = np.array(moved, dtype=np.int64)
    score = played.curves[trial, step]
    bad = np.isnan(score.reshape(len(trial), -1 if len(trial) else 1)).any(axis=1)
    return Report(
        trial=trial, step=step, score=score, finished=bad | (step >= played.study.steps),
        metrics={"loss": score if score.ndim == 1 else score[:, 0]}, configs=dict(configs), asked=asked, closed=closed,
    )  # fmt: skip


def _carry_out(report: Report, verdict: Verdict, live: Any, paused: Any, queue: list[int], out: Played) -> None:
    rows = zip(report.trial.tolist(), verdict.action.tolist(), verdict.source.tolist(), strict=True)
    recall = verdict.recall
    recalled = zip(recall.trial.tolist(), recall.action.tolist(), recall.source.tolist(), strict=True)
    steps = {**paused, **{trial: live[trial] for trial in report.trial.tolist()}}
    configs = dict(out.configs)
    for row, (trial, action, source) in enumerate(rows):
        out.steps[trial] = live[trial]
        if verdict.save[row]:
            out.saved[trial] = live[trial]
        if report.finished[row]:
            diverged = np.isnan(report.score[row]).any()
            out.ends[trial] = "diverged" if diverged else "complete"
            live.pop(trial)
        elif action == Decision.PAUSE:
            paused[trial] = live.pop(trial)
        elif action in (Decision.STOP, Decision.FINISH):
            out.ends[trial] = "stopped" if action == Decision.STOP else "complete"
            live.pop(trial)
        elif action == Decision.COPY:
            live[trial] = steps[source]
            out.configs[trial] = verdict.configs.get(trial, configs[source])
    for trial, action, source in recalled:
        paused.pop(trial)
        if action in (Decision.STOP, Decision.FINISH):
            out.ends[trial] = "stopped" if action == Decision.STOP else "complete"
            continue
        if action == Decision.COPY:
            out.steps[trial] = steps[source]
            out.configs[trial] = verdict.configs.get(trial, configs[source])
        queue.append(trial)


def _configs(study: StudyInfo) -> list[Any]:
    if study.space is None:
        return [{"id": trial} for trial in range(study.trials)]
    known = _sampled(study.space)
    return [dict(known[(study.seed + trial) % len(known)]) for trial in range(study.trials)]


@functools.cache
def _sampled(space: Space) -> list[Any]:
    return space.sample(64, np.random.default_rng(0))


def _reordered(report: Report, order: np.ndarray) -> Report:
    return Report(
        report.trial[order], report.step[order], report.score[order], report.finished[order],
        {name: values[order] for name, values in report.metrics.items()}, report.configs, report.asked, report.closed,
    )  # fmt: skip


def _reordered_back(verdict: Verdict, order: np.ndarray) -> Verdict:
    back = np.argsort(order)
    return Verdict(verdict.action[back], verdict.source[back], verdict.save[back], verdict.configs, verdict.recall)


def decisions(report: Report, verdict: Verdict) -> dict[int, tuple[int, int]]:
    """Id -> (action, source) of all that a verdict speaks of and that is not over anyhow."""
    rows = zip(report.trial.tolist(), verdict.action.tolist(), verdict.source.tolist(), strict=True)
    found = {t: (a, s) for (t, a, s), over in zip(rows, report.finished.tolist(), strict=True) if not over}
    recall = verdict.recall
    recalled = zip(recall.trial.tolist(), recall.action.tolist(), recall.source.tolist(), strict=True)
    return found | {t: (a, s) for t, a, s in recalled}
