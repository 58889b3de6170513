"""The states of the best trials, copied out of their lanes before the buffers are used again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.engine.lane import LaneTask


@dataclass(frozen=True, slots=True)
class KeptState:
    """The final state of one trial.

    Attributes:
      trial: its id.
      score: its score, lower is better.
      lane: the task as the trial's program saw it, which knows the structure of the state.
      config: its config, filled.
      leaves: the arrays of its state.
    """

    trial: int
    score: float
    lane: LaneTask
    config: Mapping[str, Any]
    leaves: tuple[np.ndarray, ...]


class Kept:
    """The best `most` states so far; of equal scores the earlier trial stays."""

    def __init__(self, most: int):
        self.most = most
        self._heap: list[tuple[float, int]] = []
        self._states: dict[int, KeptState] = {}

    def offer(
        self,
        trials: np.ndarray,
        scores: np.ndarray,
        copy: Callable[[int], tuple[LaneTask, list[np.ndarray]]],
        config: Callable[[int], Mapping[str, Any]],
    ) -> None:
        """Keeps those of the trials that are among the best.

        Args:
          trials: ids of trials that have just ended well, int[n].
          scores: lower is better, float[n].
          copy: gives the task of a trial's lane and the leaves of its state; called only for those that are kept.
          config: gives the filled config of a trial.
        """
        for index in np.lexsort((trials, scores))[: self.most]:
            trial, score = int(trials[index]), float(scores[index])
            entry = (-score, -trial)
            if len(self._heap) == self.most:
                if entry <= self._heap[0]:
                    return
                del self._states[-heapq.heappop(self._heap)[1]]
            heapq.heappush(self._heap, entry)
            lane, leaves = copy(trial)
            self._states[trial] = KeptState(trial, score, lane, config(trial), tuple(leaves))

    def add(self, state: KeptState) -> None:
        """Keeps a state of an earlier run that is among the best."""
        self._states[state.trial] = state

    @property
    def states(self) -> list[KeptState]:
        """What is kept, best first."""
        return sorted(self._states.values(), key=lambda kept: (kept.score, kept.trial))

    def get(self, trial: int) -> KeptState | None:
        """The state of a trial, if it was kept."""
        return self._states.get(trial)
