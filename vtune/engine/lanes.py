"""A block of lanes: trials are admitted to it, trained in it a chunk at a time, and taken out of it."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.engine.program import DUE, FRESH, START, Program
from vtune.tasks.budget import Length, next_mark

IDLE = -1
"""The trial id of a lane that has none."""

State = list[np.ndarray]
"""A trial outside of its lanes: the arrays of its state, `[replicas, ...]`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What a block has done in one chunk, for the lanes that were to be measured.

    Attributes:
      trial: ids, int64[n].
      replica: which of the trial's folds and seeds, int64[n].
      lane: lanes, int64[n].
      step: steps done, int64[n].
      values: metrics, float32[n, metrics].
      finite: whether the lane's floating state is finite, bool[n].
      share: of its steps that the lane has done, float64[n]; 1 for all.
      steps: steps that every lane of the block did.
      live: lanes that held a trial.
      seconds: how long the block ran.
    """

    trial: np.ndarray
    replica: np.ndarray
    lane: np.ndarray
    step: np.ndarray
    values: np.ndarray
    finite: np.ndarray
    share: np.ndarray
    steps: int
    live: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A trial on its way into a block.

    Attributes:
      trial: its id.
      config: its filled config.
      length: how long it trains.
      done: steps it has done.
      state: its state after them; None for a trial that begins.
    """

    trial: int
    config: Mapping[str, Any]
    length: Length
    done: int = 0
    state: State | None = None


class Block:
    """The lanes of one executable: one state `[lanes, ...]` on the device, and who sits where.

    The replicas of a trial sit in one block and come and go together, so that they are always at the same step.

    Args:
      program: the compiled program that trains the lanes.
      words: the study's seed as uint32[2].
      data: the task's data, on the device.
      replicas: lanes of one trial.
    """

    def __init__(self, program: Program, words: Any, data: Any, replicas: int = 1):
        lanes = program.traced.strategy.block
        self.program = program
        self.replicas = replicas
        self.trial = np.full(lanes, IDLE, np.int64)
        self.replica = np.zeros(lanes, np.int64)
        self.done = np.zeros(lanes, np.int64)
        self.steps = np.ones(lanes, np.int64)
        self._every = np.ones(lanes)
        self._also: list[tuple[int, ...]] = [()] * lanes
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

    @property
    def room(self) -> int:
        """How many more trials fit in."""
        return int((~self.live).sum()) // self.replicas

    @property
    def ending(self) -> int:
        """How many trials will have done all their steps at their next measurement."""
        return int(((self._marks() >= self.steps) & self.live).sum()) // self.replicas

    def lanes_of(self, trials: Any) -> np.ndarray:
        """The lanes of trials that sit here, int64[n, replicas], by trial and replica."""
        rows = [np.flatnonzero(self.trial == trial) for trial in np.asarray(trials).tolist()]
        lanes = np.array(rows, np.int64).reshape(len(rows), self.replicas)
        return np.take_along_axis(lanes, np.argsort(self.replica[lanes], axis=1), axis=1)

    def admit(self, entries: Sequence[Entry]) -> np.ndarray:
        """Seats trials in idle lanes; the states of those that begin are made at the beginning of the next chunk.

        Args:
          entries: at most `room`, whose configs satisfy the program's guards.

        Returns:
          Where they sit, int64[n, replicas].
        """
        free = np.flatnonzero(~self.live)[: len(entries) * self.replicas]
        lanes = free.reshape(len(entries), self.replicas)
        self._seat(lanes, entries)
        begins = np.array([entry.state is None for entry in entries], bool)
        self._fresh[lanes[begins]] = True
        back = [entry.state for entry in entries if entry.state is not None]
        if back:
            self._put(lanes[~begins].ravel(), [np.concatenate(parts) for parts in zip(*back, strict=True)])
        return lanes

    def _seat(self, lanes: np.ndarray, entries: Sequence[Entry]) -> None:
        flat = lanes.ravel()
        self._encode(flat, [entry.config for entry in entries])
        self.trial[flat] = np.repeat([entry.trial for entry in entries], self.replicas)
        self.replica[flat] = np.tile(np.arange(self.replicas), len(entries))
        self.done[flat] = np.repeat([entry.done for entry in entries], self.replicas)
        self.steps[flat] = np.repeat([entry.length.steps for entry in entries], self.replicas)
        self._every[flat] = np.repeat([entry.length.every for entry in entries], self.replicas)
        for row, entry in zip(lanes.tolist(), entries, strict=True):
            for lane in row:
                self._also[lane] = entry.length.also
        self._fresh[flat] = False

    def _encode(self, lanes: np.ndarray, configs: Sequence[Mapping[str, Any]]) -> None:
        new = self.program.traced.layout.encode([config for config in configs for _ in range(self.replicas)])
        for column, values in zip(jax.tree.leaves(self._host), jax.tree.leaves(new), strict=True):
            column[lanes] = values
        self._columns = jax.device_put(self._host)

    def retire(self, lanes: np.ndarray) -> None:
        """Empties lanes: their trials have ended."""
        self.trial[lanes] = IDLE

    def states(self, trials: Any) -> list[State]:
        """Copies of the states of trials that sit here, taken before the buffers are donated to the next chunk."""
        lanes = self.lanes_of(trials)
        if not lanes.size:
            return []
        index = np.zeros(len(self.trial), np.int32)
        index[: lanes.size] = lanes.ravel()
        gathered = [np.asarray(leaf)[: lanes.size] for leaf in _gathered(self._state[0], index)]
        parts = [leaf.reshape(*lanes.shape, *leaf.shape[1:]) for leaf in gathered]
        return [[np.array(part[place]) for part in parts] for place in range(len(lanes))]

    def copy(self, trials: Any, sources: Any, configs: Sequence[Mapping[str, Any]]) -> None:
        """Lets trials go on from copies of the states of others, on the device.

        Args:
          trials: ids of trials that sit here, int[n].
          sources: ids of the trials that are copied, which sit here too, int[n].
          configs: the trials' filled configs from now on, n of them.
        """
        targets = self.lanes_of(trials)
        order = np.arange(len(self.trial), dtype=np.int32)
        order[targets.ravel()] = self.lanes_of(sources).ravel()
        leaves, sums = self._state
        self._state = (_gathered(leaves, order), sums)
        self._encode(targets.ravel(), configs)

    def replace(self, trials: Any, states: Sequence[State], configs: Sequence[Mapping[str, Any]]) -> None:
        """Lets trials that sit here go on from other states and under other filled configs."""
        lanes = self.lanes_of(trials).ravel()
        self._put(lanes, [np.concatenate(parts) for parts in zip(*states, strict=True)])
        self._encode(lanes, configs)

    def _put(self, lanes: np.ndarray, values: Sequence[np.ndarray]) -> None:
        width = len(self.trial)
        index = np.full(width, width, np.int32)
        index[: len(lanes)] = lanes
        padded = [np.concatenate([v, np.zeros((width - len(v), *v.shape[1:]), v.dtype)]) for v in values]
        leaves, sums = self._state
        self._state = (_scattered(leaves, index, padded), _cleared(sums, index))

    def until_measurement(self) -> int:
        """Steps until the first of the live lanes is due."""
        return int((self._marks() - self.done)[self.live].min())

    def _marks(self) -> np.ndarray:
        regular = next_mark(self.done, self.steps, self._every)
        if not any(self._also):
            return regular
        pairs = zip(self._also, self.done.tolist(), regular.tolist(), strict=True)
        return np.array([min([next_one, *(m for m in also if m > done)]) for also, done, next_one in pairs], np.int64)

    def advance(self, steps: int) -> Chunk:
        """Trains every lane for `steps` steps and measures those that are then due.

        Args:
          steps: at most `until_measurement`.
        """
        started = time.perf_counter()
        live = self.live
        after = self.done + steps
        due = live & (after >= self._marks())
        rows = [np.maximum(self.trial, 0), self.replica, self.done, self._fresh, due, live]
        table = np.stack(rows).astype(np.uint32)
        values, finite = self._call(table, steps, bool(due.any()))
        self._fresh[:] = False
        self.done = after
        lanes = np.flatnonzero(due)
        seconds = time.perf_counter() - started
        self.program.step_seconds = seconds / steps
        return Chunk(
            self.trial[lanes], self.replica[lanes], lanes, after[lanes], values[lanes], finite[lanes],
            after[lanes] / self.steps[lanes], steps, int(live.sum()), seconds,
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


@jax.jit
def _gathered(leaves: list[Any], index: Any) -> list[Any]:
    return [leaf[index] for leaf in leaves]


@functools.partial(jax.jit, donate_argnums=0)
def _scattered(leaves: list[Any], index: Any, values: list[Any]) -> list[Any]:
    return [leaf.at[index].set(value, mode="drop") for leaf, value in zip(leaves, values, strict=True)]


@functools.partial(jax.jit, donate_argnums=0)
def _cleared(sums: Any, index: Any) -> Any:
    return sums.at[index].set(jnp.zeros((), sums.dtype), mode="drop")
