"""A block of lanes: trials are admitted to it, trained in it a chunk at a time, and retired from it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vtune.engine.program import DUE, FRESH, START, Program
from vtune.tasks.budget import Length, next_mark

IDLE = -1
"""The trial id of a lane that has none."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a block has done in one chunk, for the lanes that were to be measured.

    Attributes:
      trial: ids, int64[n].
      lane: lanes, int64[n].
      step: steps done, int64[n].
      values: metrics, float32[n, metrics].
      finite: whether the lane's floating state is finite, bool[n].
      complete: whether the lane has done all its steps, bool[n].
      steps: steps that every lane of the block did.
      live: lanes that held a trial.
      seconds: how long the block ran.
    """

    trial: np.ndarray
    lane: np.ndarray
    step: np.ndarray
    values: np.ndarray
    finite: np.ndarray
    complete: np.ndarray
    steps: int
    live: int
    seconds: float


class Block:
    """The lanes of one executable: one state `[lanes, ...]` on the device, and who sits where.

    Args:
      program: the compiled program that trains the lanes.
      words: the study's seed as uint32[2].
      data: the task's data, on the device.
    """

    def __init__(self, program: Program, words: Any, data: Any):
        lanes = program.traced.strategy.block
        self.program = program
        self.trial = np.full(lanes, IDLE, np.int64)
        self.done = np.zeros(lanes, np.int64)
        self.steps = np.ones(lanes, np.int64)
        self._every = np.ones(lanes)
        self._fresh = np.zeros(lanes, bool)
        self._words = words
        self._data = data
        self._host = program.traced.layout.encode([program.traced.exemplar] * lanes)
        self._columns = jax.device_put(self._host)
        self._state = program.empty_state()

    @property
    def live(self) -> np.ndarray:
        """Which lanes hold a trial, bool[lanes]."""
        return self.trial != IDLE

    def admit(
        self,
        lanes: np.ndarray,
        trials: Sequence[int],
        configs: Sequence[Mapping[str, Any]],
        lengths: Sequence[Length],
    ) -> None:
        """Seats trials in idle lanes; their states are made at the beginning of the next chunk.

        Args:
          lanes: where, int[n].
          trials: ids, n of them.
          configs: filled configs that satisfy the program's guards, n of them.
          lengths: how long they train, n of them.
        """
        new = self.program.traced.layout.encode(list(configs))
        for column, values in zip(jax.tree.leaves(self._host), jax.tree.leaves(new), strict=True):
            column[lanes] = values
        self._columns = jax.device_put(self._host)
        self.trial[lanes] = trials
        self.done[lanes] = 0
        self.steps[lanes] = [length.steps for length in lengths]
        self._every[lanes] = [length.every for length in lengths]
        self._fresh[lanes] = True

    def retire(self, lanes: np.ndarray) -> None:
        """Empties lanes: their trials have ended."""
        self.trial[lanes] = IDLE

    def until_measurement(self) -> int:
        """Steps until the first of the live lanes is due."""
        live = self.live
        return int((self._marks() - self.done)[live].min())

    def _marks(self) -> np.ndarray:
        return next_mark(self.done, self.steps, self._every)

    def advance(self, steps: int) -> Chunk:
        """Trains every lane for `steps` steps and measures those that are then due.

        Args:
          steps: at most `until_measurement`.
        """
        started = time.perf_counter()
        live = self.live
        after = self.done + steps
        due = live & (after >= self._marks())
        table = np.stack([np.maximum(self.trial, 0), self.done, self._fresh, due]).astype(np.uint32)
        values, finite = self._call(table, steps, bool(due.any()))
        self._fresh[:] = False
        self.done = after
        lanes = np.flatnonzero(due)
        seconds = time.perf_counter() - started
        self.program.step_seconds = seconds / steps
        return Chunk(
            self.trial[lanes], lanes, after[lanes], values[lanes], finite[lanes], after[lanes] >= self.steps[lanes],
            steps, int(live.sum()), seconds,
        )  # fmt: skip

    def _call(self, table: np.ndarray, steps: int, measure: bool) -> tuple[np.ndarray, np.ndarray]:
        if self.program.traced.strategy.loop:
            return self._dispatch(table, steps, measure)
        for _ in range(steps - 1):
            unmeasured = table.copy()
            unmeasured[DUE] = 0
            self._dispatch(unmeasured, 1, False)
            table[START] += 1
            table[FRESH] = 0
        return self._dispatch(table, 1, measure)

    def _dispatch(self, table: np.ndarray, steps: int, measure: bool) -> tuple[np.ndarray, np.ndarray]:
        clock = np.array([steps, measure], np.uint32)
        self._state, values, finite = self.program.executable(
            self._state, table, clock, self._columns, self._words, self._data
        )
        return np.asarray(values), np.asarray(finite)

    def leaves(self, lane: int) -> list[np.ndarray]:
        """A copy of one lane's state, taken before its buffers are donated to the next chunk."""
        return [np.asarray(leaf) for leaf in _one_lane(self._state[0], lane)]


@jax.jit
def _one_lane(leaves: list[Any], lane: Any) -> list[Any]:
    return [leaf[lane] for leaf in leaves]
