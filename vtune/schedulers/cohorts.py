"""Groups of trials that are decided together: whoever reaches a rung waits there until all of its group have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vtune.records import Config, Decision
from vtune.schedulers.ranking import comparable
from vtune.schedulers.report import Recall, Report, Verdict
from vtune.schedulers.state import grown, room

TRAINING, WAITING, OVER = 0, 1, 2
"""What a trial does as far as its group knows; one that was not asked for yet counts as training."""


@dataclass(frozen=True)
class Settled:
    """The groups in which nobody trains any more and somebody waits.

    Attributes:
      number: which groups: cycle * brackets + bracket, int64 [groups], ascending.
      member: ids of all their trials that exist, group after group and ascending, int64 [members].
      group: place in `number` of the group of each member, int64 [members].
      waits: which members wait, bool [members].
    """

    number: np.ndarray
    member: np.ndarray
    group: np.ndarray
    waits: np.ndarray


@dataclass(frozen=True)
class Cohorts:
    """How trials are divided into groups, by their ids alone.

    Ids are dealt out in cycles. In each cycle the trials of one bracket are a group.

    Attributes:
      bracket: the bracket of each place in a cycle, int64 [cycle].
      rungs: the steps at which the trials of each bracket wait for one another, ascending.
    """

    bracket: np.ndarray
    rungs: tuple[tuple[int, ...], ...]

    def init(self, objectives: int) -> dict[str, Any]:
        """The state before the first report: of each trial its next rung, what it does, and its score at a rung."""
        return {
            "rung": np.empty(0, np.int16),
            "status": np.empty(0, np.int8),
            "score": np.empty((0, objectives)),
            "asked": 0,
        }

    def arrive(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Settled]:
        """Takes a report in.

        Returns:
          The next state, whose arrays may be changed in place, and the groups that are to be decided now.
        """
        cycle, trial = len(self.bracket), report.trial
        asked = max(state["asked"], report.asked, room(trial))
        length = -(-asked // cycle) * cycle
        rung, status = grown(state["rung"], length, 0), grown(state["status"], length, TRAINING)
        score = grown(state["score"], length, np.inf)
        reached = report.step >= self._steps[self.bracket[trial % cycle], rung[trial]]
        status[trial] = np.where(report.finished, OVER, np.where(reached, WAITING, TRAINING))
        score[trial] = comparable(report.score)
        state = {"rung": rung, "status": status, "score": score, "asked": asked}
        return state, self._settled(status, asked, report.closed)

    def _settled(self, status: np.ndarray, asked: int, closed: bool) -> Settled:
        cycle, brackets = len(self.bracket), len(self.rungs)
        count = len(status) // cycle * brackets
        existing = status[:asked] if closed else status
        trains = np.flatnonzero(existing == TRAINING)
        waits = np.flatnonzero(existing == WAITING)
        settled = np.zeros(count, bool)
        settled[self._group(waits)] = True
        settled[self._group(trains)] = False
        number = np.flatnonzero(settled)
        of_cycles = np.unique(number // brackets)[:, None] * cycle + np.arange(cycle)
        member = of_cycles.ravel()[: np.searchsorted(of_cycles.ravel(), asked)]
        member = member[settled[self._group(member)]]
        member = member[np.argsort(self._group(member), kind="stable")]
        return Settled(number, member, np.searchsorted(number, self._group(member)), status[member] == WAITING)

    def _group(self, trial: np.ndarray) -> np.ndarray:
        """The numbers of the groups of trials."""
        cycle, place = np.divmod(trial, len(self.bracket))
        return cycle * len(self.rungs) + self.bracket[place]

    @cached_property
    def _steps(self) -> np.ndarray:
        """Step of each rung by bracket, never reached behind the last, int64 [brackets, rungs + 1]."""
        table = np.full((len(self.rungs), max(map(len, self.rungs)) + 1), np.iinfo(np.int64).max)
        for row, rungs in zip(table, self.rungs, strict=True):
            row[: len(rungs)] = rungs
        return table


@dataclass(frozen=True)
class Fates:
    """What was decided on trials that waited.

    Attributes:
      going: ids of those that go on, the most urgent first.
      ended: ids of those that are stopped.
      source: id of the trial that each of `going` copies, -1 for none; None for none at all.
      configs: new configurations of those that copy, by id.
    """

    going: Sequence[int] | np.ndarray = ()
    ended: Sequence[int] | np.ndarray = ()
    source: np.ndarray | None = None
    configs: dict[int, Config] | None = None


def verdict(state: dict[str, Any], report: Report, fates: Fates) -> Verdict:
    """Puts what was decided into the order of the report, and the rest into a recall; marks it in the state."""
    going, ended = np.asarray(fates.going, np.int64), np.asarray(fates.ended, np.int64)
    status = state["status"]
    status[ended] = OVER
    status[going] = TRAINING
    state["rung"][going] += 1
    copied = np.full(len(going), -1, np.int64) if fates.source is None else fates.source
    trial = np.concatenate([going, ended])
    source = np.concatenate([copied, np.full(len(ended), -1, np.int64)])
    chosen = np.concatenate([np.full(len(going), Decision.CONTINUE), np.full(len(ended), Decision.STOP)])
    chosen = np.where(source >= 0, Decision.COPY, chosen)
    action = np.where(status[report.trial] == WAITING, Decision.PAUSE, Decision.CONTINUE)
    if not len(trial):
        return Verdict.of(action)
    sources = np.full(len(action), -1, np.int64)
    order = np.argsort(report.trial)
    place = np.searchsorted(report.trial, trial, sorter=order)
    here = np.isin(trial, report.trial)
    rows = order[place[here]]
    action[rows], sources[rows] = chosen[here], source[here]
    recall = Recall.of(trial[~here], chosen[~here], source[~here])
    return Verdict.of(action, source=sources, configs=fates.configs or {}, recall=recall)
