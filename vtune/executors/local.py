"""Trains trials in this process: programs, their queues and the blocks in which their lanes live."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vtune import rng
from vtune.blame import traced_with
from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.devices import Workers
from vtune.engine.inheritance import Inheritance
from vtune.engine.lane import LaneTask
from vtune.engine.lanes import Block, Chunk, Entry, Point, State
from vtune.engine.parking import Parking
from vtune.engine.planner import UNPLACED
from vtune.engine.program import Program, Traced, trace
from vtune.engine.strategy import Strategy
from vtune.engine.stream import Feed, StreamedBlock
from vtune.errors import SchedulerError
from vtune.executors.advancing import FIRST_STEPS, advanced
from vtune.executors.arrangement import Arrangement
from vtune.executors.memory import Shrunk, out_of_memory, shrunk
from vtune.executors.messages import Copy, Work
from vtune.executors.paused import Paused
from vtune.executors.pool import Place, Pool, Seat, thinned
from vtune.executors.queues import Queues, longest
from vtune.executors.workshop import LEAD, Workshop
from vtune.tasks.base import Run
from vtune.tasks.budget import Clock, Length, length

ENDLESS = Length(2**31, 2.0**31)
"""Of trials that are only timed."""


class LocalExecutor:
    """Lanes of this process. A tick trains every block until the first of its trials is to be measured.

    Args:
      task: the task, already told of the run.
      space: the space that configs come from.
      data: the task's data on the device.
      run: the budget of a trial.
      strategy: block width and the way steps run.
      blocks: how many blocks are trained side by side.
      threads: host threads that drive them.
      seed: the study's seed.
      rng_name: generator of the trials' keys.
      buckets: what programs pack, and in which ranges.
      division: what the buckets are expected to cost; None where nothing is packed.
      folds: parts that the data are divided into; 1 for no division.
      seeds: trainings of each trial and fold with keys of their own.
      free: whether nothing depends on the order in which trials are measured: then a tick lasts a while, and no block
        waits for others whose steps cost more.
      clock: says after which steps every trial is measured, besides its regular measurements.
      status: told what is going on, in a few words.
      waiting: called several times a second while programs are compiled and blocks train; may raise to give up.
    """

    def __init__(
        self,
        task: Any,
        space: Any,
        *,
        data: Any,
        run: Run,
        strategy: Strategy,
        blocks: int,
        threads: int,
        seed: int,
        rng_name: str,
        buckets: Buckets = Buckets(),
        division: Forecast | None = None,
        folds: int = 1,
        seeds: int = 1,
        free: bool = False,
        clock: Clock | None = None,
        status: Callable[[str], None] = lambda text: None,
        waiting: Callable[[], None] = lambda: None,
    ):
        self._task, self._space, self._data, self._run = task, space, data, run
        self._rng_name = rng_name
        self.strategy = strategy
        self.blocks = blocks
        self.buckets = buckets
        self.division = division
        self.folds, self.replicas = folds, folds * seeds
        self._feed = Feed(task, data, strategy.devices)
        self.free = free and self._feed.windows is None
        self._clock = clock
        self._status, self._waiting = status, waiting
        self._words = rng.seed_words(seed)
        self._workers = Workers(threads)
        self._halted = threading.Event()
        self._workshop = self._new_workshop()
        self._queues = self._new_queues()
        self._pools: list[Pool | None] = [None] * blocks
        self._paused = Paused(Parking())
        self._inheritance = Inheritance(space, data)
        self._shrinks = 0
        self._ticks = 0
        self.served: dict[int, int] = {}
        self._work = np.zeros(2)

    @property
    def planner(self) -> Any:
        """The programs, in the order in which they were needed."""
        return self._workshop.planner

    @property
    def padded_share(self) -> float | None:
        """Which share of the work of the trials admitted so far is padding; None where nothing is packed."""
        return float(1 - self._work[0] / self._work[1]) if self._work[1] else None

    @property
    def threads(self) -> int:
        """Host threads that drive blocks."""
        return self._workers.threads

    @property
    def lanes(self) -> int:
        """Replicas of trials that can be trained side by side."""
        return self.blocks * self.strategy.block

    @property
    def seats(self) -> int:
        """Trials that can be trained side by side."""
        return self.blocks * self._wide

    @property
    def queued(self) -> int:
        """Trials that wait for a lane."""
        return len(self._queues)

    @property
    def live(self) -> int:
        """Trials that sit in lanes."""
        return sum(pool.live for pool in self._working)

    @property
    def ending(self) -> int:
        """Trials in lanes that will have done all their steps when they are measured next."""
        return sum(pool.block.ending for pool in self._working)

    @property
    def parked(self) -> tuple[int, ...]:
        """Trials that are paused."""
        return tuple(self._paused)

    def submit(self, trials: Sequence[int], configs: Sequence[Mapping[str, Any]], first: bool = False) -> None:
        """Queues trials, if `first` before those that wait; `configs` are filled."""
        self.enter([Entry(*each, self.length(each[1])) for each in zip(trials, configs, strict=True)], first)

    def enter(self, entries: Sequence[Entry], first: bool = False) -> None:
        """Queues trials that may be under way, or draw the keys of others."""
        self._queues.add(entries, first)

    def length(self, config: Mapping[str, Any]) -> Length:
        """How long a trial of a filled config trains, and when it is measured."""
        return length(self._task, self._run, config, self._clock)

    def tick(self) -> Work:
        """Seats trials in free lanes and trains every block until the first of its trials is to be measured."""
        self._ticks += 1
        given_up: list[Shrunk] = []
        while True:
            try:
                seats = self._seat()
                chunks = self._advance_all(self._working)
                return Work(tuple(seats), tuple(chunks), tuple(given_up))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                given_up.append(self._shrink(error))

    def _advance_all(self, pools: Sequence[Pool]) -> list[tuple[int, Chunk]]:
        self._halted.clear()
        try:
            jobs = [functools.partial(advanced, pool.block, self.free, self._halted) for pool in pools]
            done = self._workers.run(jobs, self._waiting)
        except BaseException:
            self._halted.set()
            self._workers.join()
            raise
        return [(pool.program, chunk) for pool, chunks in zip(pools, done, strict=True) for chunk in chunks]

    def seconds_a_lane_step(self, config: Mapping[str, Any], least_seconds: float = 0.2) -> float:
        """Runs full blocks side by side for a moment, with trials that are thrown away, and times them.

        Args:
          config: a filled config, the same in every lane.
          least_seconds: how long the last measurement must take to be believed.
        """
        program = self._workshop.place([config])[0]
        number = self._workshop.trace(config) if program == UNPLACED else int(program)
        self._workshop.compile([number])
        blocks = [self._block(number) for _ in range(self.blocks)]
        for block in blocks:
            block.admit([Entry(trial, config, ENDLESS) for trial in range(block.room)])
        steps, seconds = 1, 0.0
        while steps <= FIRST_STEPS or seconds < least_seconds:
            started = time.perf_counter()
            self._workers.run([functools.partial(block.advance, steps) for block in blocks])
            seconds = time.perf_counter() - started
            steps *= FIRST_STEPS
        return seconds / (steps // FIRST_STEPS) / self.lanes

    def retire(self, trials: Any) -> None:
        """Frees the lanes of trials that have ended, and forgets those that were paused."""
        for pool in self._working:
            pool.retire(trials)
        for trial in np.asarray(trials).tolist():
            if trial in self._paused:
                self._paused.take(trial)

    def park(self, trials: Sequence[int]) -> None:
        """Takes trials out of their lanes and keeps their states."""
        for trial, state in zip(trials, self.states(trials), strict=True):
            place = self._place(trial)
            self._paused.put(place.program, dataclasses.replace(place.entry, state=state))
        for pool in self._working:
            pool.retire(trials)

    def recall(self, trials: Sequence[int]) -> None:
        """Queues paused trials ahead of those that have not begun, the first of them first."""
        for trial in reversed(trials):
            program, entry = self._paused.take(trial)
            self._queues.ahead(program, [entry])

    def copy(self, copies: Sequence[Copy]) -> None:
        """Lets trials, in lanes or paused, go on from the states that others have now, before any of it is changed.

        A trial that does not sit beside its source leaves its lane and waits in the queue of the source's program.

        Raises:
          SchedulerError: a config that the program of the source cannot train.
        """
        places = {trial: self._place(trial) for copy in copies for trial in (copy.trial, copy.source)}
        fitting = self.fits([copy.source for copy in copies], [copy.config for copy in copies])
        for copy in [copy for copy, fits in zip(copies, fitting, strict=True) if not fits]:
            raise SchedulerError(
                f"trial {copy.trial} cannot go on from a copy of trial {copy.source} under {dict(copy.config)}: the "
                "source's program, or its state, does not go with such configurations. StudyInfo.fits tells beforehand."
            )
        beside = {copy.trial: places[copy.trial].pool is places[copy.source].pool is not None for copy in copies}
        far = [copy for copy in copies if not beside[copy.trial]]
        states = self.states([copy.source for copy in far])
        entries = {copy.trial: self._copied(copy, places) for copy in copies}
        for pool in self._working:
            near = [copy for copy in copies if beside[copy.trial] and places[copy.trial].pool is pool]
            if near:
                pool.copy([copy.source for copy in near], [entries[copy.trial] for copy in near])
        self.retire([copy.trial for copy in far])
        for copy, state in zip(far, states, strict=True):
            entry = dataclasses.replace(entries[copy.trial], state=state)
            self._queues.ahead(places[copy.source].program, [entry])

    def _copied(self, copy: Copy, places: Mapping[int, Place]) -> Entry:
        now, done = places[copy.trial].entry, places[copy.source].entry.done
        length = self.length(copy.config)
        return Entry(copy.trial, copy.config, length, done, keys=copy.keys, first=now.first, stop=now.stop, copied=True)

    def fits(self, sources: Any, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Whether each filled config can go on from its source's state, bool[n]; see `Inheritance`."""
        ids = np.asarray(sources).tolist()
        places = {source: self._place(source) for source in dict.fromkeys(ids)}
        programs = [self.planner.traced[places[source].program] for source in ids]
        return self._inheritance.allowed(programs, [places[source].entry.config for source in ids], configs)

    def states(self, trials: Sequence[int]) -> list[State]:
        """Copies of the states of trials in lanes or paused, `[replicas, ...]` each, as left by the last tick."""
        found: dict[int, State] = {}
        for pool in self._working:
            mine = [trial for trial in dict.fromkeys(trials) if trial in pool]
            found.update(zip(mine, pool.states(mine), strict=True))
        return [found[trial] if trial in found else self._paused.state(trial) for trial in trials]

    @property
    def done(self) -> dict[int, int]:
        """Steps that the trials in lanes have done."""
        return {trial: steps for pool in self._working for trial, steps in pool.done.items()}

    def take(self, trials: Sequence[int]) -> list[Entry]:
        """Takes trials out of their lanes, block by block; they may go on in others as if they had stayed."""
        places = [(pool, [trial for trial in trials if trial in pool]) for pool in self._working]
        return [entry for pool, mine in places if mine for entry in pool.leave(mine)]

    @property
    def arrangement(self) -> Arrangement:
        """Where every trial is now: between two ticks."""
        return Arrangement(
            self._ticks, tuple(None if pool is None else (pool.program, pool.done) for pool in self._pools),
            self._queues.done, self._paused.done, tuple(sorted(self.planner.compiled)), self._workshop.making,
        )  # fmt: skip

    def points(self, then: Mapping[int, int] | None = None) -> list[Point]:
        """Where all trials are that have begun.

        Args:
          then: steps that trials had done when they were last written down, if that was before a tick that was given
            up: blocks that have measured since are left out.
        """
        seated = [point for pool in self._working for point in pool.points(then)]
        return [*seated, *self._queues.points, *self._paused.points]

    def arrange(self, arrangement: Arrangement, entries: Mapping[int, Entry]) -> None:
        """Puts trials where they were; only before anything else is entered, with all programs traced in their order.

        Args:
          arrangement: where they were, with no more blocks than there are here.
          entries: each of them as it stood.
        """
        self._workshop.collect(self._ticks, needed=True)
        self._ticks = arrangement.ticks
        self._workshop.compile(arrangement.ready)
        for number, place in enumerate(arrangement.pools):
            if place is not None:
                self._pools[number] = pool = self._pool(number, place[0])
                pool.fill(deque(entries[trial] for trial in place[1]))
        for program, waiting in arrangement.queues.items():
            self._queues[program].extend(entries[trial] for trial in waiting)
        for program, paused in arrangement.parked.items():
            for trial in paused:
                self._paused.put(program, entries[trial])
        if arrangement.making is not None:
            number, due = arrangement.making
            config = self.planner.traced[number].exemplar if number >= 0 else self._queues.unplaced[0].config
            self._workshop.begin(number if number >= 0 else None, config, due - LEAD)

    def task_of(self, trial: int) -> LaneTask:
        """The task of a trial's lane, which knows the structure of its state."""
        return self.planner.traced[self._place(trial).program].task

    def close(self) -> None:
        """Gives threads and lanes back."""
        self._halted.set()
        self._workers.close()
        self._workshop.close()
        self._paused.close()
        self._feed.close()
        self._pools = [None] * self.blocks

    @property
    def _working(self) -> list[Pool]:
        return [pool for pool in self._pools if pool is not None]

    @property
    def _wide(self) -> int:
        """Trials in a block."""
        return self.strategy.block // self.replicas

    def _new_workshop(self) -> Workshop:
        strategy = self._tracing

        def specialise(config: Mapping[str, Any]) -> Traced:
            packing = self.buckets.packing(config)
            with traced_with(config):
                return trace(self._task, self._space, config, self._data, strategy, self._rng_name, packing, self.folds)

        return Workshop(specialise, self._compiled, self._workers, self._status, self._waiting, self.free)

    @property
    def _tracing(self) -> Strategy:
        """How programs are traced here."""
        return self.strategy

    def _compiled(self, traced: Traced) -> Program:
        return traced.compile()

    def _new_queues(self) -> Queues:
        return Queues(lambda configs: self._workshop.place(configs), by_length=self._run.unit != "steps")

    def _place(self, trial: int) -> Place:
        if trial in self._paused:
            program, entry = self._paused.get(trial)
            return Place(program, None, entry)
        pool = next(pool for pool in self._working if trial in pool)
        return Place(pool.program, pool, pool.now(trial))

    def _pool(self, number: int, program: int) -> Pool:
        return Pool(number, program, self._block(program))

    def _block(self, program: int) -> Block:
        given = self.planner.compiled[program], self._words, self._data, self.replicas
        return Block(*given) if self._feed.windows is None else StreamedBlock(*given, self._feed)

    def _seat(self) -> list[Seat]:
        """Fills free lanes, gives blocks without work to other programs, and has programs made that are missing."""
        seats = [seat for pool in self._working for seat in self._fill(pool)]
        self._pools = [pool if pool is not None and pool.live else None for pool in self._pools]
        self._collect()
        seats += self._thin_out()
        opened: dict[int, int] = {}
        for number in [number for number, pool in enumerate(self._pools) if pool is None]:
            program = self._next_program(opened)
            if program is not None:
                opened[number] = program
        self._begin_next(opened)
        self._workshop.compile(sorted(set(opened.values())))
        for number, program in opened.items():
            self._pools[number] = pool = self._pool(number, program)
            seats += self._fill(pool)
        return seats

    def _thin_out(self) -> list[Seat]:
        """Empties blocks whose lanes are better used by others, and seats their trials where there is room."""
        pools, waiting = self._working, self._queues.waiting
        together = self.strategy.kind == "vmap"
        ready = {program: count for program, count in waiting.items() if self._workshop.ready(program)}
        places = thinned(
            [(pool.program, pool.live) for pool in pools], ready, self._wide, self._pools.count(None), together
        )
        emptied = [pools[place] for place in places]
        for pool in emptied:
            self._queues.ahead(pool.program, pool.leave())
        self._pools = [None if pool in emptied else pool for pool in self._pools]
        return [seat for pool in self._working for seat in self._fill(pool)] if emptied else []

    def _collect(self) -> None:
        """Takes what was made in the background when its time has come, and sorts the trials that wait for it."""
        idle = not any(self._pools) and not any(self._workshop.ready(program) for program in self._queues.waiting)
        if self._workshop.collect(self._ticks, needed=idle):
            self._queues.place_again()

    def _next_program(self, opened: Mapping[int, int]) -> int | None:
        """The program whose queue, less what newly opened blocks take of it, is longest.

        It is one that is made already; only where nothing trains yet, it may be one that is to be made now.
        """
        ready, missing = self._queues.unserved(opened, self._wide, self._workshop.ready)
        if ready or any(self._pools):
            return longest(ready)
        unplaced = self._queues.unplaced
        if unplaced and not self._workshop.busy and max(missing.values(), default=0) < self._wide:
            self._workshop.trace(unplaced[0].config)
            self._queues.place_again()
            return self._next_program(opened)
        return longest(missing)

    def _begin_next(self, opened: Mapping[int, int]) -> None:
        """Has the program that most trials wait for made in the background."""
        _, missing = self._queues.unserved(opened, self._wide, self._workshop.ready)
        number = longest(missing)
        if number is not None:
            self._workshop.begin(number, self._queues[number][0].config, self._ticks)
        elif self._queues.unplaced:
            self._workshop.begin(None, self._queues.unplaced[0].config, self._ticks)

    def _fill(self, pool: Pool) -> list[Seat]:
        taken, seats = pool.fill(self._queues[pool.program])
        self._serve(pool.program, taken, 1)
        return seats

    def _serve(self, program: int, entries: Sequence[Entry], times: int) -> None:
        """Counts trials that begin; those that will begin again are taken back."""
        begun = [entry.config for entry in entries if not entry.done and not entry.first]
        self.served[program] = self.served.get(program, 0) + times * len(begun)
        if self.division is not None and begun:
            work = self.division.work
            own, padded = work.seconds(begun).sum(), work.seconds(self.buckets.largest(begun)).sum()
            self._work += times * np.array([own, padded])

    def _shrink(self, error: Exception) -> Shrunk:
        """Gives up a block, or at last half of the block width, and queues the trials that sat there again."""
        found = shrunk(self.blocks, self.strategy.block, self.strategy.multiple_of(self.replicas), self._shrinks, error)
        self._go_on_with(found, found.blocks)
        return found

    def _go_on_with(self, found: Shrunk, blocks: int) -> None:
        self._shrinks += 1
        for pool in self._working:
            self._serve(pool.program, pool.seated, -1)
        seated = sorted((entry for pool in self._working for entry in pool.seated), key=lambda entry: entry.trial)
        self._queues.begin_again(seated)
        self._pools = [None] * blocks
        self.blocks = blocks
        if found.block != self.strategy.block:
            self._narrow(found.block)
        self._queues.place_again()
        self._status(found.message)

    def _narrow(self, block: int) -> None:
        """Makes all programs anew for narrower blocks."""
        before = self.planner.traced
        self.strategy = dataclasses.replace(self.strategy, block=block)
        self._workshop.close()
        self._workshop = self._new_workshop()
        for traced in before:
            self._workshop.trace(traced.exemplar)
