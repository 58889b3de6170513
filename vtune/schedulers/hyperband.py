"""Hyperband (Li et al., 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError
from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.cohorts import Cohorts
from vtune.schedulers.halving import halve
from vtune.schedulers.report import Report, Verdict
from vtune.schedulers.rungs import trained_share


@register
@dataclass(frozen=True)
class Hyperband(StudyScheduler):
    """Successive halving in several brackets side by side, from many trials judged early to a few that train in full.

    With s_max + 1 brackets, bracket s has ceil((s_max + 1) / (s + 1) * reduction**s) trials, and its first rung is at
    steps / reduction**s. Brackets share the lanes and the later rungs' steps, but not their ranks. When all places of
    the brackets are dealt out, a new cycle of them begins. The bracket of a trial follows from its id alone, and every
    stretch of ids is spread over all brackets in proportion.

    Args:
      min_steps: no trial ends before this step; a 1/reduction**3 of the study's steps unless given. It sets the number
        of brackets.
      reduction: factor between rungs, and one over the share of trials that go on.

    Raises:
      ArgumentError: numbers below 1, a reduction below 2; in a study: too few steps for a second bracket.

    Example:
      >>> from vtune.schedulers import StudyInfo
      >>> band = Hyperband(min_steps=9).for_study(StudyInfo(steps=81, trials=64, eval_every=9))
      >>> band.marks(), band.brackets
      ((9, 27), ((81,), (27, 81), (9, 27, 81)))
      >>> band.bracket_of(np.arange(17)).tolist()
      [2, 1, 0, 2, 2, 1, 2, 0, 1, 2, 2, 1, 2, 0, 2, 1, 2]
    """

    name: ClassVar[str] = "hyperband"

    min_steps: int | None = None
    reduction: int = 3

    def __post_init__(self) -> None:
        self._whole(2, "reduction")
        self._whole(1, "min_steps")

    def check(self) -> None:
        if not self._levels:
            steps = self.study.steps
            raise ArgumentError(
                f"Hyperband: min_steps must be at most steps // reduction = {steps // self.reduction}, so that there "
                f"are two brackets; got {self._first} in a study of steps={steps}"
            )

    @property
    def waits(self) -> bool:
        return True

    def marks(self) -> tuple[int, ...]:
        return self.brackets[-1][:-1]

    def share(self) -> float:
        steps = self.study.steps
        shares = np.array([trained_share(rungs[:-1], self.reduction, steps) for rungs in self.brackets])
        return float(shares[self._deal].mean())

    @property
    def brackets(self) -> tuple[tuple[int, ...], ...]:
        """Of each bracket, from the one that never stops to the most eager, its rungs and the study's steps."""
        steps = tuple(round(self.study.steps / self.reduction**s) for s in reversed(range(self._levels + 1)))
        return tuple(steps[self._levels - s :] for s in range(self._levels + 1))

    def bracket_of(self, trial: Any) -> np.ndarray:
        """The brackets of trials: int64 [n] ids -> int64 [n]."""
        return self._deal[np.asarray(trial) % len(self._deal)]

    def init(self) -> dict[str, Any]:
        return self._cohorts.init(len(self.study.objectives))

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        return halve(self._cohorts, self.reduction, state, report)

    @property
    def _first(self) -> int:
        return self.min_steps or max(1, self.study.steps // self.reduction**3)

    @property
    def _levels(self) -> int:
        """s_max: how often the first rung can grow by the factor within the study's steps."""
        levels = 0
        while self._first * self.reduction ** (levels + 1) <= self.study.steps:
            levels += 1
        return levels

    @cached_property
    def _deal(self) -> np.ndarray:
        """The bracket of each place in a cycle: place j of the n of a bracket lies at (j + 1/2) / n of the cycle."""
        top = self._levels
        sizes = [-(-(top + 1) * self.reduction**s // (s + 1)) for s in range(top + 1)]
        bracket = np.repeat(np.arange(top + 1), sizes)
        where = np.concatenate([(np.arange(n) + 0.5) / n for n in sizes])
        return bracket[np.lexsort((bracket, where))]

    @cached_property
    def _cohorts(self) -> Cohorts:
        return Cohorts(self._deal, tuple(rungs[:-1] for rungs in self.brackets))
