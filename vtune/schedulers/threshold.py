"""Stops trials whose metrics leave bounds that are known beforehand."""

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


@register
@dataclass(frozen=True)
class Threshold(StudyScheduler):
    """Ends a trial as soon as a metric is out of bounds: a loss that explodes, an accuracy that is still at chance.

    A metric that is missing (NaN) is not judged.

    Args:
      metric: name of any metric that the task measures; the study's first objective unless given.
      lower: smallest value, as the metric has it, with which a trial goes on; None for any.
      upper: largest value with which a trial goes on; None for any.
      step: the first step at which it is judged; trials are measured there. From the first measurement on unless given.

    Raises:
      ArgumentError: no bound at all, bounds that are no numbers or that nothing satisfies; in a study: a metric that is
        not measured, a step behind its last.

    Example:
      >>> from vtune.schedulers import Report
      >>> rule = Threshold("accuracy", lower=0.2, step=100)
      >>> three = Report(
      ...     np.arange(3), np.array([50, 100, 100]), np.full(3, 0.5), np.zeros(3, bool),
      ...     metrics={"accuracy": np.array([0.1, 0.1, 0.3])},
      ... )
      >>> rule.decide(rule.init(), three)[1].action.tolist()
      [0, 1, 0]
    """

    name: ClassVar[str] = "threshold"

    metric: str | None = None
    lower: float | None = None
    upper: float | None = None
    step: int | None = None

    def __post_init__(self) -> None:
        self._whole(1, "step")
        for name in ("lower", "upper"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
                raise ArgumentError(f"{name} must be a number or None, not {value!r}")
        low, high = self._bounds
        if self.lower is None and self.upper is None:
            raise ArgumentError('Threshold needs a bound, lower, upper or both: write Threshold("loss", upper=10.0)')
        if not low <= high:
            raise ArgumentError(f"lower must be at most upper, and neither NaN; got lower={low!r}, upper={high!r}")

    def check(self) -> None:
        study, metric = self.study, self._metric
        known = ", ".join(sorted(study.metrics))
        if study.metrics and metric not in study.metrics:
            raise ArgumentError(f"Threshold: metric={metric!r} is not measured by the task; it measures {known}")
        if self.step is not None and self.step > study.steps:
            raise ArgumentError(f"Threshold: step must be at most the study's steps={study.steps}, not {self.step}")

    def marks(self) -> tuple[int, ...]:
        return () if self.step is None else (self.step,)

    def init(self) -> dict[str, Any]:
        return {}

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        if self._metric not in report.metrics:
            known = ", ".join(sorted(report.metrics)) or "none"
            raise ArgumentError(f"Threshold: metric={self._metric!r} is not measured by the task; it measures {known}")
        value, (low, high) = report.metrics[self._metric], self._bounds
        out = ((value < low) | (value > high)) & (report.step >= (self.step or 0)) & ~report.finished
        return state, Verdict.of(np.where(out, Decision.STOP, Decision.CONTINUE))

    @property
    def _metric(self) -> str:
        return self.study.objectives[0][0] if self.metric is None else self.metric

    @property
    def _bounds(self) -> tuple[float, float]:
        low = -math.inf if self.lower is None else self.lower
        return low, math.inf if self.upper is None else self.upper
