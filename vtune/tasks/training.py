"""What an optimizer is told of the training that it is made for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vtune.tasks.base import Run

_SLACK = 1e-6
"""Examples by which a fraction of an epoch may lie above a whole number because of rounding."""


@dataclass(frozen=True, slots=True)
class Training:
    """How long a trial trains, for `optimizer(hp, run)`.

    Where the batch size is a hyperparameter, what follows from it is the trial's own, and goes into schedules like any
    hyperparameter.

    Attributes:
      steps: optimizer steps of a full trial.
      eval_every: steps between two measurements.
      batch_size: rows in a batch.
      rows: rows of training data.
      steps_per_epoch: steps after which every row was seen at least once, `ceil(rows / batch_size)`.
      epochs: passes over the training data in `steps` steps.
    """

    steps: int
    eval_every: int
    batch_size: int
    rows: int

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.batch_size)

    @property
    def epochs(self) -> float:
        return self.steps * self.batch_size / self.rows


def training(run: Run, batch_size: Any, rows: int) -> Training:
    """What a run is for a batch size.

    Args:
      run: the budget of every trial.
      batch_size: rows in a batch, an int or a Hyper.
      rows: rows of training data.

    >>> training(Run(2, eval_every=0.5, unit="epochs"), batch_size=30, rows=100)
    Training(steps=7, eval_every=2, batch_size=30, rows=100)
    """

    def steps(amount: float) -> Any:
        if run.unit == "steps":
            return int(amount)
        return -(-math.ceil(examples(amount, run.unit, rows) - _SLACK) // batch_size)

    return Training(steps(run.amount), steps(run.eval_every), batch_size, rows)


def examples(amount: float, unit: str, rows: int) -> float:
    """Rows of training data that an amount of "epochs" or "examples" is.

    >>> examples(2.5, "epochs", 100)
    250.0
    """
    return amount * rows if unit == "epochs" else amount
