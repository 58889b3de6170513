"""Where blocks run: one host thread a CPU core, or one for an accelerator, joined in a fixed order."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import jax

from vtune.engine.numerics import numerics, under
from vtune.errors import ArgumentError

T = TypeVar("T")


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def default_threads() -> int:
    """Host threads that keep the default backend busy: a vmapped loop fills one CPU core, or a whole accelerator."""
    return cores() if jax.default_backend() == "cpu" else 1


def devices_of(wanted: int | str) -> int:
    """How many of the local devices are used: all of them for "auto".

    Raises:
      ArgumentError: more than there are, or no whole number.
    """
    here = jax.local_device_count()
    if wanted == "auto":
        return here
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 1 <= wanted <= here:
        raise ArgumentError(
            f"devices must be 'auto' or a whole number from 1 to {here}, what JAX finds here; got {wanted!r}"
        )
    return wanted


def as_here(function: Callable[[], T]) -> Callable[[], T]:
    """The function under the JAX settings of the thread that calls this, for another thread, which would not have them.

    So a program made in the background is what it would have been inside of `jax.default_matmul_precision(...)`.

    >>> with jax.default_matmul_precision("highest"):
    ...     look = as_here(lambda: jax.config.jax_default_matmul_precision)
    >>> with ThreadPoolExecutor(1) as pool:
    ...     pool.submit(look).result()
    'highest'
    """
    settings = numerics()

    def run() -> T:
        with under(settings):
            return function()

    return run


class Workers:
    """A few threads that run jobs side by side; results come back in the order of the jobs, whoever was first."""

    def __init__(self, threads: int):
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="vtune")
        self._jobs: list[Future[Any]] = []

    def run(self, jobs: Sequence[Callable[[], T]], waiting: Callable[[], None] = lambda: None) -> list[T]:
        """Runs the jobs and returns their results in order.

        Args:
          jobs: functions without arguments.
          waiting: called about ten times a second meanwhile; may raise to give up waiting.

        Raises:
          The first job's error, in order, after all jobs have ended.
        """
        if len(jobs) == 1 and self.threads == 1:
            return [jobs[0]()]
        self._jobs = [self._pool.submit(job) for job in jobs]
        for future in self._jobs:
            _wait(future, waiting)
        return [future.result() for future in self._jobs]

    def join(self) -> None:
        """Waits for the jobs of a run that was given up."""
        wait(self._jobs)

    def wait(self, future: Future[T], waiting: Callable[[], None]) -> T:
        """Waits for a job of any thread and returns its result; see `run`."""
        _wait(future, waiting)
        return future.result()

    def close(self) -> None:
        """Lets the threads go; jobs that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _wait(future: Future[Any], waiting: Callable[[], None]) -> None:
    while not future.done():
        waiting()
        with contextlib.suppress(TimeoutError):
            future.exception(timeout=0.1)
