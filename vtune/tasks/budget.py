"""Budgets: how many steps each trial trains, and after which of them it is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.errors import TaskError
from vtune.hyper import PlainHP
from vtune.tasks.base import Run

_SLACK = 1e-6
"""Steps by which a fraction may lie above a whole number because of rounding."""
_COARSE = 1e-3


@dataclass(frozen=True, slots=True)
class Length:
    """How long one trial trains.

    Attributes:
      steps: steps of the whole trial.
      every: steps between two measurements, a fraction if need be: the k-th mark is the first step at or after
        k * every, so that measurements stay where they belong although an epoch is no whole number of steps.
      also: further steps after which it is measured, ascending.
    """

    steps: int
    every: float
    also: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Clock:
    """One count of steps for trials of different lengths: that of the mean trial, by which schedulers compare them.

    Attributes:
      steps: steps of the mean trial.
      every: steps between its measurements.
      marks: steps after which every trial is measured besides, ascending.

    >>> clock = Clock(20, every=10, marks=(5,))
    >>> clock.marks_of(20), clock.marks_of(8)
    ((5,), (2,))
    >>> clock.read(np.array([2, 4, 8]) / 8).tolist()
    [5, 10, 20]
    """

    steps: float
    every: float
    marks: tuple[int, ...] = ()

    def marks_of(self, steps: int) -> tuple[int, ...]:
        """The marks of a trial of some length, at the same shares of it."""
        return tuple(math.ceil(mark * steps / self.steps - _SLACK) for mark in self.marks)

    def read(self, share: np.ndarray) -> np.ndarray:
        """The mean trial's steps at measurements, int64 [n], from the shares of their lengths that trials have done."""
        regular = np.arange(1, math.ceil(self.steps / self.every)) * self.every
        times = np.unique([0, *regular, *self.marks, self.steps])
        place = np.searchsorted(times, share * self.steps + _COARSE, side="right") - 1
        return np.rint(times[place]).astype(np.int64)


def length(task: Any, run: Run, config: Mapping[str, Any], clock: Clock | None = None) -> Length:
    """The length of a trial.

    Args:
      task: the task, which knows what its steps amount to.
      run: the budget of every trial.
      config: the trial's filled config.
      clock: says after which steps of the mean trial all are measured besides.

    Raises:
      TaskError: the task does not know, or what it says is no positive number.

    >>> class Frames:
    ...     def cost(self, hp):
    ...         return hp.envs * 128
    >>> length(Frames(), Run(10_000, eval_every=1000, unit="examples"), {"envs": 8})
    Length(steps=10, every=0.9765625, also=())
    """
    steps, every = (_steps(task, config, amount, run.unit) for amount in (run.amount, run.eval_every))
    whole = max(1, math.ceil(steps - _SLACK))
    return Length(whole, every, () if clock is None else clock.marks_of(whole))


def mean_steps(task: Any, run: Run, configs: Sequence[Mapping[str, Any]]) -> float:
    """Steps of a trial, the mean over a sample of filled configs."""
    if run.unit == "steps":
        return run.steps
    return sum(length(task, run, config).steps for config in configs) / len(configs)


def _steps(task: Any, config: Mapping[str, Any], amount: float, unit: str) -> float:
    if unit == "steps":
        return amount
    if hasattr(task, "steps_for"):
        steps, source = task.steps_for(config, amount, unit), f"steps_for(config, {amount:g}, {unit!r})"
    elif unit == "examples" and hasattr(task, "cost"):
        cost = task.cost(PlainHP(config))
        steps, source = amount / cost if cost else math.inf, "cost(hp)"
    else:
        raise TaskError(
            f"a budget in {unit} needs a task that knows how many steps they are; {type(task).__name__} has no "
            f"steps_for(config, amount, unit){' and no cost(hp)' * (unit == 'examples')}. Add it, or tune with steps=."
        )
    if not (isinstance(steps, int | float) and 0 < steps < math.inf):
        raise TaskError(
            f"{source} of {type(task).__name__} must give a positive number; for {dict(config)} it gave "
            f"{steps!r} steps."
        )
    return steps


def next_mark(done: Any, steps: Any, every: Any) -> np.ndarray:
    """The step after which trials are measured next.

    Args:
      done: steps done, less than `steps`, int [n] or a scalar.
      steps: steps of the whole trials, of the same shape.
      every: steps between measurements, float of the same shape.

    Returns:
      Steps from `done + 1` to `steps`, int64 of the same shape.

    >>> next_mark(np.array([0, 4, 8]), 11, 3.6)
    array([ 4,  8, 11])
    """
    mark = np.floor((np.asarray(done) + 2 * _SLACK) / every) + 1
    return np.minimum(np.ceil(mark * every - _SLACK), steps).astype(np.int64)


def clock(run: Run, steps: float, marks: Sequence[int] = ()) -> Clock:
    """The clock of a run whose mean trial has some steps."""
    return Clock(steps, steps * run.eval_every / run.amount, tuple(marks))
