"""Trials that wait for a lane: a queue for each program, and one for those that no program serves yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.engine.lanes import Entry, Point
from vtune.engine.planner import UNPLACED


class Queues:
    """Queues by program.

    Args:
      place: finds the programs of filled configs, int64[n]; `UNPLACED` where there is none.
      by_length: whether trials differ in length: then the longest are first, so that lanes that are filled together are
        measured and end together.

    Attributes:
      unplaced: trials whose program is not known yet.
    """

    def __init__(self, place: Callable[[Sequence[Mapping[str, Any]]], np.ndarray], by_length: bool):
        self._place = place
        self._by_length = by_length
        self._of: dict[int, deque[Entry]] = {}
        self.unplaced: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self.unplaced) + sum(len(queue) for queue in self._of.values())

    def __getitem__(self, program: int) -> deque[Entry]:
        return self.unplaced if program == UNPLACED else self._of.setdefault(int(program), deque())

    @property
    def waiting(self) -> dict[int, int]:
        """How many trials wait for each program, where any do."""
        return {program: len(queue) for program, queue in self._of.items() if queue}

    @property
    def done(self) -> dict[int, dict[int, int]]:
        """Steps that the waiting trials have done, in their order, by program; `UNPLACED` for those without one."""
        queues = {**self._of, UNPLACED: self.unplaced}
        return {program: {entry.trial: entry.done for entry in queue} for program, queue in queues.items() if queue}

    @property
    def points(self) -> list[Point]:
        """Where those of the waiting trials are that have begun; not those that are copies and not yet themselves."""
        waiting = [entry for queue in (*self._of.values(), self.unplaced) for entry in queue]
        return [Point(e.trial, e.done, e.state, e.sums) for e in waiting if e.state is not None and not e.copied]

    def add(self, entries: Sequence[Entry], first: bool = False) -> None:
        """Puts trials behind those that wait, or before them."""
        programs = self._place([entry.config for entry in entries])
        placed = list(zip(entries, programs, strict=True))
        for entry, program in reversed(placed) if first else placed:
            queue = self[program]
            (queue.appendleft if first else queue.append)(entry)
        if self._by_length:
            self._of = {program: _longest_first(queue) for program, queue in self._of.items()}

    def ahead(self, program: int, entries: Sequence[Entry]) -> None:
        """Puts trials of a program before those that wait, the first of them first."""
        self[program].extendleft(reversed(entries))

    def place_again(self) -> None:
        """Finds queues for trials that had none: there are more programs now."""
        waiting = list(self.unplaced)
        self.unplaced.clear()
        self.add(waiting)

    def begin_again(self, seated: Sequence[Entry]) -> None:
        """Puts trials that lost their lanes before all that wait; the programs of all are asked for again later."""
        waiting = [entry for queue in self._of.values() for entry in queue]
        self._of = {}
        self.unplaced.extendleft(reversed([*seated, *waiting]))

    def unserved(
        self, opened: Mapping[int, int], wide: int, made: Callable[[int], bool]
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Trials that wait for more blocks than are opened now, by programs that are made and that are not.

        Args:
          opened: the program of each block that is opened now.
          wide: trials that a block holds.
          made: whether a program is made.
        """
        taken = list(opened.values())
        rest = {program: count - wide * taken.count(program) for program, count in self.waiting.items()}
        ready = {p: n for p, n in rest.items() if n > 0 and (made(p) or p in taken)}
        return ready, {p: n for p, n in rest.items() if n > 0 and p not in taken and p not in ready}


def _longest_first(queue: deque[Entry]) -> deque[Entry]:
    """Trials that go on, then the others by length."""
    return deque(sorted(queue, key=lambda entry: (entry.done == 0, -entry.length.steps * (entry.done == 0))))


def longest(waiting: Mapping[int, int]) -> int | None:
    """The program that most trials wait for; the earliest of equals.

    >>> longest({0: 3, 1: 5, 2: 5})
    1
    """
    return max(waiting, key=lambda program: (waiting[program], -program), default=None)
