"""What passes between a study and its scheduler: the report of a chunk, and the verdict on its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from vtune.errors import SchedulerError
from vtune.records import Config, Decision

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Report:
    """The trials that were measured at the end of a chunk, in the order of their ids.

    A report without trials is given when nothing trains and nothing waits for a lane, but trials are paused: those that
    the scheduler does not recall then are over.

    Attributes:
      trial: ids, int64 [n].
      step: optimizer steps done, int64 [n].
      score: float64 [n], or [n, objectives] if the study has several; lower is better whatever the study's mode; NaN
        for a trial without a score.
      finished: whether the trial's budget is used up or it diverged, bool [n]; such a trial ends whatever is decided.
      metrics: every metric by its name, as the user's metric has it (not negated), float64 [n]; NaN where missing.
      configs: the configurations of all trials that are not over, by id.
      asked: how many trials have an id so far: those below it exist.
      closed: whether there will be no further trials, since the budget is given out or the proposer has no more.

    Example:
      >>> Report(np.array([0, 1]), np.array([10, 10]), np.array([0.5, 0.2]), np.array([False, False])).closed
      False
    """

    trial: np.ndarray
    step: np.ndarray
    score: np.ndarray
    finished: np.ndarray
    metrics: Mapping[str, np.ndarray] = field(default_factory=lambda: _NOTHING)
    configs: Mapping[int, Config] = field(default_factory=lambda: _NOTHING)
    asked: int = 0
    closed: bool = False


@dataclass(frozen=True)
class Recall:
    """What becomes of trials that were paused before, the most urgent first.

    Attributes:
      trial: ids of paused trials, int64 [m].
      action: CONTINUE to go on from the parked state, COPY to go on from another's, STOP or FINISH to end, int8 [m].
      source: id of the trial whose state is copied where the action is COPY, -1 elsewhere, int64 [m].
    """

    trial: np.ndarray
    action: np.ndarray
    source: np.ndarray

    @classmethod
    def of(cls, trial: Any, action: Any = Decision.CONTINUE, source: Any = -1) -> Recall:
        """A recall of trials [m], with one action and source for all or one for each.

        Example:
          >>> Recall.of([4, 2]).action.tolist()
          [0, 0]
        """
        ids = np.asarray(trial, dtype=np.int64)
        actions, sources = np.empty(ids.shape, np.int8), np.empty(ids.shape, np.int64)
        actions[:], sources[:] = action, source
        return cls(ids, actions, sources)


@dataclass(frozen=True)
class Verdict:
    """What becomes of the trials of a report, in its order, and of trials that were paused before.

    Every source is copied as it was at the end of the chunk, before anything of the verdict is carried out.

    Attributes:
      action: values of `Decision`, int8 [n].
      source: id of the trial whose state is copied where the action is COPY, -1 elsewhere, int64 [n]. It is a trial of
        the report or a paused one: their states are those that were measured.
      save: bool [n], or None for nowhere: the state and scores of this measurement are what the trial stands for when
        it ends, in place of its last, unless a later measurement is saved.
      configs: the new configurations of trials whose action is COPY, by id, without inactive hyperparameters; a trial
        that is not among them takes its source's configuration.
      recall: what becomes of paused trials; None for nothing.

    Example:
      >>> Verdict.going_on(2).action.tolist()
      [0, 0]
    """

    action: np.ndarray
    source: np.ndarray
    save: np.ndarray | None = None
    configs: Mapping[int, Config] = field(default_factory=lambda: _NOTHING)
    recall: Recall | None = None

    @classmethod
    def going_on(cls, n: int) -> Verdict:
        """The verdict under which all n trials go on."""
        return cls.of(np.full(n, Decision.CONTINUE))

    @classmethod
    def of(cls, action: Any, **fields: Any) -> Verdict:
        """A verdict that copies nothing in the report; `fields` are the others by name.

        Example:
          >>> Verdict.of([Decision.STOP, Decision.PAUSE]).source.tolist()
          [-1, -1]
        """
        actions = np.asarray(action, dtype=np.int8)
        return cls(actions, fields.pop("source", np.full(len(actions), -1, dtype=np.int64)), **fields)


def checked(verdict: Verdict, report: Report, paused: Any, scheduler: str = "the scheduler") -> Verdict:
    """Checks that a verdict can be carried out.

    Args:
      verdict: what a scheduler decided.
      report: what it decided on.
      paused: ids of the trials that were paused before, [p].
      scheduler: its name, for errors.

    Returns:
      The verdict, its arrays of the documented types, with a recall.

    Raises:
      SchedulerError: arrays of another length than the report's, unknown actions, sources that are neither in the
        report nor paused, recalled trials that are not paused, configurations for trials that copy nothing.

    Example:
      >>> report = Report(np.array([3]), np.array([10]), np.array([0.5]), np.array([False]))
      >>> checked(Verdict.of([Decision.COPY], source=np.array([8])), report, paused=[])
      Traceback (most recent call last):
      vtune.errors.SchedulerError: the scheduler: a source must be in the report or paused; trial 3 was to copy 8
    """
    n = len(report.trial)
    action, source = np.asarray(verdict.action), np.asarray(verdict.source)
    save = np.zeros(n, bool) if verdict.save is None else np.asarray(verdict.save)
    for name, array in (("action", action), ("source", source), ("save", save)):
        if array.shape != (n,):
            raise SchedulerError(f"{scheduler}: {name} must have shape [{n}], as the report; got {list(array.shape)}")
    recall = Recall.of([]) if verdict.recall is None else verdict.recall
    _check_recall(scheduler, recall, paused)
    _check_actions(scheduler, report.trial, action)
    trials, actions, sources = report.trial, action, source
    if len(recall.trial):
        trials = np.concatenate([trials, recall.trial])
        actions = np.concatenate([action, recall.action])
        sources = np.concatenate([source, recall.source])
    copies = actions == Decision.COPY
    if copies.any():
        near = np.concatenate([report.trial, np.asarray(paused, dtype=np.int64)])
        for row in np.flatnonzero(copies & ~np.isin(sources, near)).tolist():
            raise SchedulerError(
                f"{scheduler}: a source must be in the report or paused; trial {trials[row]} was to copy {sources[row]}"
            )
    foreign = sorted(set(verdict.configs) - set(trials[copies].tolist()))
    if foreign:
        raise SchedulerError(f"{scheduler}: only trials that copy may have new configs; got some for {foreign}")
    return Verdict(action.astype(np.int8), source.astype(np.int64), save.astype(bool), verdict.configs, recall)


def _check_recall(scheduler: str, recall: Recall, paused: Any) -> None:
    trial = np.asarray(recall.trial)
    if not len(trial):
        return
    shapes = {np.shape(recall.action), np.shape(recall.source), trial.shape}
    if len(shapes) > 1:
        raise SchedulerError(f"{scheduler}: arrays of a recall must be of one length; got shapes {sorted(shapes)}")
    waiting = np.asarray(paused, dtype=np.int64)
    if not np.isin(trial, waiting).all() or len(np.unique(trial)) < len(trial):
        raise SchedulerError(
            f"{scheduler}: recalled trials must be paused, each named once; got {trial.tolist()} "
            f"where {waiting.tolist()} are paused"
        )
    _check_actions(scheduler, trial, recall.action, but=Decision.PAUSE)


def _check_actions(scheduler: str, trial: np.ndarray, action: np.ndarray, but: int = -1) -> None:
    wrong = (action < 0) | (action > max(Decision)) | (action == but)
    if wrong.any():
        names = ", ".join(decision.name for decision in Decision if decision != but)
        row = int(np.argmax(wrong))
        raise SchedulerError(f"{scheduler}: the action on trial {trial[row]} must be one of {names}; got {action[row]}")
