"""The values that every room may hold: a trial, its state, a measurement, a decision."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Config = dict[str, Any]
"""One choice of a space: hyperparameter name -> Python value. Hyperparameters that are not active are absent."""


class TrialState(enum.StrEnum):
    """Where a trial is in its life. The last four are terminal; a trial reaches exactly one of them.

    Example:
      >>> [state.value for state in TrialState if state.terminal]
      ['complete', 'stopped', 'diverged', 'failed']
      >>> TrialState.COMPLETE == "complete"
      True
    """

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether a trial in this state is over."""
        return self not in (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and what became of it.

    Attributes:
      id: number of the trial in its study, from 0, in the order in which configurations were admitted.
      config: hyperparameter name -> value; hyperparameters that were not active are absent.
      state: see `TrialState`.
      step: optimizer steps done at the last measurement.
      score: the last value of the study's metric, as the user's metric has it (not negated); None before the first.
      metrics: the last value of every metric, by name.
      origin: who wished for it: the proposer's name, or "enqueued".
      error: why it failed; None otherwise.
      rerun: what fresh seeds made of it after the study; None where it was not trained again.

    Example:
      >>> trial = Trial(7, {"lr": 0.1}, TrialState.COMPLETE, step=500, score=0.97)
      >>> trial.config["lr"], trial.state.terminal
      (0.1, True)
    """

    id: int
    config: Mapping[str, Any]
    state: TrialState = TrialState.WAITING
    step: int = 0
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    origin: str = ""
    error: str | None = None
    rerun: Rerun | None = None

    def _repr_html_(self) -> str:
        from vtune.display import cards  # notebooks alone need it

        told = {"score": self.score, "step": self.step, "origin": self.origin or None, "error": self.error}
        facts = {name: value for name, value in told.items() if value is not None}
        return cards.card(
            cards.title(f"trial {self.id}", self.state),
            cards.pairs(facts),
            cards.table(["hyperparameter", "value"], list(self.config.items())),
            cards.table(["metric", "last value"], list(self.metrics.items())) if self.metrics else "",
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """The metrics of one trial at one step.

    Example:
      >>> Measurement(trial=7, step=100, metrics={"loss": 0.3}).metrics["loss"]
      0.3
    """

    trial: int
    step: int
    metrics: Mapping[str, float]


class Decision(enum.IntEnum):
    """What a scheduler says of a trial.

    Attributes:
      CONTINUE: it trains on; a paused trial goes on from the state that it left its lane with.
      STOP: it is over without having had its full budget, and is not ranked among the complete ones.
      COPY: it goes on from a copy of another trial's state, under its own id and its own keys.
      PAUSE: it leaves its lane; its state is kept until the scheduler speaks of it again.
      FINISH: it is over and counts as complete, since more steps would not help it.
    """

    CONTINUE = 0
    STOP = 1
    COPY = 2
    PAUSE = 3
    FINISH = 4


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of a trial's training: trials that go on from copies of others have several.

    Attributes:
      until: the step at which it ends.
      trial: whose keys were drawn.
      config: the configuration that was trained.

    Example:
      >>> Leg(until=100, trial=7, config={"lr": 0.1}).trial
      7
    """

    until: int
    trial: int
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rerun:
    """What fresh seeds made of a trial after the study; see `rerun=` of `vtune.tune`.

    Attributes:
      selected: the score for which the trial was chosen.
      scores: of fresh seeds (each the mean over folds); NaN for one that diverged.
      tests: metric on the test data -> its value for each fresh seed; empty without test data.

    Example:
      >>> again = Rerun(0.98, scores=(0.94, 0.96), tests={"accuracy": (0.93, 0.95)})
      >>> round(again.score, 3), round(again.spread, 3), again.test
      (0.95, 0.01, {'accuracy': 0.94})
    """

    selected: float
    scores: tuple[float, ...]
    tests: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """The mean of `scores`."""
        return statistics.fmean(self.scores)

    @property
    def spread(self) -> float:
        """The standard deviation of `scores`."""
        return statistics.pstdev(self.scores)

    @property
    def test(self) -> dict[str, float]:
        """The means of `tests`."""
        return {name: statistics.fmean(values) for name, values in self.tests.items()}

    @property
    def test_spread(self) -> dict[str, float]:
        """The standard deviations of `tests`."""
        return {name: statistics.pstdev(values) for name, values in self.tests.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Rerun:
        """Reads what `dataclasses.asdict` gave after a way through JSON."""
        tests = {name: tuple(each) for name, each in values["tests"].items()}
        return cls(values["selected"], tuple(values["scores"]), tests)
