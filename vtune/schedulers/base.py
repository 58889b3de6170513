"""What a scheduler is: it sees all trials that were just measured and says which go on, wait, end or copy another."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from vtune.errors import ArgumentError
from vtune.members import complete
from vtune.records import Config
from vtune.schedulers.report import Report, Verdict
from vtune.space import Space


@runtime_checkable
class Scheduler(Protocol):
    """Decides after each chunk, for all trials at once, which of them deserve more steps.

    A scheduler object holds its settings only. What it remembers of the trials is its state, nested dicts and lists of
    arrays and JSON values that goes in and comes back, so that a study can store it and go on from it.

    Two more members are looked for: `for_study(study)`, which gives a copy that knows a `StudyInfo`, and `marks()`,
    which gives the steps at which it wants a measurement, whatever the study's `eval_every`.

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
          report: the trials just measured. A trial is reported once a step, and its last report says `finished`.

        Returns:
          The next state, and the verdict on each trial of the report.
        """
        ...


@dataclass(frozen=True)
class StudyInfo:
    """What a scheduler may know of the study that it serves.

    Attributes:
      steps: training steps of a full trial.
      trials: trials that are asked for.
      eval_every: steps between two measurements.
      objectives: (metric, "min" or "max") of what is tuned; the first is the score.
      metrics: names of all that is measured; empty if that is not known yet.
      seed: of everything random.
      space: where configurations come from; None if there is none.
      fits: (sources int64 [m], configs of length m) -> bool [m]: whether a trial could go on under a config from the
        state of its source, as it can if the same program trains both and the state means the same under both. None if
        every config can.

    Example:
      >>> StudyInfo(steps=500, trials=64, eval_every=50).objectives
      (('loss', 'min'),)
    """

    steps: int
    trials: int
    eval_every: int
    objectives: tuple[tuple[str, str], ...] = (("loss", "min"),)
    metrics: tuple[str, ...] = ()
    seed: int = 0
    space: Space | None = None
    fits: Callable[[np.ndarray, Sequence[Config]], np.ndarray] | None = None


class StudyScheduler:
    """Base of the schedulers here: frozen dataclasses of settings, whose copies know the study that they serve.

    Attributes:
      single: whether it compares a single score.
    """

    name: ClassVar[str]
    single: ClassVar[bool] = False
    _study: StudyInfo | None = None

    @property
    def study(self) -> StudyInfo:
        """The study that this copy serves.

        Raises:
          ArgumentError: a scheduler that was not told of a study.
        """
        if self._study is None:
            kind = type(self).__name__
            raise ArgumentError(f"{kind} must be told of the study first: {kind}(...).for_study(StudyInfo(...))")
        return self._study

    def for_study(self, study: StudyInfo) -> Self:
        """A copy that knows the study.

        Raises:
          ArgumentError: settings that do not fit the study.
        """
        if self.single and len(study.objectives) > 1:
            names = ", ".join(metric for metric, _ in study.objectives)
            raise ArgumentError(f"{type(self).__name__} compares one score; this study has several: {names}")
        told = dataclasses.replace(self)  # type: ignore[type-var]
        object.__setattr__(told, "_study", study)
        told.check()
        return told

    def check(self) -> None:
        """Compares the settings with the study's; raises `ArgumentError`."""

    def marks(self) -> tuple[int, ...]:
        """Steps at which trials must be measured, whatever the study's `eval_every`."""
        return ()

    @property
    def waits(self) -> bool:
        """Whether trials wait for others before they are over, so that it is long before the first of them is."""
        return False

    @property
    def together(self) -> bool:
        """Whether all trials of the study wait for one another time and again, so that none should wait for a lane."""
        return False

    def share(self) -> float:
        """The share of a full trial's steps that a trial trains on average, as far as the rules tell beforehand."""
        return 1.0

    def _whole(self, least: int, *names: str) -> None:
        """Checks settings that must be whole numbers; None is left to the study."""
        for name in names:
            value = getattr(self, name)
            if value is None:
                continue
            integral = isinstance(value, numbers.Integral) or (isinstance(value, float) and value.is_integer())
            if isinstance(value, bool) or not integral or value < least:
                raise ArgumentError(f"{name} must be a whole number of at least {least}, not {value!r}")
            object.__setattr__(self, name, int(value))

    def describe(self) -> dict[str, Any]:
        """The settings, as JSON values: what must be the same when a study goes on."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


_REGISTRY: dict[str, Any] = {}

_MEMBERS = ("name", "init", "decide")

Kind = TypeVar("Kind", bound=type)


def register(kind: Kind) -> Kind:
    """Class decorator: `make` finds the class by its `name`, and the contract tests run over it."""
    _REGISTRY[kind.name] = kind  # type: ignore[attr-defined]
    return kind


def names() -> tuple[str, ...]:
    """The names that `make` knows, in alphabetical order."""
    return tuple(sorted(_REGISTRY))


def make(scheduler: str | Scheduler | None) -> Scheduler | None:
    """Gives a scheduler.

    Args:
      scheduler: None to train every trial to its end, one of `names()`, or an object with the members of `Scheduler`.

    Returns:
      None, the scheduler of that name with its default settings, or the object itself.

    Raises:
      ArgumentError: anything else; says what it lacks.

    Example:
      >>> make("asha").reduction
      3
      >>> make(None) is None
      True
    """
    if scheduler is None:
        return None
    must = (
        f"scheduler must be None, one of {', '.join(map(repr, names()))}, or an object with name, init() and "
        "decide(state, report)"
    )
    if isinstance(scheduler, str):
        if scheduler not in _REGISTRY:
            raise ArgumentError(f"{must}; got {scheduler!r}")
        return _REGISTRY[scheduler]()
    return complete(scheduler, _MEMBERS, must)


def prepared(scheduler: Any, study: StudyInfo) -> Any:
    """The scheduler as it serves a study: its `for_study(study)` if it has one, else itself.

    Example:
      >>> prepared(make("asha"), StudyInfo(steps=270, trials=64, eval_every=10)).marks()
      (10, 30, 90)
    """
    return scheduler.for_study(study) if hasattr(scheduler, "for_study") else scheduler


def marks(scheduler: Any) -> tuple[int, ...]:
    """The steps at which a prepared scheduler wants trials measured, in ascending order.

    Example:
      >>> marks(None)
      ()
    """
    return tuple(sorted(set(scheduler.marks()))) if hasattr(scheduler, "marks") else ()


def waits(scheduler: Any) -> bool:
    """Whether trials wait for others before they are over, so that it is long before the first of them is.

    Example:
      >>> waits(make("successive-halving")), waits(make("asha")), waits(None)
      (True, False, False)
    """
    return bool(getattr(scheduler, "waits", False))


def together(scheduler: Any) -> bool:
    """Whether all trials of a study wait for one another time and again, so that none should wait for a lane.

    Example:
      >>> together(make("pbt")), together(make("successive-halving"))
      (True, False)
    """
    return bool(getattr(scheduler, "together", False))


def share(scheduler: Any) -> float:
    """The share of all steps that a prepared scheduler is expected to let trials train, in (0, 1].

    Example:
      >>> round(share(prepared(make("asha"), StudyInfo(steps=270, trials=64, eval_every=10))), 3)
      0.111
      >>> share(None)
      1.0
    """
    return scheduler.share() if hasattr(scheduler, "share") else 1.0
