"""The workers of a study: asked for, waited for, and replaced when they die."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vtune.engine.numerics import numerics
from vtune.errors import WorkerError
from vtune.executors.job import Job
from vtune.executors.memory import WorkerMemoryFull
from vtune.executors.ray.site import Site, WorkerLost, lost_errors
from vtune.executors.ray.worker import Choice, Facts, Worker

ASK_SECONDS = 2.0
"""How often the cluster is asked whether there is room for workers that are missing."""
START_SECONDS = 60.0
"""How long a run waits for as many workers as the cluster is large enough for, before it begins with fewer."""
MOST_REFUSED = 3
"""Workers that may fail while they start, until no more are asked for."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A worker that was asked for, what it was asked at once, and what it was told of how trials run."""

    actor: Any
    refs: Sequence[Any]
    choice: Choice | None


class Fleet:
    """All workers of a study.

    Args:
      ray: the package, connected.
      options: what Ray is told of each worker: the resources that it takes.
      wanted: how many there are to be; asked anew whenever some are missing.
      job: what they train.
      status: told what is going on, in a few words.
      waiting: called several times a second; may raise to give up.

    Attributes:
      sites: those that are at work, in the order in which they came.
    """

    def __init__(
        self, ray: Any, options: Mapping[str, Any], wanted: Callable[[], int], job: Job,
        status: Callable[[str], None], waiting: Callable[[], None],
    ):  # fmt: skip
        self._ray, self._wanted, self._status, self._waiting = ray, wanted, status, waiting
        groups = {"concurrency_groups": {"making": 1, "control": 1}, "max_restarts": 0}
        self._kind = ray.remote(**options, **groups)(Worker)
        self._job, self._look = ray.put(job), numerics()
        self.sites: list[Site] = []
        self._coming: list[Arrival] = []
        self._programs: dict[int, Mapping[str, Any]] = {}
        self._choice: Choice | None = None
        self._facts: Facts | None = None
        self._refused = 0
        self._next = 0.0

    def start(self, room: int) -> None:
        """Asks for workers and waits for as many as the cluster is large enough for, for one at least."""
        self._status("waiting for workers")
        until = time.monotonic() + START_SECONDS
        self.census()
        while len(self.sites) < max(1, min(room, len(self.sites) + len(self._coming))):
            if self.sites and time.monotonic() > until:
                return
            self._pause()
            self.census()

    def begin(self, choice: Choice) -> None:
        """Tells all workers how trials run from now on."""
        self._choice = choice
        self._programs.clear()
        self.each(lambda site: site.actor.begin.remote(choice))

    def make(self, number: int, exemplar: Mapping[str, Any]) -> float:
        """Has every worker make a program; returns the seconds of the slowest."""
        refs = [
            site.actor.make.options(concurrency_group="making").remote(number, exemplar) for site in list(self.sites)
        ]
        seconds = [0.0]
        for ref in refs:
            try:
                seconds.append(self._ray.get(ref))
            except lost_errors(self._ray):  # the next tick will notice
                continue
        self._programs[number] = exemplar
        return max(seconds)

    def each(self, ask: Callable[[Site], Any]) -> dict[Site, Any]:
        """Asks all workers something at once; gives the answers of those that live."""
        return self.gathered({site: ask(site) for site in self.sites if not site.lost})

    def gathered(self, refs: Mapping[Site, Any]) -> dict[Site, Any]:
        """Waits for what workers were asked; gives the answers of those that live, in the order of the workers."""
        rest = list(refs.values())
        while rest:
            self._waiting()
            _, rest = self._ray.wait(rest, num_returns=len(rest), timeout=0.1)
        found = {}
        for site, ref in refs.items():
            try:
                found[site] = site.result(ref)
            except WorkerLost as error:
                self._status(f"a worker died: {str(error).splitlines()[0][:120]}")
        return found

    def settled(self, refs: Mapping[Site, Any], seconds: float) -> dict[Site, Any]:
        """As `gathered` after a tick has failed: who does not answer in time, or fails too, is given up.

        A worker whose memory is full has only too much to do.
        """
        self._ray.wait(list(refs.values()), num_returns=len(refs), timeout=seconds)
        found = {}
        for site, ref in refs.items():
            try:
                found[site] = self._ray.get(ref, timeout=0)
            except WorkerMemoryFull:
                continue
            except Exception:
                site.lose()
        return found

    def halt(self) -> None:
        """Has all workers stop at the end of their chunk."""
        for site in self.sites:
            site.actor.halt.options(concurrency_group="control").remote()

    def census(self) -> tuple[int, int]:
        """Forgets workers that died, admits those that have come, and asks for those that are missing.

        Returns:
          How many were lost, and how many have come.
        """
        before = len(self.sites)
        self.sites = [site for site in self.sites if not site.lost]
        here = len(self.sites)
        for arrival in list(self._coming):
            ready, _ = self._ray.wait(arrival.refs, num_returns=len(arrival.refs), timeout=0)
            if len(ready) == len(arrival.refs):
                self._coming.remove(arrival)
                self._admit(arrival)
        if time.monotonic() >= self._next and self._refused < MOST_REFUSED:
            self._next = time.monotonic() + ASK_SECONDS
            for _ in range(self._wanted() - len(self.sites) - len(self._coming)):
                self._coming.append(self._asked_for())
        return before - here, len(self.sites) - here

    def wait_for_one(self) -> None:
        """Waits until a worker is there."""
        while not any(not site.lost for site in self.sites):
            self._status("no worker is left: waiting for another")
            self._pause()
            self.census()

    def close(self) -> None:
        """Ends all workers."""
        for actor in [*(site.actor for site in self.sites), *(arrival.actor for arrival in self._coming)]:
            self._ray.kill(actor)
        self.sites, self._coming = [], []

    def _asked_for(self) -> Arrival:
        actor = self._kind.remote(self._job, self._look)
        return self._told(actor, actor.facts.remote())

    def _told(self, actor: Any, facts: Any) -> Arrival:
        """Tells a worker how trials run, if that is known, and has it make the programs that there are."""
        refs = [facts]
        if self._choice is not None:
            refs += [actor.begin.remote(self._choice)]
            refs += [actor.make.remote(number, exemplar) for number, exemplar in list(self._programs.items())]
        return Arrival(actor, refs, self._choice)

    def _admit(self, arrival: Arrival) -> None:
        try:
            facts, *_ = self._ray.get(list(arrival.refs))
        except lost_errors(self._ray) as error:
            self._refuse(arrival, f"a worker could not start: {error}")
            return
        self._facts = self._facts or facts
        if facts != self._facts:
            self._refuse(arrival, f"workers must be alike, or results would differ: one is {self._facts}, one {facts}")
        elif arrival.choice is not self._choice:
            self._coming.append(self._told(arrival.actor, arrival.refs[0]))
        else:
            self.sites.append(Site(self._ray, arrival.actor))

    def _refuse(self, arrival: Arrival, why: str) -> None:
        self._refused += 1
        self._ray.kill(arrival.actor)
        if self._choice is None or not self.sites:
            raise WorkerError(why)
        self._status(why.splitlines()[0][:160])

    def _pause(self) -> None:
        self._waiting()
        time.sleep(0.1)
