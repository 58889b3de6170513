"""Trains trials in this process: programs, their queues and the blocks in which their lanes live."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune import rng
from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.devices import Workers
from vtune.engine.lane import LaneTask
from vtune.engine.lanes import Block, Chunk, Entry, State
from vtune.engine.parking import Parking
from vtune.engine.planner import UNPLACED
from vtune.engine.program import trace
from vtune.engine.strategy import Strategy
from vtune.executors.memory import Shrunk, out_of_memory, shrunk
from vtune.executors.workshop import Workshop
from vtune.hyper import matches
from vtune.tasks.base import Run
from vtune.tasks.budget import Clock, Length, length

CHUNK_SECONDS = 0.5
"""How long a device call may last: Ctrl-C and the display wait for it."""
SLICE_SECONDS = 0.15
"""How long a tick lasts where nothing depends on the order in which trials are measured."""
ENDLESS = Length(2**31, 2.0**31)
"""Of trials that are only timed."""
FIRST_STEPS = 16
"""Steps of a program's first chunk, whose time sets the length of the next."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a trial was admitted (the lane of its first replica), and how many steps it trains."""

    trial: int
    program: int
    block: int
    lane: int
    steps: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one tick did.

    Attributes:
      seats: who was seated.
      chunks: (program, chunk) of every device call, in the order of the blocks.
      shrunk: what was given up because memory ran out.
    """

    seats: tuple[Seat, ...] = ()
    chunks: tuple[tuple[int, Chunk], ...] = ()
    shrunk: tuple[Shrunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """A trial that goes on from another's state: its id, whose state, and its filled config from now on."""

    trial: int
    source: int
    config: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class _Pool:
    number: int
    program: int
    block: Block
    entries: dict[int, Entry]


@dataclass(frozen=True, slots=True)
class _Parked:
    program: int
    entry: Entry


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
        self._free = free
        self._clock = clock
        self._status, self._waiting = status, waiting
        self._words = rng.seed_words(seed)
        self._workers = Workers(threads)
        self._halted = threading.Event()
        self._workshop = self._new_workshop()
        self._unplaced: deque[Entry] = deque()
        self._queues: dict[int, deque[Entry]] = {}
        self._pools: list[_Pool | None] = [None] * blocks
        self._parking = Parking()
        self._parked: dict[int, _Parked] = {}
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
        return len(self._unplaced) + sum(len(queue) for queue in self._queues.values())

    @property
    def live(self) -> int:
        """Trials that sit in lanes."""
        return sum(int(pool.block.live.sum()) for pool in self._pools if pool) // self.replicas

    @property
    def ending(self) -> int:
        """Trials in lanes that will have done all their steps when they are measured next."""
        return sum(pool.block.ending for pool in self._pools if pool)

    @property
    def parked(self) -> tuple[int, ...]:
        """Trials that are paused."""
        return tuple(sorted(self._parked))

    def submit(self, trials: Sequence[int], configs: Sequence[Mapping[str, Any]]) -> None:
        """Queues trials; `configs` are filled."""
        lengths = [length(self._task, self._run, config, self._clock) for config in configs]
        self._sort([Entry(*each) for each in zip(trials, configs, lengths, strict=True)])

    def _sort(self, entries: Sequence[Entry]) -> None:
        programs = self._workshop.place([entry.config for entry in entries])
        for entry, program in zip(entries, programs, strict=True):
            self._queue(program).append(entry)
        if self._run.unit != "steps":
            self._queues = {program: _longest_first(queue) for program, queue in self._queues.items()}

    def tick(self) -> Work:
        """Seats trials in free lanes and trains every block until the first of its trials is to be measured."""
        self._ticks += 1
        given_up: list[Shrunk] = []
        while True:
            try:
                seats = self._seat()
                pools = [pool for pool in self._pools if pool is not None]
                chunks = self._advance_all(pools)
                return Work(tuple(seats), tuple(chunks), tuple(given_up))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                given_up.append(self._shrink(error))

    def _advance_all(self, pools: Sequence[_Pool]) -> list[tuple[int, Chunk]]:
        self._halted.clear()
        try:
            done = self._workers.run([functools.partial(self._advance, pool) for pool in pools], self._waiting)
        except BaseException:
            self._halted.set()
            raise
        return [(pool.program, chunk) for pool, chunks in zip(pools, done, strict=True) for chunk in chunks]

    def _advance(self, pool: _Pool) -> list[Chunk]:
        """Trains a block until it measures; without order, for a while or until a trial has ended."""
        seconds = SLICE_SECONDS if self._free else CHUNK_SECONDS
        started, chunks = time.perf_counter(), []
        while not self._halted.is_set():
            step = pool.block.program.step_seconds
            most = FIRST_STEPS if step is None else max(1, int(seconds / max(step, 1e-9)))
            rest = pool.block.until_measurement()
            chunks.append(pool.block.advance(min(rest, most)))
            measured = rest <= most
            if self._free:
                measured = bool((chunks[-1].share >= 1).any()) or time.perf_counter() - started >= seconds
            if measured:
                break
        return chunks

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
        for pool in self._pools:
            if pool is not None:
                pool.block.retire(np.flatnonzero(np.isin(pool.block.trial, trials)))
        for trial in np.asarray(trials).tolist():
            if self._parked.pop(trial, None) is not None and trial in self._parking:
                self._parking.take(trial)

    def park(self, trials: Sequence[int]) -> None:
        """Takes trials out of their lanes and keeps their states."""
        for trial, state in zip(trials, self.states(trials), strict=True):
            pool, entry = self._entry(trial)
            self._parking.put(trial, state)
            self._parked[trial] = _Parked(pool.program, entry)
            pool.block.retire(pool.block.lanes_of([trial]).ravel())

    def recall(self, trials: Sequence[int]) -> None:
        """Queues paused trials ahead of those that have not begun, the first of them first."""
        for trial in reversed(trials):
            parked = self._parked.pop(trial)
            entry = parked.entry
            back = Entry(trial, entry.config, entry.length, entry.done, self._parking.take(trial))
            self._queue(parked.program).appendleft(back)

    def copy(self, copies: Sequence[Copy]) -> None:
        """Lets trials, in lanes or paused, go on from the states that others have now, before any of it is changed.

        A trial whose new state belongs to another program leaves its lane and waits in that program's queue.
        """
        near = [copy for copy in copies if self._pool(copy.trial) is self._pool(copy.source) is not None]
        far = [copy for copy in copies if copy not in near]
        states = self.states([copy.source for copy in far])
        sources = [self._place(copy.source) for copy in far]
        for pool in [pool for pool in self._pools if pool is not None]:
            mine = [copy for copy in near if self._pool(copy.trial) is pool]
            if mine:
                targets = [copy.trial for copy in mine]
                pool.block.copy(targets, [copy.source for copy in mine], [copy.config for copy in mine])
                for copy, state in zip(mine, pool.block.states(targets), strict=True):
                    _, entry = self._entry(copy.trial)
                    pool.entries[copy.trial] = Entry(copy.trial, copy.config, entry.length, entry.done, state)
        for copy, state, source in zip(far, states, sources, strict=True):
            self.retire([copy.trial])
            new = length(self._task, self._run, copy.config, self._clock)
            self._queue(source.program).appendleft(Entry(copy.trial, copy.config, new, source.entry.done, state))

    def fits(self, sources: Any, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Whether each filled config can go on from its source's state, bool[n]: the same program trains both."""
        programs = [self._place(source).program for source in np.asarray(sources).tolist()]
        found = np.zeros(len(configs), bool)
        for program in set(programs):
            rows = [row for row, other in enumerate(programs) if other == program]
            found[rows] = matches(self.planner.traced[program].guards, [configs[row] for row in rows])
        return found

    def states(self, trials: Sequence[int]) -> list[State]:
        """Copies of the states of trials in lanes or paused, `[replicas, ...]` each, as left by the last tick."""
        found: dict[int, State] = {}
        for pool in [pool for pool in self._pools if pool is not None]:
            mine = [trial for trial in trials if trial in pool.block.trial]
            found.update(zip(mine, pool.block.states(mine), strict=True))
        return [found[trial] if trial in found else self._parking.get(trial) for trial in trials]

    def task_of(self, trial: int) -> LaneTask:
        """The task of a trial's lane, which knows the structure of its state."""
        return self.planner.traced[self._place(trial).program].task

    def close(self) -> None:
        """Gives threads and lanes back."""
        self._halted.set()
        self._workers.close()
        self._workshop.close()
        self._parking.close()
        self._pools = [None] * self.blocks

    def _new_workshop(self) -> Workshop:
        strategy = self.strategy

        def specialise(config: Mapping[str, Any]) -> Any:
            return trace(
                self._task, self._space, config, self._data, strategy, self._rng_name, self.buckets.packing(config),
                self.folds,
            )  # fmt: skip

        return Workshop(specialise, self._workers, self._status, self._waiting, self._free)

    def _pool(self, trial: int) -> _Pool | None:
        return next((pool for pool in self._pools if pool is not None and trial in pool.block.trial), None)

    def _entry(self, trial: int) -> tuple[_Pool, Entry]:
        """Where a trial sits, and what it would need to go on elsewhere, but for its state."""
        pool = self._pool(trial)
        if pool is None:
            raise KeyError(trial)
        entry = pool.entries[trial]
        done = int(pool.block.done[pool.block.lanes_of([trial])[0, 0]])
        return pool, Entry(trial, entry.config, entry.length, done)

    def _place(self, trial: int) -> _Parked:
        """The program of a trial in a lane or paused, and what it would need to go on, but for its state."""
        if trial in self._parked:
            return self._parked[trial]
        pool, entry = self._entry(trial)
        return _Parked(pool.program, entry)

    def _block(self, program: int) -> Block:
        return Block(self.planner.compiled[program], self._words, self._data, self.replicas)

    def _queue(self, program: int) -> deque[Entry]:
        return self._unplaced if program == UNPLACED else self._queues.setdefault(int(program), deque())

    def _seat(self) -> list[Seat]:
        seats = [seat for pool in self._pools if pool is not None for seat in self._fill(pool)]
        self._pools = [pool if pool is not None and pool.block.live.any() else None for pool in self._pools]
        self._collect()
        opened: dict[int, int] = {}
        for number in [number for number, pool in enumerate(self._pools) if pool is None]:
            program = self._next_program(opened)
            if program is not None:
                opened[number] = program
        self._begin_next(opened)
        self._workshop.compile(sorted(set(opened.values())))
        for number, program in opened.items():
            pool = _Pool(number, program, self._block(program), {})
            self._pools[number] = pool
            seats += self._fill(pool)
        return seats

    def _collect(self) -> None:
        """Takes what was made in the background when its time has come, and sorts the trials that wait for it."""
        idle = not any(self._pools) and not any(self._queues[p] for p in self._queues if self._workshop.ready(p))
        if self._workshop.collect(self._ticks, needed=idle):
            self._place_waiting()

    def _place_waiting(self) -> None:
        waiting = list(self._unplaced)
        self._unplaced.clear()
        self._sort(waiting)

    def _next_program(self, opened: Mapping[int, int]) -> int | None:
        """The program whose queue, less what newly opened blocks take of it, is longest.

        It is one that is made already; only where nothing trains yet, it may be one that is to be made now.
        """
        ready, missing = self._rest(opened)
        if ready or any(self._pools):
            return _longest(ready)
        if self._unplaced and not self._workshop.busy and max(missing.values(), default=0) < self._wide:
            self._workshop.trace(self._unplaced[0].config)
            self._place_waiting()
            return self._next_program(opened)
        return _longest(missing)

    def _begin_next(self, opened: Mapping[int, int]) -> None:
        """Has the program that most trials wait for made in the background."""
        _, missing = self._rest(opened)
        number = _longest(missing)
        if number is not None:
            self._workshop.begin(number, self._queues[number][0].config, self._ticks)
        elif self._unplaced:
            self._workshop.begin(None, self._unplaced[0].config, self._ticks)

    def _rest(self, opened: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Trials that wait for more blocks than are opened now, by programs that are made and that are not."""
        rest = {p: len(q) - self._wide * list(opened.values()).count(p) for p, q in self._queues.items()}
        ready = {p: n for p, n in rest.items() if n > 0 and (self._workshop.ready(p) or p in opened.values())}
        return ready, {p: n for p, n in rest.items() if n > 0 and p not in opened.values() and p not in ready}

    @property
    def _wide(self) -> int:
        """Trials in a block."""
        return self.strategy.block // self.replicas

    def _fill(self, pool: _Pool) -> list[Seat]:
        queue = self._queue(pool.program)
        taken = [queue.popleft() for _ in range(min(pool.block.room, len(queue)))]
        if not taken:
            return []
        try:
            lanes = pool.block.admit(taken)
        except Exception:
            queue.extendleft(reversed(taken))
            pool.block.retire(np.flatnonzero(np.isin(pool.block.trial, [entry.trial for entry in taken])))
            raise
        pool.entries = {trial: entry for trial, entry in pool.entries.items() if trial in pool.block.trial}
        pool.entries.update({entry.trial: entry for entry in taken})
        begun = [entry.config for entry in taken if not entry.done]
        self.served[pool.program] = self.served.get(pool.program, 0) + len(begun)
        if self.division is not None and begun:
            work = self.division.work
            self._work += work.seconds(begun).sum(), work.seconds(self.buckets.largest(begun)).sum()
        return [
            Seat(entry.trial, pool.program, pool.number, int(row[0]), entry.length.steps)
            for entry, row in zip(taken, lanes, strict=True)
        ]

    def _shrink(self, error: Exception) -> Shrunk:
        """Gives up a block, or at last half of the block width, and queues the trials that sat there again."""
        found = shrunk(self.blocks, self.strategy.block, self.replicas, self._shrinks, error)
        self._shrinks += 1
        seated = [entry for pool in self._pools if pool is not None for entry in self._seated(pool)]
        waiting = sorted(seated, key=lambda entry: entry.trial) + [e for q in self._queues.values() for e in q]
        self._unplaced.extendleft(reversed(waiting))
        self._queues = {}
        self._pools = [None] * found.blocks
        self.blocks = found.blocks
        if found.block != self.strategy.block:
            self._narrow(found.block)
        self._place_waiting()
        self._status(found.message)
        return found

    def _seated(self, pool: _Pool) -> list[Entry]:
        return [pool.entries[trial] for trial in np.unique(pool.block.trial[pool.block.live]).tolist()]

    def _narrow(self, block: int) -> None:
        """Makes all programs anew for narrower blocks."""
        before = self.planner.traced
        self.strategy = Strategy(block, self.strategy.kind, self.strategy.convolutions)
        self._workshop.close()
        self._workshop = self._new_workshop()
        for traced in before:
            self._workshop.trace(traced.exemplar)


def _longest_first(queue: deque[Entry]) -> deque[Entry]:
    """Trials that go on, then the others by length, so that lanes filled together are measured and end together."""
    return deque(sorted(queue, key=lambda entry: (entry.done == 0, -entry.length.steps * (entry.done == 0))))


def _longest(waiting: Mapping[int, int]) -> int | None:
    """The program that most trials wait for; the earliest of equals."""
    return max(waiting, key=lambda program: (waiting[program], -program), default=None)
