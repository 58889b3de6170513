"""The median stopping rule (Golovin et al., 2017, "Google Vizier: A Service for Black-Box Optimization")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vtune.records import Decision
from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.report import Report, Verdict
from vtune.schedulers.state import grown, room


@register
@dataclass(frozen=True)
class Median(StudyScheduler):
    """Ends a trial whose best score so far is worse than the median of the running averages at its step.

    A running average is the mean of a trial's scores up to the step. The median is over all trials that were measured
    at the step, in this report or before; in the paper it is over completed trials alone, but lanes march together, and
    there would be none before the first of them are through.

    Args:
      min_steps: no decision before this step.
      min_trials: no decision at a step at which fewer trials were measured.

    Raises:
      ArgumentError: numbers below 0 and 1; in a study: several objectives.

    Example:
      >>> from vtune.schedulers import Report
      >>> rule = Median(min_trials=3)
      >>> three = Report(np.arange(3), np.full(3, 10), np.array([0.1, 0.2, 0.3]), np.zeros(3, bool))
      >>> rule.decide(rule.init(), three)[1].action.tolist()
      [0, 0, 1]
    """

    name: ClassVar[str] = "median"
    single: ClassVar[bool] = True

    min_steps: int = 0
    min_trials: int = 5

    def __post_init__(self) -> None:
        self._whole(0, "min_steps")
        self._whole(1, "min_trials")

    def init(self) -> dict[str, Any]:
        return {"sum": np.empty(0), "count": np.empty(0, np.int32), "best": np.empty(0), "averages": {}}

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        known = np.isfinite(report.score)
        trial, step, score = report.trial[known], report.step[known], report.score[known]
        total, count = grown(state["sum"], room(trial), 0.0), grown(state["count"], room(trial), 0)
        best = grown(state["best"], room(trial), np.inf)
        total[trial] += score
        count[trial] += 1
        best[trial] = np.minimum(best[trial], score)
        averages = dict(state["averages"])
        worse = np.zeros(len(trial), bool)
        for at in np.unique(step).tolist():
            rows = np.flatnonzero(step == at)
            mine = total[trial[rows]] / count[trial[rows]]
            there = np.concatenate([averages.get(str(at), np.empty(0)), mine])
            averages[str(at)] = there
            if at >= self.min_steps and len(there) >= self.min_trials:
                worse[rows] = best[trial[rows]] > np.median(there)
        action = np.full(len(report.trial), Decision.CONTINUE)
        action[known] = np.where(worse & ~report.finished[known], Decision.STOP, Decision.CONTINUE)
        return {"sum": total, "count": count, "best": best, "averages": averages}, Verdict.of(action)
