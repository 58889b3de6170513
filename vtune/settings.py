"""What a study was asked to do, checked before anything runs."""

from __future__ import annotations

import datetime
import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vtune.errors import ArgumentError
from vtune.requirement import Requirement, requirements
from vtune.tasks.base import Run

RISING = ("accuracy", "auc", "f1", "r2", "score", "return", "reward", "precision", "recall", "iou", "bleu")
FALLING = ("loss", "error", "mse", "mae", "rmse", "n_params", "perplexity", "nll", "latency", "time")
RESERVED = ("id", "trial", "state", "step", "score", "origin")
"""Columns of frames; no metric may be named like them."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A metric and which way it is better."""

    metric: str
    mode: str

    @property
    def sign(self) -> float:
        """Multiplies a score so that lower is better."""
        return 1.0 if self.mode == "min" else -1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers and names of a study.

    Attributes:
      objectives: what is tuned; the first is the score.
      trials: trials that are asked for.
      run: how long a full trial is, and how often it is measured.
      steps: training steps of a full trial; the mean over the space where trials differ.
      seed: of everything random.
      rng: name of the generator of the trials' keys.
      keep: how many of the best trials' parameters are kept.
      folds: parts of the data, each the validation data of one replica.
      seeds: trainings of each trial and fold.
      rerun: how many of the best trials are trained again with fresh seeds.
      constraints: what the results must keep to.
    """

    objectives: tuple[Objective, ...]
    trials: int
    run: Run
    steps: float
    seed: int
    rng: str
    keep: int
    folds: int = 1
    seeds: int = 1
    rerun: int = 0
    constraints: tuple[Requirement, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Metrics that are tuned or that must keep to a bound."""
        return (*(goal.metric for goal in self.objectives), *(bound.metric for bound in self.constraints))

    @property
    def replicas(self) -> int:
        """Lanes of a trial."""
        return self.folds * self.seeds

    @property
    def spreads(self) -> dict[str, str]:
        """Columns for the standard deviation over replicas -> the metric that each is of; none for single lanes."""
        return {f"{o.metric}_std": o.metric for o in self.objectives} if self.replicas > 1 else {}


def settings(
    *,
    metric: str | Sequence[str],
    mode: str | Sequence[str] | None,
    trials: int,
    run: Run,
    steps: float,
    seed: int,
    rng: str,
    keep: int,
    folds: int = 1,
    seeds: int = 1,
    rerun: int = 0,
    constraint: str | Sequence[str] | None = None,
) -> Settings:
    """Checks a study's numbers and fills in what was left open.

    Raises:
      ArgumentError: naming the argument, what must hold and what was given.
    """
    if rng not in ("pcg", "threefry"):
        raise ArgumentError(f"rng must be 'pcg' or 'threefry', not {rng!r}")
    goals, again = objectives(metric, mode), whole("rerun", rerun, 0)
    if again and len(goals) > 1:
        names = ", ".join(goal.metric for goal in goals)
        raise ArgumentError(f"rerun={again} trains the best trials again; several metrics ({names}) have no best ones")
    return Settings(
        objectives=goals,
        trials=whole("trials", trials, 1),
        run=run,
        steps=steps,
        seed=whole("seed", seed, 0),
        rng=rng,
        keep=whole("keep", keep, 0),
        folds=whole("folds", folds, 1),
        seeds=whole("seeds", seeds, 1),
        rerun=again,
        constraints=requirements(constraint),
    )


def budget(
    task: Any,
    *,
    steps: int | None,
    epochs: float | None,
    examples: int | None,
    eval_every: float | None,
    default: int | None = None,
) -> Run:
    """The budget of a trial, in the one unit that was given.

    Args:
      task: a task whose `steps` are fixed needs no budget.
      steps: training steps.
      epochs: passes over the training data.
      examples: rows of training data, or what the task counts.
      eval_every: how often a trial is measured, in the same unit; None for a tenth of the budget.
      default: steps where nothing is given.

    Raises:
      ArgumentError: no budget or several, or numbers that cannot be.

    >>> budget(None, steps=None, epochs=5, examples=None, eval_every=None)
    Run(amount=5, eval_every=0.5, unit='epochs')
    """
    given = {"steps": steps, "epochs": epochs, "examples": examples}
    given = {unit: amount for unit, amount in given.items() if amount is not None}
    fixed = getattr(task, "steps", None)
    if fixed is not None and given not in ({}, {"steps": fixed}):
        raise ArgumentError(f"this task always trains {fixed} step(s): leave the budget out, or give steps={fixed}")
    if not given and (fixed or default) is not None:
        given = {"steps": fixed or default}
    if len(given) != 1:
        named = " and ".join(f"{unit}={amount!r}" for unit, amount in given.items()) or "none of them"
        raise ArgumentError(
            f"exactly one of steps, epochs and examples must be given: how long a trial is; got {named}"
        )
    (unit, amount), *_ = given.items()
    amount = _amount(unit, amount, whole_only=unit != "epochs")
    if eval_every is None:
        every = amount / 10 if unit == "epochs" else max(1, int(amount) // 10)
    else:
        every = _amount("eval_every", eval_every, whole_only=unit != "epochs")
    if every > amount:
        raise ArgumentError(f"eval_every must be at most {unit}; {every:g} > {amount:g} would never measure")
    return Run(amount, every, unit)


def _amount(name: str, value: Any, whole_only: bool) -> float:
    if whole_only:
        return whole(name, value, 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ArgumentError(f"{name} must be a positive number, not {value!r}")
    return int(value) if float(value).is_integer() else value


def objectives(metric: str | Sequence[str], mode: str | Sequence[str] | None) -> tuple[Objective, ...]:
    """Pairs metrics with modes; a mode left open is known from the metric's name or asked for."""
    metrics = [metric] if isinstance(metric, str) else list(metric)
    if not metrics or not all(isinstance(name, str) and name for name in metrics):
        raise ArgumentError(f"metric must be a name or a list of names, not {metric!r}")
    if len(set(metrics)) < len(metrics):
        raise ArgumentError(f"metric names a metric twice: {metrics}")
    modes: list[Any] = [mode] * len(metrics) if mode is None or isinstance(mode, str) else list(mode)
    if len(modes) != len(metrics):
        raise ArgumentError(f"mode must have one entry a metric: {len(metrics)} metrics, {len(modes)} modes")
    return tuple(Objective(name, _mode(name, given)) for name, given in zip(metrics, modes, strict=True))


def whole(name: str, value: Any, least: int) -> int:
    """An integer argument that must not be below `least`."""
    integral = isinstance(value, numbers.Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not integral or value < least:
        raise ArgumentError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def default_name(task: Any) -> str:
    """The name of a study that was given none: the task's and the time."""
    name = getattr(task, "name", None) or type(task).__name__.lower()
    return f"{name}-{datetime.datetime.now():%Y-%m-%d-%H%M%S}"


def check_metrics(
    names: Sequence[str], wanted: Sequence[Objective], space: Any, constraints: Sequence[Requirement] = ()
) -> None:
    """Compares what a task measures with what the study is to tune and to keep to, and with names that are taken.

    Raises:
      ArgumentError: a metric that the task does not measure, or a name that clashes.
    """
    for objective in wanted:
        if objective.metric not in names:
            raise ArgumentError(
                f"metric={objective.metric!r} is not measured by the task; it measures {', '.join(sorted(names))}"
            )
    for constraint in constraints:
        if constraint.metric not in names:
            raise ArgumentError(
                f"constraint={str(constraint)!r} needs {constraint.metric!r}, which the task does not measure; it "
                f"measures {', '.join(sorted(names))}"
            )
    clashes = [name for name in names if name in RESERVED or name in space]
    if clashes:
        raise ArgumentError(
            f"metrics may not be named like a hyperparameter or a column of the results: rename {', '.join(clashes)}"
        )


def _mode(metric: str, mode: Any) -> str:
    if mode is None:
        words = metric.lower().replace("-", "_").split("_")
        if metric in FALLING or any(word in FALLING for word in words):
            return "min"
        if any(word in RISING for word in words):
            return "max"
        raise ArgumentError(f"mode must be 'min' or 'max': the name {metric!r} does not tell which is better")
    if mode not in ("min", "max"):
        raise ArgumentError(f"mode must be 'min' or 'max', not {mode!r}")
    return mode
