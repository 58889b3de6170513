"""Early stopping on a plateau (as in Prechelt, 1998, "Early Stopping - But When?")."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Decision
from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.report import Report, Verdict
from vtune.schedulers.state import grown, room


@register
@dataclass(frozen=True)
class Patience(StudyScheduler):
    """Ends a trial whose score no longer improves, and has every trial stand for its best step.

    Each trial is compared with itself alone. A trial that ends so is complete: it is ranked with those that trained in
    full. Whether it ends early or not, its score and its parameters are those of its best measurement.

    Args:
      patience: measurements in a row without improvement after which a trial ends.
      min_delta: an improvement is a score better than the last one by more than this.
      min_steps: no trial ends before this step.

    Raises:
      ArgumentError: a patience below 1, negative numbers; in a study: several objectives.

    Example:
      >>> from vtune.schedulers import Report
      >>> rule = Patience(patience=2)
      >>> state = rule.init()
      >>> for step, score in ((10, 0.5), (20, 0.7), (30, 0.6)):
      ...     report = Report(np.array([0]), np.array([step]), np.array([score]), np.array([False]))
      ...     state, verdict = rule.decide(state, report)
      ...     print(step, Decision(verdict.action[0]).name, verdict.save[0])
      10 CONTINUE True
      20 CONTINUE False
      30 FINISH False
    """

    name: ClassVar[str] = "patience"
    single: ClassVar[bool] = True

    patience: int = 5
    min_delta: float = 0.0
    min_steps: int = 0

    def __post_init__(self) -> None:
        self._whole(1, "patience")
        self._whole(0, "min_steps")
        delta = self.min_delta
        if isinstance(delta, bool) or not isinstance(delta, numbers.Real) or not 0 <= delta < math.inf:
            raise ArgumentError(f"min_delta must be a finite number of at least 0, not {delta!r}")

    def init(self) -> dict[str, Any]:
        return {"best": np.empty(0), "base": np.empty(0), "idle": np.empty(0, np.int32)}

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        trial = report.trial
        score = np.where(np.isfinite(report.score), report.score, np.inf)
        best, base = grown(state["best"], room(trial), np.inf), grown(state["base"], room(trial), np.inf)
        idle = grown(state["idle"], room(trial), 0)
        save = score < best[trial]
        best[trial] = np.minimum(best[trial], score)
        improved = score < base[trial] - self.min_delta
        base[trial] = np.where(improved, score, base[trial])
        idle[trial] = np.where(improved, 0, idle[trial] + 1)
        ends = (idle[trial] >= self.patience) & (report.step >= self.min_steps) & ~report.finished
        action = np.where(ends, Decision.FINISH, Decision.CONTINUE)
        return {"best": best, "base": base, "idle": idle}, Verdict.of(action, save=save)
