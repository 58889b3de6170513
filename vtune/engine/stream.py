"""Data of which the device holds a window at a time: it is loaded while the one before is trained on.

A trial's windows follow from its own steps alone, so that what it computes depends neither on its lane nor on when it
began. To share them, the lanes of a block go through the windows together: a trial enters a block whose lanes are in
the window that it needs next, and one that begins waits until they are at the first.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from vtune.engine.lanes import Block, Chunk, Entry
from vtune.engine.program import Program
from vtune.engine.sharding import place
from vtune.tasks.base import Windows

_AHEAD = 2
"""Windows that are kept beside those that blocks train on: the last that was asked for, and the next."""


class Feed:
    """The data of a task, on the device, as they are at a step of a trial.

    Args:
      task: with or without `windows`.
      data: the task's data, on the device.
      devices: that hold them.

    Attributes:
      windows: of the task; None if its data are always the same.
    """

    def __init__(self, task: Any, data: Any, devices: int = 1):
        self.windows: Windows | None = getattr(task, "windows", None)
        self._task, self._data, self._devices = task, data, devices
        self._made: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._loader: ThreadPoolExecutor | None = None

    def at(self, step: int) -> Any:
        """The data for the step after `step`; those of the window after it are loaded meanwhile."""
        if self.windows is None:
            return self._data
        number = self.windows.at(step)
        with self._lock:
            wanted = self._begun(number)
            if self.windows.count > 1:
                self._begun((number + 1) % self.windows.count)
            for old in list(self._made)[:-_AHEAD]:
                del self._made[old]
        return wanted.result()

    def close(self) -> None:
        """Stops loading."""
        if self._loader is not None:
            self._loader.shutdown(wait=True, cancel_futures=True)

    def _begun(self, number: int) -> Future[Any]:
        """A window that is loaded or being loaded, from now on the last to be dropped."""
        if self._loader is None:
            self._loader = ThreadPoolExecutor(1, thread_name_prefix="vtune-window")
        future = self._made.pop(number, None) or self._loader.submit(self._load, number)
        self._made[number] = future
        return future

    def _load(self, number: int) -> Any:
        """Puts on the device what differs from the task's own data."""
        return jax.tree.map(
            lambda new, own, placed: placed if new is own else place(new, self._devices),
            self._task.window(number), self._task.data, self._data,
        )  # fmt: skip


class StreamedBlock(Block):
    """Lanes that go through the windows of a stream together.

    Args:
      program: the compiled program that trains the lanes.
      words: the study's seed as uint32[2].
      data: the task's data, on the device.
      replicas: lanes of one trial.
      feed: gives the data of each window.
    """

    def __init__(self, program: Program, words: Any, data: Any, replicas: int, feed: Feed):
        super().__init__(program, words, data, replicas)
        if feed.windows is None:
            raise ValueError("a streamed block needs the feed of a task with windows")
        self._feed, self._windows = feed, feed.windows
        self._window: int | None = None

    def take(self, queue: deque[Entry]) -> list[Entry]:
        """Takes from a queue who is to go on where the lanes are; an empty block goes where the first one is."""
        if not queue or not self.room:
            return []
        live = self.done[self.live]
        where = self._windows.place(int(live[0]) if len(live) else queue[0].done)
        fitting = [entry for entry in queue if self._windows.place(entry.done) == where][: self.room]
        taken = {entry.trial for entry in fitting}
        rest = [entry for entry in queue if entry.trial not in taken]
        queue.clear()
        queue.extend(rest)
        return fitting

    def until_measurement(self) -> int:
        """Steps until the first of the live lanes is due, or is to stop, or the window ends."""
        rest = self._windows.steps - self._windows.place(self._done) % self._windows.steps
        return min(super().until_measurement(), rest)

    def advance(self, steps: int) -> Chunk:
        """Trains every lane for at most `until_measurement` steps, on the window that they are in."""
        number = self._windows.at(self._done)
        if number != self._window:
            self._data, self._window = self._feed.at(self._done), number
        return super().advance(steps)

    @property
    def _done(self) -> int:
        return int(self.done[self.live][0])
