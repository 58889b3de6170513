"""What a scheduler is: it sees all trials that were just measured and says which go on, end, or copy another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Decision


@dataclass(frozen=True)
class Report:
    """The trials that were measured at the end of a chunk, in the order of their ids.

    Attributes:
      trial: ids, int64 [n].
      step: optimizer steps done, int64 [n].
      score: float64 [n], lower is better whatever the study's mode; NaN for a trial without a score.
      finished: whether the trial's budget is used up, bool [n]; such a trial ends whatever is decided.
    """

    trial: np.ndarray
    step: np.ndarray
    score: np.ndarray
    finished: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """What becomes of the trials of a report, in its order.

    Attributes:
      action: values of `Decision`, int8 [n].
      source: id of the trial whose state is copied where the action is COPY, -1 elsewhere, int64 [n].
    """

    action: np.ndarray
    source: np.ndarray

    @classmethod
    def going_on(cls, n: int) -> Verdict:
        """The verdict under which all n trials go on."""
        return cls(np.full(n, Decision.CONTINUE, dtype=np.int8), np.full(n, -1, dtype=np.int64))


@runtime_checkable
class Scheduler(Protocol):
    """Decides after each chunk, for all trials at once, which of them deserve more steps.

    A scheduler object holds its settings only. What it remembers of the trials is its state, a pytree of arrays and
    JSON values that goes in and comes back, so that a study can store it and go on from it.

    Attributes:
      name: what it is called in studies.
    """

    name: str

    def init(self) -> Any:
        """The state before the first report."""
        ...

    def decide(self, state: Any, report: Report) -> tuple[Any, Verdict]:
        """Looks at a report.

        Args:
          state: what the last call returned, or `init`. It is not changed in place.
          report: the trials just measured.

        Returns:
          The next state, and the verdict on each trial of the report.
        """
        ...


def make(scheduler: Scheduler | None) -> Scheduler | None:
    """Checks a scheduler.

    Args:
      scheduler: None to train every trial to its end, or an object with the members of `Scheduler`.

    Returns:
      The same.

    Raises:
      ArgumentError: anything else; says what it lacks.

    Example:
      >>> make(None) is None
      True
    """
    if scheduler is None:
        return None
    must = "scheduler must be None or an object with name, init() and decide(state, report)"
    if isinstance(scheduler, str | type):
        raise ArgumentError(f"{must}; got {scheduler!r}")
    lacking = [member for member in ("name", "init", "decide") if not hasattr(scheduler, member)]
    if lacking:
        raise ArgumentError(f"{must}; {type(scheduler).__name__} lacks {', '.join(lacking)}")
    return scheduler
