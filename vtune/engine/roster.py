"""Who sits in the lanes of a block, and how far each has come: all of a block that is not on its device."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.tasks.budget import next_mark

if TYPE_CHECKING:
    from vtune.engine.lanes import Entry

IDLE = -1
"""The trial id of a lane that has none."""
NEVER = 2**62
"""A step that no trial comes to."""


class Roster:
    """The lanes of a block by number: which trial each holds, and how many steps it has done.

    The replicas of a trial sit in one block and come and go together, so that they are always at the same step.

    Args:
      lanes: of the block.
      replicas: lanes of one trial.
    """

    def __init__(self, lanes: int, replicas: int = 1):
        self.replicas = replicas
        self.trial = np.full(lanes, IDLE, np.int64)
        self.replica = np.zeros(lanes, np.int64)
        self._keys = np.zeros(lanes, np.int64)
        self.done = np.zeros(lanes, np.int64)
        self.steps = np.ones(lanes, np.int64)
        self._every = np.ones(lanes)
        self._stop = np.full(lanes, NEVER, np.int64)
        self._also: list[tuple[int, ...]] = [()] * lanes
        self._fresh = np.zeros(lanes, bool)

    @property
    def live(self) -> np.ndarray:
        """Which lanes hold a trial, bool[lanes]."""
        return self.trial != IDLE

    @property
    def room(self) -> int:
        """How many more trials fit in."""
        return int((~self.live).sum()) // self.replicas

    @property
    def ending(self) -> int:
        """How many trials will have done all their steps at their next measurement."""
        return int(((self._marks() >= self.steps) & self.live).sum()) // self.replicas

    @property
    def stopped(self) -> np.ndarray:
        """Which lanes have come to the step at which they are to stop, bool[lanes]."""
        return self.done >= self._stop

    def lanes_of(self, trials: Any) -> np.ndarray:
        """The lanes of trials that sit here, int64[n, replicas], by trial and replica."""
        rows = [np.flatnonzero(self.trial == trial) for trial in np.asarray(trials).tolist()]
        lanes = np.array(rows, np.int64).reshape(len(rows), self.replicas)
        return np.take_along_axis(lanes, np.argsort(self.replica[lanes], axis=1), axis=1)

    def take(self, queue: deque[Entry]) -> list[Entry]:
        """Takes as many trials from a queue as there is room for."""
        return [queue.popleft() for _ in range(min(self.room, len(queue)))]

    def admit(self, entries: Sequence[Entry]) -> np.ndarray:
        """Seats trials in idle lanes.

        Args:
          entries: at most `room`.

        Returns:
          Where they sit, int64[n, replicas].
        """
        free = np.flatnonzero(~self.live)[: len(entries) * self.replicas]
        lanes = free.reshape(len(entries), self.replicas)
        self._seat(lanes, entries)
        self._fresh[lanes[np.array([entry.state is None for entry in entries], bool)]] = True
        return lanes

    def _seat(self, lanes: np.ndarray, entries: Sequence[Entry]) -> None:
        flat = lanes.ravel()
        self.trial[flat] = np.repeat([entry.trial for entry in entries], self.replicas)
        self.replica[flat] = np.repeat([entry.first for entry in entries], self.replicas)
        self.replica[flat] += np.tile(np.arange(self.replicas), len(entries))
        self._keys[flat] = np.repeat([e.trial if e.keys is None else e.keys for e in entries], self.replicas)
        self.done[flat] = np.repeat([entry.done for entry in entries], self.replicas)
        self.steps[flat] = np.repeat([entry.length.steps for entry in entries], self.replicas)
        self._every[flat] = np.repeat([entry.length.every for entry in entries], self.replicas)
        self._stop[flat] = np.repeat([entry.stop for entry in entries], self.replicas)
        for row, entry in zip(lanes.tolist(), entries, strict=True):
            for lane in row:
                self._also[lane] = entry.length.also
        self._fresh[flat] = False

    def retire(self, lanes: np.ndarray) -> None:
        """Empties lanes: their trials have ended."""
        self.trial[lanes] = IDLE

    def until_measurement(self) -> int:
        """Steps until the first of the live lanes is due, or is to stop."""
        return int((np.minimum(self._marks(), self._stop) - self.done)[self.live].min())

    def pass_steps(self, steps: int) -> None:
        """Notes that all lanes have done so many steps more."""
        self._fresh[:] = False
        self.done = self.done + steps

    def _marks(self) -> np.ndarray:
        regular = next_mark(self.done, self.steps, self._every)
        if not any(self._also):
            return regular
        pairs = zip(self._also, self.done.tolist(), regular.tolist(), strict=True)
        return np.array([min([next_one, *(m for m in also if m > done)]) for also, done, next_one in pairs], np.int64)
