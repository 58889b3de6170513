"""Where trials that are paused wait: in memory up to a limit, beyond it on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MOST_BYTES = 2 * 2**30
"""Memory for states of paused trials; those that have waited longest go to disk beyond it."""


@dataclass(frozen=True, slots=True)
class _OnDisk:
    file: Path
    leaves: tuple[tuple[np.dtype, tuple[int, ...]], ...]

    def read(self) -> list[np.ndarray]:
        data, at, state = self.file.read_bytes(), 0, []
        for dtype, shape in self.leaves:
            size = dtype.itemsize * int(np.prod(shape))
            state.append(np.frombuffer(data[at : at + size], np.uint8).view(dtype).reshape(shape).copy())
            at += size
        return state


class Parking:
    """States by trial.

    Args:
      most_bytes: what may lie in memory.

    >>> parking = Parking(most_bytes=8)
    >>> parking.put(3, [np.arange(3.0)])
    >>> parking.put(7, [np.ones(1)])
    >>> parking.get(3), sorted(parking)
    ([array([0., 1., 2.])], [3, 7])
    """

    def __init__(self, most_bytes: int = MOST_BYTES):
        self._most = most_bytes
        self._states: dict[int, list[np.ndarray] | _OnDisk] = {}
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def put(self, trial: int, state: list[np.ndarray]) -> None:
        """Keeps the state of a trial."""
        self._states[trial] = state
        self._bytes += _size(state)
        for other, waiting in self._states.items():
            if self._bytes <= self._most:
                return
            if isinstance(waiting, list):
                self._bytes -= _size(waiting)
                self._states[other] = self._written(other, waiting)

    def get(self, trial: int) -> list[np.ndarray]:
        """The state of a trial."""
        state = self._states[trial]
        return state if isinstance(state, list) else state.read()

    def take(self, trial: int) -> list[np.ndarray]:
        """The state of a trial, which is not kept any longer."""
        state = self.get(trial)
        found = self._states.pop(trial)
        if isinstance(found, list):
            self._bytes -= _size(found)
        else:
            found.file.unlink()
        return state

    def __contains__(self, trial: object) -> bool:
        return trial in self._states

    def __iter__(self) -> Iterator[int]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def close(self) -> None:
        """Forgets all of them."""
        self._states.clear()
        self._bytes = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _written(self, trial: int, state: list[np.ndarray]) -> _OnDisk:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="vtune-parked-")
        file = Path(self._folder.name) / str(trial)
        file.write_bytes(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in state))
        return _OnDisk(file, tuple((leaf.dtype, leaf.shape) for leaf in state))


def _size(state: list[np.ndarray]) -> int:
    return sum(leaf.nbytes for leaf in state)
