"""The programs of a study: traced and compiled when trials need them, in the background while others train."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from vtune.engine.devices import Workers, as_here
from vtune.engine.planner import Planner
from vtune.engine.program import Program, Traced

LEAD = 32
"""Ticks after which a program that is made in the background is waited for: fixed, so that no result depends on how
fast the compiler was."""


class Workshop:
    """Makes programs.

    Args:
      specialise: traces the program that serves a filled config.
      compiled: compiles a traced program.
      workers: threads on which several programs are compiled side by side while nothing trains.
      status: told what is going on, in a few words.
      waiting: called several times a second while programs are waited for; may raise to give up.
      free: whether a program may be taken as soon as it is made.
    """

    def __init__(
        self,
        specialise: Callable[[Mapping[str, Any]], Traced],
        compiled: Callable[[Traced], Program],
        workers: Workers,
        status: Callable[[str], None],
        waiting: Callable[[], None],
        free: bool = False,
    ):
        self.planner = Planner(specialise)
        self._compiled = compiled
        self._workers = workers
        self._status = status
        self._waiting = waiting
        self._free = free
        self._background = ThreadPoolExecutor(1, thread_name_prefix="vtune-compiler")
        self._making: tuple[Future[tuple[Traced, Program]], int, int] | None = None

    def place(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """The program of each filled config among those that are known, int64[n]; see `Planner.place`."""
        return self.planner.place(configs)

    def ready(self, number: int) -> bool:
        """Whether a program is compiled."""
        return number in self.planner.compiled

    def begin(self, number: int | None, config: Mapping[str, Any], tick: int) -> None:
        """Begins to make a program in the background, unless another is being made.

        Args:
          number: of a program that is traced already; None for a new one.
          config: a filled config that it serves.
          tick: the logical time.
        """
        if self._making is not None:
            return
        known = None if number is None else self.planner.traced[number]

        def make() -> tuple[Traced, Program]:
            traced = self.planner.specialise(config) if known is None else known
            return traced, self._compiled(traced)

        self._making = (self._background.submit(as_here(make)), -1 if number is None else number, tick + LEAD)

    def collect(self, tick: int, needed: bool) -> bool:
        """Takes a program that was made in the background.

        Args:
          tick: the logical time; unless it is free, before its time has come the program is left where it is, made or
            not.
          needed: whether nothing else can train: then it is waited for at once.

        Returns:
          Whether there is a new program.
        """
        if self._making is None:
            return False
        future, number, due = self._making
        if not needed and not (future.done() if self._free else tick >= due):
            return False
        if not future.done():
            self._status(f"compiling program {number + 1 if number >= 0 else len(self.planner.traced) + 1}")
        try:
            traced, program = self._workers.wait(future, self._waiting)
        finally:
            self._making = None
        if number < 0:
            self.planner.traced.append(traced)
            number = len(self.planner.traced) - 1
        self.planner.compiled[number] = program
        return True

    @property
    def making(self) -> tuple[int, int] | None:
        """Of the program that is made in the background: its number, -1 for a new one, and when it is waited for."""
        return None if self._making is None else self._making[1:]

    @property
    def busy(self) -> bool:
        """Whether a program is being made in the background."""
        return self._making is not None

    def trace(self, config: Mapping[str, Any]) -> int:
        """Traces the program that a filled config needs, now; returns its number."""
        self._status(f"tracing program {len(self.planner.traced) + 1}")
        self._waiting()
        return self.planner.extend(config)

    def compile(self, numbers: Sequence[int]) -> None:
        """Compiles those of the programs that are not yet, now."""
        missing = [number for number in numbers if not self.ready(number)]
        if not missing:
            return
        known = len(self.planner.traced)
        self._status(f"compiling {', '.join(str(number + 1) for number in missing)} of {known}")
        made: list[Program] = self._workers.run(
            [functools.partial(self._compiled, self.planner.traced[number]) for number in missing], self._waiting
        )
        self.planner.compiled.update(zip(missing, made, strict=True))

    def close(self) -> None:
        """Lets the background thread go; what it makes is not waited for."""
        self._background.shutdown(wait=False, cancel_futures=True)
