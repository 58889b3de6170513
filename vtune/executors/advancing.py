"""Trains one block for the length of a tick."""

from __future__ import annotations

import threading
import time

from vtune.engine.lanes import Block, Chunk

CHUNK_SECONDS = 0.5
"""How long a device call may last: Ctrl-C and the display wait for it."""
SLICE_SECONDS = 0.15
"""How long a tick lasts where nothing depends on the order in which trials are measured."""
FIRST_STEPS = 16
"""Steps of a program's first chunk, whose time sets the length of the next."""


def advanced(block: Block, free: bool, halted: threading.Event) -> list[Chunk]:
    """Trains a block until it measures; without order, for a while or until a trial has ended.

    Args:
      block: with a trial in one of its lanes at least.
      free: whether nothing depends on the order in which trials are measured.
      halted: once set, no further chunk is begun.
    """
    seconds = SLICE_SECONDS if free else CHUNK_SECONDS
    started, chunks = time.perf_counter(), []
    while not halted.is_set():
        step = block.program.step_seconds
        most = FIRST_STEPS if step is None else max(1, int(seconds / max(step, 1e-9)))
        rest = block.until_measurement()
        chunks.append(block.advance(min(rest, most)))
        measured = rest <= most
        if free:
            ended = (chunks[-1].share >= 1).any() or (block.stopped & block.live).any()
            measured = bool(ended) or time.perf_counter() - started >= seconds
        if measured:
            break
    return chunks
