"""The lanes of workers, as far as the process that drives the study must know them: who sits where, and how far it is.

States stay on the workers. What a worker is to do with a block waits until it is called for the next tick; only who
needs a state asks for it at once. Should the worker have died, the trials are trained again to where they were.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.engine.lanes import Chunk, Entry, Point, State
from vtune.engine.program import Program
from vtune.engine.roster import Roster
from vtune.executors.pool import Pool
from vtune.executors.ray.site import Site, WorkerLost


class RemoteBlock(Roster):
    """The lanes of a block on a worker; see `vtune.engine.lanes.Block`, which it mirrors.

    Args:
      site: the worker.
      program: what trains the lanes; compiled on workers, not here.
      number: of the program, as workers know it.
      replicas: lanes of one trial.
    """

    def __init__(self, site: Site, program: Program, number: int, replicas: int):
        super().__init__(program.traced.strategy.block, replicas)
        self.program, self.site = program, site
        self.number = site.open(number, program.traced.exemplar)

    def admit(self, entries: Sequence[Entry]) -> np.ndarray:
        """Seats trials in idle lanes, int64[n, replicas]."""
        self.site.order(self.number, "admit", entries)
        return super().admit(entries)

    def retire(self, lanes: np.ndarray) -> None:
        """Empties lanes."""
        if len(lanes):
            self.site.order(self.number, "retire", lanes)
            super().retire(lanes)

    def copy(self, sources: Sequence[int], entries: Sequence[Entry]) -> None:
        """Lets trials that sit here go on from the states that others have now."""
        self.site.order(self.number, "copy", list(sources), entries)
        self._seat(self.lanes_of([entry.trial for entry in entries]), entries)

    def states(self, trials: Sequence[int]) -> list[State]:
        """Copies of the states of trials that sit here."""
        return self.site.ask(self.number, "states", list(trials)) if len(trials) else []

    def points(self) -> list[Point]:
        """Where the trials are that sit here and have begun."""
        return self.site.ask(self.number, "points")

    def leave(self, entries: Sequence[Entry]) -> list[Entry]:
        """Takes trials out of their lanes; they may go on in others as if they had stayed."""
        left = self.site.ask(self.number, "leave", entries)
        super().retire(self.lanes_of([entry.trial for entry in entries]).ravel())
        return left

    @property
    def arrived(self) -> set[int]:
        """Trials that have come to where they are to stop."""
        return set(self.trial[self.live & self.stopped].tolist())

    def follow(self, chunks: Sequence[Chunk]) -> None:
        """Notes what the worker has done with the block."""
        for chunk in chunks:
            self.pass_steps(chunk.steps)
            self.program.step_seconds = chunk.seconds / chunk.steps


Again = Callable[[int, Sequence[Entry]], Mapping[int, Entry]]
"""Trains trials of a program again, each from its entry to the step at which that stops; gives them by id."""


class RemotePool(Pool):
    """A block of a worker at work.

    Args:
      number: which block of the run it is.
      program: number of the program that trains it.
      block: the lanes.
      again: trains trials again whose worker has died.
    """

    def __init__(self, number: int, program: int, block: RemoteBlock, again: Again):
        super().__init__(number, program, block)
        self.remote, self._again = block, again

    @property
    def site(self) -> Site:
        """The worker."""
        return self.remote.site

    def states(self, trials: Sequence[int]) -> list[State]:
        try:
            return super().states(trials)
        except WorkerLost:
            again = self._trained_again(trials)
            return [again[trial].state or [] for trial in trials]

    def leave(self, trials: Sequence[int] | None = None) -> list[Entry]:
        try:
            return super().leave(trials)
        except WorkerLost:
            leaving = [entry.trial for entry in self.seated] if trials is None else list(trials)
            again = self._trained_again(leaving)
            self.retire(leaving)
            return [again[trial] for trial in leaving]

    def points(self, then: Mapping[int, int] | None) -> list[Point]:
        """As for blocks of this process; a trial whose worker dies later goes on from here."""
        try:
            points = super().points(then)
        except WorkerLost:
            return []
        for point in points:
            self._entries[point.trial] = dataclasses.replace(
                self._entries[point.trial], done=point.done, state=point.state, sums=point.sums, copied=False
            )
        return points

    def copy(self, sources: Sequence[int], entries: Sequence[Entry]) -> None:
        states = self.states(sources)
        self.block.copy(sources, entries)
        for entry, state in zip(entries, states, strict=True):
            self._entries[entry.trial] = dataclasses.replace(entry, state=state)

    def _trained_again(self, trials: Sequence[int]) -> dict[int, Entry]:
        done: dict[int, Any] = self.done
        again = self._again(
            self.program, [dataclasses.replace(self._entries[trial], stop=done[trial]) for trial in trials]
        )
        return {trial: dataclasses.replace(again[trial], stop=self._entries[trial].stop) for trial in trials}
