"""Which room of vtune the main thread is in, looked up a hundred times a second; and what memory the process holds."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from soak import resident

import vtune

SECONDS = 0.01
HOME = Path(vtune.__file__).parent
WORKERS = Path(__file__).with_name("workers.py")
ROOMS = {
    "proposers": "proposals", "driver/asking.py": "proposals", "schedulers/state.py": "scheduler's state",
    "schedulers": "decisions", "driver/judge.py": "decisions", "store": "store", "space": "space",
}  # fmt: skip
"""Files and folders of vtune, and what is done there; everything else is the loop."""


class Watch(threading.Thread):
    """Looks at the thread that made it until it is told to stop.

    Args:
      ended: says how many trials are over.

    Attributes:
      rooms: how often it was in each room.
      places: how often in each function.
      memory: (seconds, trials that are over, resident bytes), once a second.
    """

    def __init__(self, ended: Callable[[], int]):
        super().__init__(daemon=True)
        self.rooms: Counter[str] = Counter()
        self.places: Counter[str] = Counter()
        self.memory: list[tuple[float, int, int]] = []
        self._ended, self._watched, self._done = ended, threading.get_ident(), threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        while not self._done.wait(SECONDS):
            frame: FrameType | None = sys._current_frames().get(self._watched)
            while frame is not None and (room := room_of(frame.f_code.co_filename)) is None:
                frame = frame.f_back
            if frame is not None and room is not None:
                self.rooms[room] += 1
                self.places[f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"] += 1
            seconds = time.monotonic() - began
            if not self.memory or seconds - self.memory[-1][0] >= 1.0:
                self.memory.append((seconds, self._ended(), resident()))

    def stop(self) -> None:
        self._done.set()
        self.join()

    def shares(self) -> dict[str, float]:
        """Of the time, by room, the largest first."""
        total = sum(self.rooms.values())
        return {room: count / total for room, count in self.rooms.most_common()}


def room_of(file: str) -> str | None:
    """What is done in a file; None for one that is not vtune's.

    >>> room_of(str(HOME / "store" / "writer.py")), room_of(str(HOME / "results.py")), room_of("json/encoder.py")
    ('store', 'loop', None)
    """
    path = Path(file)
    if path == WORKERS:
        return "simulated workers"
    if not path.is_relative_to(HOME):
        return None
    inside = path.relative_to(HOME)
    return ROOMS.get(inside.as_posix()) or ROOMS.get(inside.parts[0]) or "loop"
