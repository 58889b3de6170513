"""A block at work: which program trains it, and how each of its trials would begin again elsewhere."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.engine.lanes import Entry, Point, State
from vtune.tasks.budget import next_mark

WORTH_YIELDING = 2
"""A block whose program has no more work is given to another if that fills so many times as many lanes."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a trial was admitted (the lane of its first replica), and how many steps it trains."""

    trial: int
    program: int
    block: int
    lane: int
    steps: int


class Pool:
    """A block and its trials.

    Args:
      number: which block of the run it is.
      program: number of the program that trains it.
      block: the lanes: a `vtune.engine.lanes.Block`, or one that stands for it.
    """

    def __init__(self, number: int, program: int, block: Any):
        self.number, self.program, self.block = number, program, block
        self._entries: dict[int, Entry] = {}

    def __contains__(self, trial: object) -> bool:
        return bool((self.block.trial == trial).any())

    @property
    def live(self) -> int:
        """Trials that sit here."""
        return int(self.block.live.sum()) // self.block.replicas

    @property
    def seated(self) -> list[Entry]:
        """The trials that sit here as they were admitted, by id: how they begin again if the block is lost."""
        return [self._entries[trial] for trial in np.unique(self.block.trial[self.block.live]).tolist()]

    def fill(self, queue: deque[Entry]) -> tuple[list[Entry], list[Seat]]:
        """Seats trials of a queue in lanes that are free; they stay in the queue if that fails.

        Returns:
          Who was seated, and where.
        """
        taken = self.block.take(queue)
        if not taken:
            return [], []
        try:
            lanes = self.block.admit(taken)
        except BaseException:
            queue.extendleft(reversed(taken))
            self.retire([entry.trial for entry in taken])
            raise
        self._entries = {trial: entry for trial, entry in self._entries.items() if trial in self}
        self._entries.update({entry.trial: entry for entry in taken})
        seats = [
            Seat(entry.trial, self.program, self.number, int(row[0]), entry.length.steps)
            for entry, row in zip(taken, lanes, strict=True)
        ]
        return taken, seats

    def now(self, trial: int) -> Entry:
        """A trial as it stands, but for its state."""
        done = int(self.block.done[self.block.lanes_of([trial])[0, 0]])
        return dataclasses.replace(self._entries[trial], done=done, state=None, sums=None, copied=False)

    def retire(self, trials: Any) -> None:
        """Frees the lanes of those of some trials that sit here."""
        self.block.retire(np.flatnonzero(np.isin(self.block.trial, trials)))

    @property
    def done(self) -> dict[int, int]:
        """Steps that the trials which sit here have done, in the order of their lanes."""
        live = self.block.live
        return dict(zip(self.block.trial[live].tolist(), self.block.done[live].tolist(), strict=True))

    def states(self, trials: Sequence[int]) -> list[State]:
        """Copies of the states of trials that sit here."""
        return self.block.states(trials)

    def points(self, then: Mapping[int, int] | None) -> list[Point]:
        """Where trials are; none if one was measured after it had done the steps of `then` (0 if it is not there)."""
        for trial, done in self.done.items() if then is not None else ():
            before, length = (then or {}).get(trial, 0), self._entries[trial].length
            marks = [int(next_mark(before, length.steps, length.every)), *length.also]
            if any(before < mark <= done for mark in marks):
                return []
        return self.block.points()

    def leave(self, trials: Sequence[int] | None = None) -> list[Entry]:
        """Takes trials out of their lanes, as if they had stayed; all of them where none are named."""
        seated = self.seated if trials is None else [self._entries[trial] for trial in trials]
        return self.block.leave(seated)

    def copy(self, sources: Sequence[int], entries: Sequence[Entry]) -> None:
        """Lets trials that sit here go on from the states that others have now; see `Block.copy`."""
        self.block.copy(sources, entries)
        states = self.block.states([entry.trial for entry in entries])
        for entry, state in zip(entries, states, strict=True):
            self._entries[entry.trial] = dataclasses.replace(entry, state=state)


@dataclass(frozen=True, slots=True)
class Place:
    """A trial in a lane or paused: its program, its block (None if it is paused), and itself but for its state."""

    program: int
    pool: Pool | None
    entry: Entry


def thinned(
    pools: Sequence[tuple[int, int]], waiting: Mapping[int, int], wide: int, free: int, together: bool
) -> list[int]:
    """Which blocks are to be emptied: their trials then go on in other blocks of their program, or wait for one.

    A block whose queue is empty is emptied if its trials fit into free lanes of others of its program, or if another
    program has trials for many more lanes. So lanes do not idle when a program, or the study, runs out of trials.

    Args:
      pools: (program, trials that sit there) of each block at work.
      waiting: trials that wait for a lane, by programs that are made.
      wide: trials that a block holds.
      free: blocks that no program has.
      together: whether the lanes of a block step together, so that idle ones cost as much as others.

    Returns:
      Places in `pools`, ascending.

    >>> thinned([(0, 5), (0, 2)], {}, wide=8, free=0, together=True)
    [1]
    >>> thinned([(0, 8), (1, 2)], {0: 4, 2: 9}, wide=8, free=0, together=True)
    [1]
    """
    live = [count for _, count in pools]
    rest = {program: count for program, count in waiting.items() if count > 0}
    for _ in range(free):
        _take(rest, wide)
    emptied = []
    for place in sorted(range(len(pools)), key=lambda place: (live[place], -place)):
        program, count = pools[place]
        if waiting.get(program):
            continue
        others = [other for other, (its, _) in enumerate(pools) if its == program and other != place]
        hosts = [other for other in others if other not in emptied]
        if together and hosts and count <= sum(wide - live[other] for other in hosts):
            for other in hosts:
                moved = min(count, wide - live[other])
                live[other], count = live[other] + moved, count - moved
            emptied.append(place)
        elif min(max(rest.values(), default=0), wide) >= WORTH_YIELDING * count:
            _take(rest, wide)
            emptied.append(place)
    return sorted(emptied)


def _take(rest: dict[int, int], wide: int) -> None:
    """Gives a block to the program that most trials wait for."""
    if rest:
        program = max(rest, key=lambda program: (rest[program], -program))
        rest[program] -= wide
        if rest[program] <= 0:
            del rest[program]
