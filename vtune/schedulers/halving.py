"""Synchronous successive halving (Jamieson and Talwalkar, 2016, "Non-stochastic Best Arm Identification and ...")."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.cohorts import Cohorts, Fates, Settled, verdict
from vtune.schedulers.ranking import first_in_each, leaders
from vtune.schedulers.report import Report, Verdict
from vtune.schedulers.rungs import geometric, trained_share


@register
@dataclass(frozen=True)
class SuccessiveHalving(StudyScheduler):
    """Trials of a cohort wait for one another at each rung; then the best 1/reduction go on and the others end.

    Trials that wait leave their lanes to others, and the survivors come back side by side, in fewer blocks. What is
    decided does not depend on the number of lanes or on which trial was measured first. At least one trial of a cohort
    goes on at every rung, if any of them is finite. Ties go to the smaller id. Several objectives are ranked by fronts
    and crowding distance. "Non-stochastic Best Arm Identification and Hyperparameter Optimization" is the paper.

    Args:
      min_steps: the first rung; a 1/reduction**3 of the study's steps unless given. Rungs are measured exactly.
      reduction: factor between rungs, and one over the share of trials that go on.
      cohort: how many trials, by consecutive ids, are compared with one another; all of the study unless given.
        Smaller cohorts wait less and park fewer states.

    Raises:
      ArgumentError: numbers below 1, a reduction below 2; in a study: no rung before its last step.

    Example:
      >>> from vtune.records import Decision
      >>> from vtune.schedulers import Report, StudyInfo
      >>> halving = SuccessiveHalving(10, 2).for_study(StudyInfo(steps=30, trials=4, eval_every=10))
      >>> def report(trials, scores):
      ...     return Report(np.array(trials), np.full(2, 10), np.array(scores), np.zeros(2, bool), asked=4, closed=True)
      >>> state, verdict = halving.decide(halving.init(), report([0, 1], [0.3, 0.1]))
      >>> [Decision(action).name for action in verdict.action]
      ['PAUSE', 'PAUSE']
      >>> state, verdict = halving.decide(state, report([2, 3], [0.4, 0.2]))
      >>> [Decision(action).name for action in verdict.action]
      ['STOP', 'CONTINUE']
      >>> dict(zip(verdict.recall.trial.tolist(), verdict.recall.action.tolist()))
      {1: 0, 0: 1}
    """

    name: ClassVar[str] = "successive-halving"

    min_steps: int | None = None
    reduction: int = 3
    cohort: int | None = None

    def __post_init__(self) -> None:
        self._whole(2, "reduction")
        self._whole(1, "min_steps", "cohort")

    def check(self) -> None:
        self.marks()

    @property
    def waits(self) -> bool:
        return True

    def marks(self) -> tuple[int, ...]:
        steps = self.study.steps
        first = self.min_steps or -(-steps // self.reduction**3)
        return geometric("SuccessiveHalving", first, self.reduction, steps)

    def share(self) -> float:
        return trained_share(self.marks(), self.reduction, self.study.steps)

    def init(self) -> dict[str, Any]:
        return self._cohorts.init(len(self.study.objectives))

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        return halve(self._cohorts, self.reduction, state, report)

    @cached_property
    def _cohorts(self) -> Cohorts:
        return Cohorts(np.zeros(self.cohort or self.study.trials, np.int64), (self.marks(),))


def halve(cohorts: Cohorts, reduction: int, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
    """One report of successive halving in each of some cohorts."""
    state, settled = cohorts.arrive(state, report)
    waiting = settled.member[settled.waits]
    lead = _leading(state, settled, reduction, max(map(len, cohorts.rungs)))
    going = waiting[lead]
    urgent = going[np.lexsort((going, -state["rung"][going]))]
    return state, verdict(state, report, Fates(urgent, waiting[~lead]))


def _leading(state: dict[str, Any], settled: Settled, reduction: int, rungs: int) -> np.ndarray:
    """Which of those that wait go on, bool [waiting].

    All of a group wait at one rung, but for trials that were added by hand after the group's first decision: for these
    there are the places that more members make.
    """
    waits, groups = settled.waits, len(settled.number)
    rung, trial, score = state["rung"][settled.member], settled.member[waits], state["score"][settled.member[waits]]
    members = np.bincount(settled.group * (rungs + 1) + rung, minlength=groups * (rungs + 1)).reshape(groups, rungs + 1)
    beyond = members.sum(axis=1, keepdims=True) - members.cumsum(axis=1)
    wanted = np.maximum(1, members.sum(axis=1, keepdims=True) // reduction ** np.arange(1, rungs + 2))
    race = settled.group[waits] * (rungs + 1) + rung[waits]
    places = (wanted - beyond).ravel()
    if score.shape[1] == 1:
        return first_in_each(score[:, 0], trial, race, places)
    lead = np.zeros(len(trial), bool)
    for number in np.unique(race).tolist():
        rows = np.flatnonzero(race == number)
        lead[rows] = leaders(score[rows], trial[rows], int(places[number]))
    return lead
