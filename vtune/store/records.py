"""What goes into a store and what comes out of it: frozen records that know nothing of databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vtune.errors import ArgumentError
from vtune.records import TrialState
from vtune.store.encoding import storable

STUDY_STATES = ("created", "running", "complete", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """One study as the store keeps it.

    Attributes:
      id: given by the store at `Writer.create`, from 1; 0 before.
      name: unique in its store; any characters.
      state: one of "created", "running", "complete", "interrupted", "failed".
      created: epoch seconds; set by `Writer.create` when 0.
      started: epoch seconds at which the present run began (a resume sets it anew); `created` when 0.
      updated: epoch seconds of the last write: the heartbeat of a running study.
      space: the search space, as `Space.to_json` gives it.
      objectives: (metric, "min" or "max") pairs; the first one orders the trials.
      metrics: names of the columns of measurements, in order.
      trials: the budget, in trials.
      steps: the budget of a trial, in optimizer steps; the mean where it is counted in another unit (see `length`).
      eval_every: steps between two measurements; the mean likewise.
      seed: the study's seed.
      rng: name of the random generator.
      proposer: name of the proposer.
      scheduler: name of the scheduler; None without one.
      task: name of the task.
      choices: what was measured or given before the first trial (block, lanes, strategy, versions); JSON values.
      report: what `explain()` shows; JSON values.
      error: why the study failed; None otherwise.
      clock: the logical clock of the last commit.
    """

    name: str
    id: int = 0
    state: str = "created"
    created: float = 0.0
    started: float = 0.0
    updated: float = 0.0
    space: Mapping[str, Any] = field(default_factory=dict)
    objectives: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ()
    trials: int = 0
    steps: int = 0
    eval_every: int = 0
    seed: int = 0
    rng: str = ""
    proposer: str = ""
    scheduler: str | None = None
    task: str = ""
    choices: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    clock: int = 0

    @property
    def length(self) -> str:
        """How long a full trial is, in words.

        >>> StudyRecord("a", steps=500).length
        '500 steps'
        """
        return self._words("amount", self.steps)

    @property
    def interval(self) -> str:
        """How long a trial trains between two measurements, in words."""
        return self._words("eval_every", self.eval_every)

    def _words(self, part: str, steps: int) -> str:
        budget = self.choices.get("budget")
        amount, unit = (steps, "steps") if budget is None else (budget[part], budget["unit"])
        return f"{amount:,} {unit.removesuffix('s') if amount == 1 else unit}"


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial that was just admitted.

    Attributes:
      id: number of the trial in its study, from 0.
      config: hyperparameter name -> value; inactive ones are absent.
      origin: who wished for it: the proposer's name, or "enqueued".
      queued: the id under which it lay in the `Queue`; None for what a proposer suggested.
    """

    id: int
    config: Mapping[str, Any]
    origin: str = ""
    queued: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrialUpdates:
    """New values of n trials, by the column. What is None stays as it was.

    Attributes:
      id: trial ids, int [n], each at most once.
      state: trial states, str [n].
      step: optimizer steps done, int [n].
      score: last value of the study's metric, float [n]; NaN = none yet.
      program: number of the program that serves the trial, int [n].
      block: number of the block, int [n].
      lane: number of the lane in its block, int [n].
      started: epoch seconds, float [n]; NaN = not yet.
      finished: epoch seconds, float [n]; NaN = not yet.
      error: why a trial failed, str or None [n].
    """

    id: ArrayLike
    state: Sequence[str] | np.ndarray
    step: ArrayLike
    score: ArrayLike
    program: ArrayLike | None = None
    block: ArrayLike | None = None
    lane: ArrayLike | None = None
    started: ArrayLike | None = None
    finished: ArrayLike | None = None
    error: Sequence[str | None] | None = None

    def columns(self) -> dict[str, list[Any]]:
        """The given columns as lists of plain Python values, NaN as None.

        Raises:
          ArgumentError: when lengths differ, a trial comes twice or a state is unknown.
        """
        columns: dict[str, list[Any]] = {"id": integers(self.id), "state": [str(state) for state in self.state]}
        for name in ("step", "program", "block", "lane"):
            if (given := getattr(self, name)) is not None:
                columns[name] = integers(given)
        for name in ("score", "started", "finished"):
            if (given := getattr(self, name)) is not None:
                columns[name] = nullable(np.asarray(given, np.float64))
        if self.error is not None:
            columns["error"] = [None if error is None else storable(error) for error in self.error]
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ArgumentError(f"the columns of TrialUpdates must be of one length; got {lengths}.")
        if len(set(columns["id"])) != len(columns["id"]):
            twice = sorted(trial for trial in set(columns["id"]) if columns["id"].count(trial) > 1)
            raise ArgumentError(f"a commit may update each trial once; trials {twice[:5]} come more than once.")
        if unknown := set(columns["state"]) - set(TrialState):
            raise ArgumentError(f"a trial's state must be one of {', '.join(TrialState)}; got {sorted(unknown)}.")
        return columns


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """The metrics of n (trial, step) pairs.

    Attributes:
      trial: trial ids, int [n].
      step: optimizer steps done before the measurement, int [n].
      values: float [n, metrics], in the order of `StudyRecord.metrics`; NaN = missing.
    """

    trial: ArrayLike
    step: ArrayLike
    values: ArrayLike


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a study: a compile, a changed block width, a decision.

    Attributes:
      time: epoch seconds.
      kind: a short word.
      detail: JSON values.
      id: ascending number, given by the store; the cursor of `Reader.events`.
      clock: logical clock of the commit that brought it, given by the store.
    """

    time: float
    kind: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    id: int | None = None
    clock: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Commit:
    """What one chunk adds to a study, written in one transaction: all of it or nothing.

    Attributes:
      clock: logical clock of the chunk.
      new_trials: trials that were admitted; they begin as "waiting".
      trial_updates: new values of trials that are not over yet.
      measurements: rows of the learning curves.
      events: what else happened.
      configs: configurations of trials that are other ones from now on, by id.
      study: fields of `StudyRecord` to set.
    """

    clock: int = 0
    new_trials: Sequence[NewTrial] = ()
    trial_updates: TrialUpdates | None = None
    measurements: Measurements | None = None
    events: Sequence[Event] = ()
    configs: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    study: Mapping[str, Any] = field(default_factory=dict)


def integers(values: ArrayLike) -> list[int]:
    """Any array of whole numbers as a flat list of Python ints."""
    return np.asarray(values, np.int64).ravel().tolist()


def nullable(values: np.ndarray) -> list[Any]:
    """A float array as (nested) lists of Python floats, NaN as None."""
    missing = np.isnan(values)
    if not missing.any():
        return values.tolist()
    filled = values.astype(object)
    filled[missing] = None
    return filled.tolist()
