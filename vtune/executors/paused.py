"""Trials that are paused: which program trains them, how they stand, and their states."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from vtune.engine.lanes import Entry, Point, State
from vtune.engine.parking import Parking


class Paused:
    """Paused trials by id.

    Args:
      parking: keeps their states.
    """

    def __init__(self, parking: Parking):
        self._parking = parking
        self._entries: dict[int, tuple[int, Entry]] = {}

    def __contains__(self, trial: object) -> bool:
        return trial in self._entries

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._entries))

    def put(self, program: int, entry: Entry) -> None:
        """Keeps a trial of a program, as it was just measured, with its state."""
        self._parking.put(entry.trial, entry.state or [])
        self._entries[entry.trial] = program, dataclasses.replace(entry, state=None, sums=None)

    def get(self, trial: int) -> tuple[int, Entry]:
        """The program of a trial, and the trial but for its state."""
        return self._entries[trial]

    def state(self, trial: int) -> State:
        """The state of a trial."""
        return self._parking.get(trial)

    def take(self, trial: int) -> tuple[int, Entry]:
        """The program of a trial, and the trial with its state; it is not kept any longer."""
        program, entry = self._entries.pop(trial)
        return program, dataclasses.replace(entry, state=self._parking.take(trial))

    @property
    def done(self) -> dict[int, dict[int, int]]:
        """Steps that the trials have done, by program."""
        found: dict[int, dict[int, int]] = {}
        for trial in self:
            program, entry = self._entries[trial]
            found.setdefault(program, {})[trial] = entry.done
        return found

    @property
    def points(self) -> list[Point]:
        """Where the trials are."""
        return [Point(trial, self._entries[trial][1].done, self.state(trial), None) for trial in self]

    def close(self) -> None:
        """Forgets all of them."""
        self._entries.clear()
        self._parking.close()
