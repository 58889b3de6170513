"""A block of lanes: trials are admitted to it, trained in it a chunk at a time, and taken out of it."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.engine.columns import joined
from vtune.engine.program import DUE, FRESH, START, Program
from vtune.engine.roster import NEVER, Roster
from vtune.engine.sharding import LANES, place
from vtune.tasks.budget import Length

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
      steps: steps that the lanes did.
      live: lanes that held a trial.
      width: lanes that did the steps: all of the block where they step together, else those that held a trial.
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
    width: int
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
      sums: what its steps have returned since it was last measured, float32[replicas, 2, scalars]; None for nothing.
      keys: the trial whose keys it draws; None for its own.
      first: number of its first replica.
      stop: a step at which its lane stops too, without a measurement; whoever set it takes the trial out there.
      copied: whether the state is a copy of another's, in which hyperparameters that live there are the other's.
    """

    trial: int
    config: Mapping[str, Any]
    length: Length
    done: int = 0
    state: State | None = None
    sums: np.ndarray | None = None
    keys: int | None = None
    first: int = 0
    stop: int = NEVER
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A point on a trial's way from which it can go on.

    Attributes:
      trial: its id.
      done: steps it has done.
      state: its state after them.
      sums: what its steps have returned since it was last measured; see `Entry`.
    """

    trial: int
    done: int
    state: State
    sums: np.ndarray | None


class Block(Roster):
    """The lanes of one executable: one state `[lanes, ...]` on the device, and who sits where.

    Args:
      program: the compiled program that trains the lanes.
      words: the study's seed as uint32[2].
      data: the task's data, on the device.
      replicas: lanes of one trial.
    """

    def __init__(self, program: Program, words: Any, data: Any, replicas: int = 1):
        lanes = program.traced.strategy.block
        super().__init__(lanes, replicas)
        self.program = program
        self._words = words
        self._data = data
        self._host = joined(program.traced.layout.encode([program.traced.exemplar] * lanes))
        self._columns = self._placed(self._host)
        self._state = program.empty_state()

    def admit(self, entries: Sequence[Entry]) -> np.ndarray:
        """Seats trials in idle lanes; the states of those that begin are made at the beginning of the next chunk.

        Args:
          entries: at most `room`, whose configs satisfy the program's guards.

        Returns:
          Where they sit, int64[n, replicas].
        """
        lanes = super().admit(entries)
        begins = np.array([entry.state is None for entry in entries], bool)
        back = [entry for entry in entries if entry.state is not None]
        if back:
            self._put(lanes[~begins].ravel(), back)
            self._renew(lanes[~begins], back)
        return lanes

    def _seat(self, lanes: np.ndarray, entries: Sequence[Entry]) -> None:
        self._encode(lanes.ravel(), [entry.config for entry in entries])
        super()._seat(lanes, entries)

    def _encode(self, lanes: np.ndarray, configs: Sequence[Mapping[str, Any]]) -> None:
        new = joined(self.program.traced.layout.encode([config for config in configs for _ in range(self.replicas)]))
        for dtype, rows in new.items():
            self._host[dtype][lanes] = rows
        self._columns = self._placed(self._host)

    def states(self, trials: Any) -> list[State]:
        """Copies of the states of trials that sit here, taken before the buffers are donated to the next chunk."""
        return [state for state, _ in self._taken(trials)]

    def points(self) -> list[Point]:
        """Where the trials are that sit here and have begun."""
        begun = np.unique(self.trial[self.live & ~self._fresh]).tolist()
        lanes = self.lanes_of(begun)
        # All lanes at once, array by array: nothing more is needed on the device, which may be full.
        parts = [np.asarray(leaf)[lanes] for leaf in (*self._state[0], self._state[1])]
        states = [[np.array(part[place]) for part in parts] for place in range(len(begun))]
        done = self.done[lanes[:, 0]].tolist()
        return [
            Point(trial, steps, state, sums) for trial, steps, (*state, sums) in zip(begun, done, states, strict=True)
        ]

    def leave(self, entries: Sequence[Entry]) -> list[Entry]:
        """Takes trials out of their lanes; they may go on in others as if they had stayed.

        Args:
          entries: of trials that sit here, as they were admitted.
        """
        lanes = self.lanes_of([entry.trial for entry in entries])
        begun = [entry.trial for entry, row in zip(entries, lanes, strict=True) if not self._fresh[row[0]]]
        taken = dict(zip(begun, self._taken(begun), strict=True))
        left = []
        for entry, row in zip(entries, lanes, strict=True):
            if entry.trial in taken:
                state, sums = taken[entry.trial]
                done = int(self.done[row[0]])
                entry = dataclasses.replace(entry, done=done, state=state, sums=sums, copied=False)
            left.append(entry)
        self.retire(lanes.ravel())
        return left

    def _taken(self, trials: Any) -> list[tuple[State, np.ndarray]]:
        lanes = self.lanes_of(trials)
        if not lanes.size:
            return []
        index = np.zeros(len(self.trial), np.int32)
        index[: lanes.size] = lanes.ravel()
        leaves, sums = self._state
        gathered = [np.asarray(leaf)[: lanes.size] for leaf in _gathered([*leaves, sums], index)]
        parts = [leaf.reshape(*lanes.shape, *leaf.shape[1:]) for leaf in gathered]
        copies = [[np.array(part[place]) for part in parts] for place in range(len(lanes))]
        return [(state, counted) for *state, counted in copies]

    def copy(self, sources: Any, entries: Sequence[Entry]) -> None:
        """Lets trials that sit here go on from copies of the states that others have now, on the device.

        Args:
          sources: ids of the trials that are copied, which sit here too, int[n].
          entries: what the trials are from now on, n of them, without states.
        """
        targets = self.lanes_of([entry.trial for entry in entries])
        order = np.arange(len(self.trial), dtype=np.int32)
        order[targets.ravel()] = self.lanes_of(sources).ravel()
        *leaves, sums = _gathered([*self._state[0], self._state[1]], order)
        self._state = self._placed((leaves, sums))
        self._seat(targets, entries)
        self._renew(targets, entries)

    def _renew(self, lanes: np.ndarray, entries: Sequence[Entry]) -> None:
        """Gives copies, int64[n, replicas], the hyperparameters of their own configs where these live in the state."""
        traced = self.program.traced
        places = [place for place, leaf in enumerate(traced.leaves) if leaf.resident]
        copied = lanes[[entry.copied for entry in entries]].ravel()
        if not places or not copied.size:
            return
        leaves, sums = list(self._state[0]), self._state[1]
        for held, new in zip(places, traced.renewed(self._columns, self._data), strict=True):
            leaves[held] = jnp.asarray(leaves[held]).at[copied].set(new[copied])
        self._state = self._placed((leaves, sums))

    def _put(self, lanes: np.ndarray, entries: Sequence[Entry]) -> None:
        width, zeros = len(self.trial), np.zeros((self.replicas, *self._state[1].shape[1:]), np.float32)
        sums = [zeros if entry.sums is None else entry.sums for entry in entries]
        values = [np.concatenate(parts) for parts in zip(*(entry.state or () for entry in entries), strict=True)]
        index = np.full(width, width, np.int32)
        index[: len(lanes)] = lanes
        padded = [
            np.concatenate([v, np.zeros((width - len(v), *v.shape[1:]), v.dtype)])
            for v in (*values, np.concatenate(sums))
        ]
        *leaves, counted = _scattered([*self._state[0], self._state[1]], index, padded)
        self._state = self._placed((leaves, counted))

    def _placed(self, tree: Any) -> Any:
        return place(tree, self.program.traced.strategy.devices, LANES)

    def advance(self, steps: int) -> Chunk:
        """Trains every lane for `steps` steps and measures those that are then due.

        Args:
          steps: at most `until_measurement`.
        """
        started = time.perf_counter()
        live = self.live
        after = self.done + steps
        due = live & (after >= self._marks())
        rows = [self._keys, self.replica, self.done, self._fresh, due, live]
        table = np.stack(rows).astype(np.uint32)
        values, finite = self._call(table, steps, bool(due.any()))
        self.pass_steps(steps)
        lanes = np.flatnonzero(due)
        seconds = time.perf_counter() - started
        self.program.step_seconds = seconds / steps
        return Chunk(
            self.trial[lanes], self.replica[lanes], lanes, after[lanes], values[lanes], finite[lanes],
            after[lanes] / self.steps[lanes], steps, int(live.sum()), self._stepping(live), seconds,
        )  # fmt: skip

    def _stepping(self, live: np.ndarray) -> int:
        return int(live.sum()) if self.program.traced.strategy.kind == "map" else len(live)

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
