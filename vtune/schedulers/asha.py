"""Asynchronous successive halving (Li et al., 2020, "A System for Massively Parallel Hyperparameter Tuning")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Decision
from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.ranking import comparable, leaders
from vtune.schedulers.report import Recall, Report, Verdict
from vtune.schedulers.rungs import geometric, trained_share

VARIANTS = ("stopping", "promoting")
LATEST = 16_384
"""Trials of a rung that are compared: what is remembered, and written with every chunk, stays bounded."""
LATEST_OF_SEVERAL = 4096
"""The same where there are several objectives, whose fronts take long to find."""


@register
@dataclass(frozen=True)
class ASHA(StudyScheduler):
    """Compares trials at steps that grow by a factor, and lets the best go on without waiting for the others.

    At a rung, the scores that were measured there so far are ranked, those of this report included. A trial that
    diverges counts as the worst of the next rung. Several objectives are ranked by fronts and crowding distance. Of a
    rung with many trials the latest 16,384 are compared (4,096 with several objectives), or all of this report if they
    are more.

    - "stopping" ends a trial that is not among the best 1/reduction of its rung (of a rung of fewer trials: not the
      best) and never thinks better of it. No state is ever parked.
    - "promoting" pauses every trial at a rung and lets it go on as soon as it is among the best 1/reduction there, also
      if that happens later. It is the paper's algorithm. When nothing else is left to train and no trial is complete,
      the best that waits at the highest rung goes on, so that a small study ends with a complete trial too.

    Args:
      min_steps: the first rung; a 1/reduction**3 of the study's steps unless given. Rungs are measured exactly, also
        between the study's regular measurements.
      reduction: factor between rungs, and one over the share of trials that go on.
      max_steps: no decision beyond this step: trials that get there train to the study's end.
      variant: "stopping" or "promoting".

    Raises:
      ArgumentError: numbers below 1, a reduction below 2, an unknown variant; in a study: no rung before its last step.

    Example:
      >>> from vtune.schedulers import Report, StudyInfo
      >>> asha = ASHA(min_steps=25).for_study(StudyInfo(steps=500, trials=64, eval_every=50))
      >>> asha.marks()
      (25, 75, 225)
      >>> four = Report(np.arange(4), np.full(4, 25), np.array([0.3, 0.1, 0.4, 0.2]), np.zeros(4, bool))
      >>> state, verdict = asha.decide(asha.init(), four)
      >>> [Decision(action).name for action in verdict.action]
      ['STOP', 'CONTINUE', 'STOP', 'STOP']
    """

    name: ClassVar[str] = "asha"

    min_steps: int | None = None
    reduction: int = 3
    max_steps: int | None = None
    variant: str = "stopping"

    def __post_init__(self) -> None:
        self._whole(2, "reduction")
        self._whole(1, "min_steps", "max_steps")
        if self.variant not in VARIANTS:
            raise ArgumentError(f"variant must be one of {', '.join(map(repr, VARIANTS))}, not {self.variant!r}")

    def check(self) -> None:
        self.marks()

    @property
    def waits(self) -> bool:
        return self.variant == "promoting"

    def marks(self) -> tuple[int, ...]:
        steps = self.study.steps
        first = self.min_steps or -(-steps // self.reduction**3)
        return geometric("ASHA", first, self.reduction, steps, self.max_steps)

    def share(self) -> float:
        return trained_share(self.marks(), self.reduction, self.study.steps)

    def init(self) -> dict[str, Any]:
        width = len(self.study.objectives)
        rung = {"trial": np.empty(0, np.int64), "score": np.empty((0, width)), "promoted": np.empty(0, bool)}
        known = {"trial": np.empty(0, np.int64), "rung": np.empty(0, np.int16)}
        return {**known, "rungs": [dict(rung) for _ in self.marks()], "completed": 0}

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        scores = comparable(report.score)
        finite = np.isfinite(scores[:, 0])
        following = _following(state, report.trial)
        entered = self._entered(following, report.step, report.finished & ~finite)
        following = np.where(entered >= 0, entered + 1, following)
        action = np.full(len(report.trial), Decision.CONTINUE, dtype=np.int8)
        rungs = list(state["rungs"])
        recalled = []
        for number in np.unique(entered[entered >= 0])[::-1].tolist():
            rows = np.flatnonzero(entered == number)
            rung = _joined(rungs[number], report.trial[rows], scores[rows], report.finished[rows])
            if self.variant == "stopping":
                lead = leaders(rung["score"], rung["trial"], max(1, len(rung["trial"]) // self.reduction))
                action[rows] = np.where(lead[-len(rows) :], Decision.CONTINUE, Decision.STOP)
            else:
                lead = leaders(rung["score"], rung["trial"], len(rung["trial"]) // self.reduction) & ~rung["promoted"]
                action[rows] = np.where(lead[-len(rows) :], Decision.CONTINUE, Decision.PAUSE)
                recalled.append(np.sort(rung["trial"][: -len(rows)][lead[: -len(rows)]]))
                rung["promoted"] |= lead
            rungs[number] = rung
        action[report.finished] = Decision.CONTINUE
        completed = state["completed"] + int((report.finished & finite).sum())
        if not len(report.trial) and not completed:
            recalled = _last_resort(rungs)
        recall = Recall.of(np.concatenate(recalled)) if recalled else None
        known = _known(state, report.trial, following, ~report.finished & (action != Decision.STOP))
        return {**known, "rungs": rungs, "completed": completed}, Verdict.of(action, recall=recall)

    def _entered(self, following: np.ndarray, step: np.ndarray, diverged: np.ndarray) -> np.ndarray:
        """The rung at which each trial is compared now, -1 for none."""
        marks = np.array(self.marks())
        passed = np.searchsorted(marks, step, side="right")
        fails = diverged & (following < len(marks))
        return np.where(passed > following, passed - 1, np.where(fails, following, -1))


def _following(state: dict[str, Any], trial: np.ndarray) -> np.ndarray:
    """The rung that each trial [n] comes to next; 0 for those that were at none yet."""
    known, rung = state["trial"], state["rung"]
    place = np.searchsorted(known, trial)
    there = np.append(known, -1)[place] == trial
    return np.where(there, np.append(rung, 0)[place], 0)


def _known(state: dict[str, Any], trial: np.ndarray, following: np.ndarray, on: np.ndarray) -> dict[str, np.ndarray]:
    """The rungs that trials come to next, without those trials of a report that do not go on."""
    others = ~np.isin(state["trial"], trial)
    trials = np.concatenate([state["trial"][others], trial[on]])
    rungs = np.concatenate([state["rung"][others], following[on].astype(np.int16)])
    order = np.argsort(trials)
    return {"trial": trials[order], "rung": rungs[order]}


def _joined(rung: dict[str, Any], trial: np.ndarray, score: np.ndarray, finished: np.ndarray) -> dict[str, Any]:
    """A rung with more trials; one that is finished cannot be promoted."""
    latest = LATEST if score.shape[1] == 1 else LATEST_OF_SEVERAL
    since = max(0, len(rung["trial"]) + len(trial) - max(latest, len(trial)))
    return {
        "trial": np.concatenate([rung["trial"][since:], trial]),
        "score": np.concatenate([rung["score"][since:], score]),
        "promoted": np.concatenate([rung["promoted"][since:], finished]),
    }


def _last_resort(rungs: list[dict[str, Any]]) -> list[np.ndarray]:
    """The best trial that waits at the highest rung with any, and marks it as promoted."""
    for number in reversed(range(len(rungs))):
        rung = rungs[number]
        scores = np.where(rung["promoted"][:, None], np.inf, rung["score"])
        best = leaders(scores, rung["trial"], 1)
        if best.any():
            rungs[number] = {**rung, "promoted": rung["promoted"] | best}
            return [rung["trial"][best]]
    return []
