"""Trains trials in this process: programs, their queues and the blocks in which their lanes live."""

from __future__ import annotations

import functools
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
from vtune.engine.lanes import Block, Chunk
from vtune.engine.planner import UNPLACED, Planner
from vtune.engine.program import Program, trace
from vtune.engine.strategy import Strategy
from vtune.tasks.base import Run
from vtune.tasks.budget import Length, length

CHUNK_SECONDS = 0.5
"""How long a device call may last: Ctrl-C and the display wait for it."""
ENDLESS = Length(2**31, 2.0**31)
"""Of trials that are only timed."""
FIRST_STEPS = 16
"""Steps of a program's first chunk, whose time sets the length of the next."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a trial was admitted, and how many steps it trains."""

    trial: int
    program: int
    block: int
    lane: int
    steps: int


@dataclass(frozen=True, slots=True)
class Work:
    """What one tick did: who was seated, and what each block measured, in the order of the blocks."""

    seats: tuple[Seat, ...]
    chunks: tuple[tuple[int, Chunk], ...]


@dataclass(slots=True, eq=False)
class _Pool:
    number: int
    program: int
    block: Block


class LocalExecutor:
    """Lanes of this process.

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
      status: told what is going on, in a few words.
      waiting: called several times a second while programs are compiled; may raise to give up.
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
        status: Callable[[str], None] = lambda text: None,
        waiting: Callable[[], None] = lambda: None,
    ):
        self._task = task
        self._run = run
        self.strategy = strategy
        self.blocks = blocks
        self.buckets = buckets
        self.division = division
        self._status = status
        self._waiting = waiting
        self._space = space
        self._data = data
        self._words = rng.seed_words(seed)
        self._workers = Workers(threads)
        self.planner = Planner(
            lambda config: trace(task, space, config, data, strategy, rng_name, buckets.packing(config))
        )
        self._unplaced: deque[tuple[int, Mapping[str, Any]]] = deque()
        self._queues: dict[int, deque[tuple[int, Mapping[str, Any]]]] = {}
        self._pools: list[_Pool | None] = [None] * blocks
        self.served: dict[int, int] = {}
        self._work = np.zeros(2)

    @property
    def padded_share(self) -> float | None:
        """Which share of the work of the trials admitted so far is padding; None where nothing is packed."""
        return float(1 - self._work[0] / self._work[1]) if self._work[1] else None

    @property
    def lanes(self) -> int:
        """Trials that can be trained side by side."""
        return self.blocks * self.strategy.block

    @property
    def queued(self) -> int:
        """Trials that wait for a lane."""
        return len(self._unplaced) + sum(len(queue) for queue in self._queues.values())

    @property
    def live(self) -> int:
        """Trials that sit in lanes."""
        return sum(int(pool.block.live.sum()) for pool in self._pools if pool)

    def submit(self, trials: Sequence[int], configs: Sequence[Mapping[str, Any]]) -> None:
        """Queues trials; `configs` are filled."""
        for trial, config, program in zip(trials, configs, self.planner.place(configs), strict=True):
            self._queue(program).append((trial, config))

    def tick(self) -> Work:
        """Seats trials in free lanes and trains every block for one chunk."""
        seats = self._seat()
        pools = [pool for pool in self._pools if pool is not None]
        chunks = self._workers.run([functools.partial(self._advance, pool) for pool in pools])
        return Work(tuple(seats), tuple((pool.program, chunk) for pool, chunk in zip(pools, chunks, strict=True)))

    def seconds_a_lane_step(self, config: Mapping[str, Any], least_seconds: float = 0.2) -> float:
        """Runs full blocks side by side for a moment, with trials that are thrown away, and times them.

        Args:
          config: a filled config, the same in every lane.
          least_seconds: how long the last measurement must take to be believed.
        """
        program = self.planner.place([config])[0]
        number = self.planner.extend(config) if program == UNPLACED else int(program)
        self._compile([number])
        width, compiled = self.strategy.block, self.planner.compiled[number]
        blocks = [Block(compiled, self._words, self._data) for _ in range(self.blocks)]
        for block in blocks:
            block.admit(np.arange(width), range(width), [config] * width, [ENDLESS] * width)
        steps, seconds = 1, 0.0
        while steps <= FIRST_STEPS or seconds < least_seconds:
            started = time.perf_counter()
            self._workers.run([functools.partial(block.advance, steps) for block in blocks])
            seconds = time.perf_counter() - started
            steps *= FIRST_STEPS
        return seconds / (steps // FIRST_STEPS) / self.lanes

    def retire(self, trials: np.ndarray) -> None:
        """Frees the lanes of trials that have ended."""
        for pool in self._pools:
            if pool is None:
                continue
            pool.block.retire(np.flatnonzero(np.isin(pool.block.trial, trials)))

    def state(self, trial: int) -> tuple[LaneTask, list[np.ndarray]]:
        """The task of a trial's lane and a copy of the trial's state, as left by the last tick."""
        for pool in self._pools:
            if pool is not None and trial in pool.block.trial:
                lane = int(np.flatnonzero(pool.block.trial == trial)[0])
                return self.planner.traced[pool.program].task, pool.block.leaves(lane)
        raise KeyError(trial)

    def close(self) -> None:
        """Gives threads and lanes back."""
        self._workers.close()
        self._pools = [None] * self.blocks

    def _queue(self, program: int) -> deque[tuple[int, Mapping[str, Any]]]:
        return self._unplaced if program == UNPLACED else self._queues.setdefault(int(program), deque())

    def _seat(self) -> list[Seat]:
        seats = [seat for pool in self._pools if pool is not None for seat in self._fill(pool)]
        self._pools = [pool if pool is not None and pool.block.live.any() else None for pool in self._pools]
        opened: dict[int, int] = {}
        for number in [number for number, pool in enumerate(self._pools) if pool is None]:
            program = self._next_program(opened)
            if program is None:
                break
            opened[number] = program
        self._compile(sorted(set(opened.values())))
        for number, program in opened.items():
            pool = _Pool(number, program, Block(self.planner.compiled[program], self._words, self._data))
            self._pools[number] = pool
            seats += self._fill(pool)
        return seats

    def _next_program(self, opened: Mapping[int, int]) -> int | None:
        """The program whose queue, less what newly opened blocks will take of it, is longest; traces one if need be."""
        width = self.strategy.block
        rest = {p: len(q) - width * list(opened.values()).count(p) for p, q in self._queues.items()}
        longest = max(rest, key=lambda p: (rest[p], -p), default=None)
        if longest is not None and rest[longest] > 0 and (rest[longest] >= width or not self._unplaced):
            return longest
        if self._unplaced:
            self._status(f"tracing program {len(self.planner.traced) + 1}")
            self._waiting()
            self.planner.extend(self._unplaced[0][1])
            waiting = list(self._unplaced)
            self._unplaced.clear()
            self.submit([trial for trial, _ in waiting], [config for _, config in waiting])
            return self._next_program(opened)
        return None

    def _compile(self, programs: Sequence[int]) -> None:
        missing = [number for number in programs if number not in self.planner.compiled]
        if not missing:
            return
        known = len(self.planner.traced)
        self._status(f"compiling {', '.join(str(number + 1) for number in missing)} of {known}")
        compiled: list[Program] = self._workers.run(
            [self.planner.traced[number].compile for number in missing], self._waiting
        )
        self.planner.compiled.update(zip(missing, compiled, strict=True))

    def _fill(self, pool: _Pool) -> list[Seat]:
        queue = self._queue(pool.program)
        lanes = np.flatnonzero(~pool.block.live)[: len(queue)]
        if not len(lanes):
            return []
        taken = [queue.popleft() for _ in lanes]
        configs = [config for _, config in taken]
        lengths = [length(self._task, self._run, config) for config in configs]
        pool.block.admit(lanes, [trial for trial, _ in taken], configs, lengths)
        if self.division is not None:
            work = self.division.work
            self._work += work.seconds(configs).sum(), work.seconds(self.buckets.largest(configs)).sum()
        self.served[pool.program] = self.served.get(pool.program, 0) + len(taken)
        return [
            Seat(trial, pool.program, pool.number, int(lane), each.steps)
            for (trial, _), lane, each in zip(taken, lanes, lengths, strict=True)
        ]

    def _advance(self, pool: _Pool) -> Chunk:
        seconds = pool.block.program.step_seconds
        most = FIRST_STEPS if seconds is None else max(1, int(CHUNK_SECONDS / max(seconds, 1e-9)))
        return pool.block.advance(min(pool.block.until_measurement(), most))
