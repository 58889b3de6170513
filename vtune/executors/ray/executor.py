"""Lanes on the workers of a Ray cluster, driven as those of this process are.

Queues, programs, and who sits where are those of `LocalExecutor`; only the blocks lie elsewhere. A tick calls each
worker once and waits for all, so nothing depends on which answers first.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from vtune.engine.lanes import Chunk, Entry
from vtune.engine.program import Program, Traced
from vtune.engine.strategy import Strategy
from vtune.errors import WorkerError
from vtune.executors.arrangement import Arrangement
from vtune.executors.job import Job
from vtune.executors.local import LocalExecutor
from vtune.executors.memory import Shrunk, shrunk
from vtune.executors.messages import Work
from vtune.executors.pool import Pool
from vtune.executors.ray.blocks import RemoteBlock, RemotePool
from vtune.executors.ray.fleet import Fleet
from vtune.executors.ray.site import Site, WorkerLost
from vtune.executors.ray.worker import Choice

MOST_DEATHS = 5
"""Workers that may die with a trial on them while it comes no further, until the trial is taken to be the reason."""
HALT_SECONDS = 10.0
"""How long workers that are to stop are waited for."""


class RayExecutor(LocalExecutor):
    """Lanes of workers.

    Args:
      job: what is trained.
      fleet: the workers, of which one is there at least.
      choice: how trials run; its blocks are those of all workers.
      status: told what is going on, in a few words.
      waiting: called several times a second while workers are waited for; may raise to give up.
    """

    def __init__(
        self, job: Job, fleet: Fleet, choice: Choice, status: Callable[[str], None], waiting: Callable[[], None]
    ):
        self._fleet = fleet
        self._numbers: dict[Traced, int] = {}
        self._deaths: dict[int, tuple[int, int]] = {}
        self._slots = -(-choice.blocks // len(fleet.sites))
        self._most = most_blocks(job, choice)
        self._threads_each = job.threads
        shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), job.task.data)
        super().__init__(
            job.task, job.space, data=shapes, run=job.run, strategy=choice.strategy, blocks=choice.blocks, threads=2,
            seed=job.seed, rng_name=job.rng_name, buckets=choice.buckets, folds=job.folds, seeds=job.seeds,
            free=job.free, clock=job.clock, status=status, waiting=waiting,
        )  # fmt: skip
        self._known, self._target = list(fleet.sites), choice.blocks
        fleet.begin(self._choice)

    @property
    def threads(self) -> int:
        """Host threads of all workers."""
        return self._threads_each * len(self._fleet.sites)

    def tick(self) -> Work:
        """Gives work to the workers that are there now, trains a chunk on each, and waits for all."""
        news = self._count_workers()
        return dataclasses.replace(super().tick(), news=news)

    def arrange(self, arrangement: Arrangement, entries: Mapping[int, Entry]) -> None:
        """As in one process; trials of blocks for which there is no room here wait for a lane."""
        here = len(self._pools)
        super().arrange(dataclasses.replace(arrangement, pools=arrangement.pools[:here]), entries)
        for place in reversed(arrangement.pools[here:]):
            if place is not None:
                self._queues.ahead(place[0], [entries[trial] for trial in place[1]])

    def close(self) -> None:
        """Gives the workers back."""
        super().close()
        self._fleet.close()

    @property
    def _choice(self) -> Choice:
        return Choice(self.strategy, self.blocks, self.buckets)

    @property
    def _tracing(self) -> Strategy:
        """Programs are traced here for their guards; workers trace them again for their devices."""
        return dataclasses.replace(self.strategy, devices=1)

    def _compiled(self, traced: Traced) -> Program:
        number = self._numbers.setdefault(traced, len(self._numbers))
        return Program(traced, None, self._fleet.make(number, traced.exemplar))

    def _pool(self, number: int, program: int) -> Pool:
        held = Counter(pool.site for pool in self._working if isinstance(pool, RemotePool))
        site = min((site for site in self._fleet.sites if not site.lost), key=lambda site: held[site], default=None)
        block = self._remote(self._fleet.sites[0] if site is None else site, program)
        return RemotePool(number, program, block, self._trained_again)

    def _remote(self, site: Site, program: int) -> RemoteBlock:
        made = self.planner.compiled[program]
        return RemoteBlock(site, made, self._numbers[made.traced], self.replicas)

    def _advance_all(self, pools: Sequence[Pool]) -> list[tuple[int, Chunk]]:
        mine: dict[Site, list[RemotePool]] = {}
        for pool in pools:
            if isinstance(pool, RemotePool) and not pool.site.lost:
                mine.setdefault(pool.site, []).append(pool)
        refs = {site: site.tick([pool.remote.number for pool in held], only=True) for site, held in mine.items()}
        try:
            answers = self._fleet.gathered(refs)
        except BaseException:
            self._fleet.halt()
            _followed(mine, self._fleet.settled(refs, HALT_SECONDS))
            raise
        chunks = _followed(mine, answers)
        return [(pool.program, chunk) for pool in pools for chunk in chunks.get(pool, ())]

    def _count_workers(self) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """Gives back the trials of workers that died, makes room for those that have come, and says how many."""
        self._give_back()
        self._fleet.census()
        self._fleet.wait_for_one()
        sites = list(self._fleet.sites)
        come = sum(site not in self._known for site in sites)
        lost = len(self._known) - (len(sites) - come)
        if lost:
            self._target = min(self._target, self._slots * (len(sites) - come))
        self._target = max(1, self._target + self._slots * come)
        if self._most is not None:
            self._target = min(self._target, self._most)
        self._known = sites
        self._resize()
        return (("workers", {"lost": lost, "joined": come, "now": len(sites)}),) if lost or come else ()

    def _resize(self) -> None:
        for place in reversed(range(len(self._pools))):
            if len(self._pools) > self._target and self._pools[place] is None:
                del self._pools[place]
        self._pools += [None] * (self._target - len(self._pools))
        self.blocks = len(self._pools)

    def _give_back(self) -> None:
        lost = [pool for pool in self._working if isinstance(pool, RemotePool) and pool.site.lost]
        self._pools = [pool for pool in self._pools if pool not in lost]
        for pool in reversed(lost):
            self._count_deaths(pool)
            self._serve(pool.program, pool.seated, -1)
            self._queues.ahead(pool.program, pool.seated)

    def _count_deaths(self, pool: Pool) -> None:
        for trial, done in pool.done.items():
            deaths, furthest = self._deaths.get(trial, (0, -1))
            self._deaths[trial] = (deaths + 1, furthest) if done <= furthest else (1, done)
        often = [trial for trial in pool.done if self._deaths[trial][0] >= MOST_DEATHS]
        if often:
            raise WorkerError(
                f"{MOST_DEATHS} workers died, one after another, while they trained trials {often[:8]}, which never "
                "came further: they may need more memory than a worker has, or crash it. The logs of Ray say more."
            )

    def _shrink(self, error: Exception) -> Shrunk:
        """Gives up a block of every worker, or at last half of the block width, and begins again."""
        width = self.strategy.block
        found = shrunk(self._slots, width, self.strategy.multiple_of(self.replicas), self._shrinks, error)
        self._slots = found.blocks
        self._target = self._slots * len(self._fleet.sites)
        self._go_on_with(found, self._target)
        if found.block != width:
            self._fleet.begin(self._choice)
        return dataclasses.replace(found, blocks=self._target)

    def _trained_again(self, program: int, entries: Sequence[Entry]) -> dict[int, Entry]:
        """Trains trials whose worker died, in a block of their own, each to where it stood."""
        while True:
            self._fleet.wait_for_one()
            site = next(site for site in self._fleet.sites if not site.lost)
            try:
                return self._trained_on(site, program, entries)
            except WorkerLost:
                continue

    def _trained_on(self, site: Site, program: int, entries: Sequence[Entry]) -> dict[int, Entry]:
        block, waiting, found = self._remote(site, program), deque(entries), dict[int, Entry]()
        while waiting or block.live.any():
            here = [waiting.popleft() for _ in range(min(block.room, len(waiting)))]
            if here:
                block.admit(here)
            arrived = [entry for entry in entries if entry.trial in block.arrived]
            if arrived:
                found.update((entry.trial, entry) for entry in block.leave(arrived))
                continue
            answer = self._fleet.gathered({site: site.tick([block.number], only=False)})
            if site not in answer:
                raise WorkerLost
            block.follow(answer[site][0])
        return found


def most_blocks(job: Job, choice: Choice) -> int | None:
    """Blocks of all workers at most; None for as many as workers have room for."""
    if job.wanted.lanes != "auto":
        return choice.blocks
    bound, wide = job.wanted.bound, choice.strategy.block
    return None if bound is None else max(choice.blocks, math.ceil(bound * job.folds * job.seeds / wide))


def _followed(mine: Mapping[Site, Sequence[RemotePool]], answers: Mapping[Site, Any]) -> dict[Pool, list[Chunk]]:
    """Notes what workers have done, and gives the chunks of each block."""
    found: dict[Pool, list[Chunk]] = {}
    for site, answer in answers.items():
        for pool, chunks in zip(mine[site], answer, strict=True):
            pool.remote.follow(chunks)
            found[pool] = chunks
    return found
