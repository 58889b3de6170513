"""Trials that are not over: what a run knows of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vtune.engine.lanes import Point, State
from vtune.executors.pool import Seat
from vtune.records import Config


@dataclass(frozen=True, slots=True)
class Saved:
    """A measurement that a trial stands for, in place of its last one; the state is None until it is trained again."""

    step: int
    scores: np.ndarray
    state: State | None


@dataclass(slots=True)
class Live:
    """A trial that is not over.

    Attributes:
      config: without inactive hyperparameters.
      scores: of the last measurement, float64 [objectives]; NaN before the first.
      step: of the last measurement.
      seat: where it was admitted last.
      began: epoch seconds at which it was admitted first; NaN before.
      saved: the measurement that it stands for, if that is not the last one.
      excess: by how much the last measurement exceeds the constraints on results; NaN without any, and before it.
    """

    config: Config
    scores: np.ndarray
    step: int = 0
    seat: Seat | None = None
    began: float = float("nan")
    saved: Saved | None = None
    excess: float = float("nan")

    @property
    def stands_for(self) -> np.ndarray:
        """The scores that the trial would end with now, float64 [objectives]."""
        return self.scores if self.saved is None else self.saved.scores


def saved_points(live: Mapping[int, Live]) -> list[Point]:
    """The states that trials stand for, where these were saved."""
    return [
        Point(trial, one.saved.step, one.saved.state, None)
        for trial, one in live.items()
        if one.saved is not None and one.saved.state is not None
    ]


class Configs(Mapping[int, Config]):
    """The configs of trials that are not over, by id."""

    def __init__(self, live: Mapping[int, Live]):
        self._live = live

    def __getitem__(self, trial: int) -> Config:
        return self._live[trial].config

    def __iter__(self) -> Iterator[int]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)
