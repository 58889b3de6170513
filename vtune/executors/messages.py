"""What passes between an executor and the loop that drives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vtune.engine.lanes import Chunk
from vtune.executors.memory import Shrunk
from vtune.executors.pool import Seat


@dataclass(frozen=True, slots=True)
class Work:
    """What one tick did.

    Attributes:
      seats: who was seated.
      chunks: (program, chunk) of every device call, in the order of the blocks.
      shrunk: what was given up because memory ran out.
      news: kinds and details of what else the study's events are to tell.
    """

    seats: tuple[Seat, ...] = ()
    chunks: tuple[tuple[int, Chunk], ...] = ()
    shrunk: tuple[Shrunk, ...] = ()
    news: tuple[tuple[str, Mapping[str, Any]], ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """A trial that goes on from another's state: its id, whose state, and its filled config from now on.

    Attributes:
      keys: the trial whose keys it draws from now on; None for its own.
    """

    trial: int
    source: int
    config: Mapping[str, Any]
    keys: int | None = None
