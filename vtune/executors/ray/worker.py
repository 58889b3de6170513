"""What runs on a worker: blocks of lanes, trained whenever the process that drives the study asks for it."""

from __future__ import annotations

import functools
import platform
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import jax

from vtune import rng
from vtune.blame import traced_with
from vtune.cache import enable_compilation_cache
from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.devices import Workers, devices_of
from vtune.engine.lanes import Block, Chunk
from vtune.engine.program import Program, trace
from vtune.engine.sharding import place
from vtune.engine.strategy import Strategy
from vtune.executors.advancing import advanced
from vtune.executors.job import Job, Prospect, chosen
from vtune.executors.local import LocalExecutor
from vtune.executors.memory import WorkerMemoryFull, out_of_memory

Order = tuple[Any, ...]
"""(number of a block, method, arguments): what is to be done with a block before anything else."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker is: those of one study must be alike, or their results would not be.

    Attributes:
      vtune: version.
      jax: version.
      backend: "cpu", "gpu" or "tpu".
    """

    vtune: str
    jax: str
    backend: str


@dataclass(frozen=True, slots=True)
class Choice:
    """How trials run, as it was chosen on a worker."""

    strategy: Strategy
    blocks: int
    buckets: Buckets


class Worker:
    """Blocks of lanes of one process. Ray runs it as an actor.

    Args:
      job: what is trained, with its data.
      look: settings of JAX where the study was begun.
    """

    def __init__(self, job: Job, look: Mapping[str, Any]):
        for name, value in look.items():
            jax.config.update(f"jax_{name}", value)
        enable_compilation_cache(job.cache)
        devices_of(job.wanted.devices)
        self._job = job
        self._data = place(job.task.data, job.wanted.devices)
        self._words = rng.seed_words(job.seed)
        self._workers = Workers(job.threads)
        self._halted = threading.Event()
        self._making = threading.Lock()
        self._programs: dict[int, Program] = {}
        self._blocks: dict[int, Block] = {}
        self._choice: Choice | None = None

    def facts(self) -> Facts:
        """What this worker is."""
        return Facts(version("vtune"), jax.__version__, f"{jax.default_backend()} on {platform.machine()}")

    def choose(self, prospect: Prospect, processes: int) -> Choice:
        """Finds out how trials run best here; see `vtune.executors.prepared`.

        Args:
          prospect: what is known of the study.
          processes: workers that train side by side; the blocks are those of all of them.
        """

        def make(strategy: Strategy, blocks: int, division: Forecast | None, buckets: Buckets) -> LocalExecutor:
            return self._job.local(self._data, strategy, -(-blocks // processes), division, buckets)

        counted: list[int] = []

        def counting(strategy: Strategy, blocks: int, division: Forecast | None, buckets: Buckets) -> LocalExecutor:
            counted.append(blocks)
            return make(strategy, blocks, division, buckets)

        with traced_with(prospect.exemplar):
            executor = chosen(counting, self._job, self._data, prospect, processes)
        executor.close()
        return Choice(executor.strategy, counted[-1], executor.buckets)

    def begin(self, choice: Choice) -> None:
        """Forgets what was there, and trains as chosen from now on."""
        self._choice = choice
        self._blocks.clear()
        self._programs.clear()

    def make(self, number: int, exemplar: Mapping[str, Any]) -> float:
        """Traces and compiles a program, if it is not there yet; returns the seconds that compiling took."""
        return self._program(number, exemplar).compile_seconds

    def tick(self, orders: Sequence[Order], blocks: Sequence[int], only: bool) -> list[list[Chunk]]:
        """Carries out orders and trains blocks until they measure.

        Args:
          orders: what comes before.
          blocks: their numbers.
          only: whether these are all that there are: then others are forgotten.

        Returns:
          Chunks of each of the blocks.

        Raises:
          WorkerMemoryFull: there is no memory left.
        """
        try:
            self._carry_out(orders)
            if only:
                self._blocks = {number: self._blocks[number] for number in blocks}
            self._halted.clear()
            train = [
                functools.partial(advanced, self._blocks[number], self._job.free, self._halted) for number in blocks
            ]
            return self._workers.run(train)
        except Exception as error:
            if out_of_memory(error):
                raise WorkerMemoryFull(str(error)) from None
            raise

    def ask(self, orders: Sequence[Order], number: int, method: str, arguments: Sequence[Any]) -> Any:
        """Carries out orders and calls a method of a block."""
        self._carry_out(orders)
        return getattr(self._blocks[number], method)(*arguments)

    def halt(self) -> None:
        """Has blocks that train stop at the end of their chunk."""
        self._halted.set()

    def _carry_out(self, orders: Sequence[Order]) -> None:
        for number, method, *arguments in orders:
            if method == "open":
                program = self._program(*arguments)
                replicas = self._job.folds * self._job.seeds
                self._blocks[number] = Block(program, self._words, self._data, replicas)
            elif number in self._blocks:
                getattr(self._blocks[number], method)(*arguments)

    def _program(self, number: int, exemplar: Mapping[str, Any]) -> Program:
        with self._making:
            if number not in self._programs:
                job, choice = self._job, self._choice
                if choice is None:
                    raise RuntimeError("a worker was asked for a program before it was told how trials run")
                packing = choice.buckets.packing(exemplar)
                with traced_with(exemplar):
                    traced = trace(
                        job.task, job.space, exemplar, self._data, choice.strategy, job.rng_name, packing, job.folds
                    )
                self._programs[number] = traced.compile()
            return self._programs[number]
