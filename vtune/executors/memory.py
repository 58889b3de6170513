"""What is given up when the device's memory runs out: blocks first, the width of blocks last."""

from __future__ import annotations

from dataclasses import dataclass

import jax

from vtune.errors import MemoryExhausted

MOST_SHRINKS = 16
"""How often a run makes itself smaller before it gives up."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """How a run goes on after memory ran out.

    Attributes:
      blocks: side by side from now on.
      block: lanes of one from now on.
      message: what happened, in a sentence.
    """

    blocks: int
    block: int
    message: str


class WorkerMemoryFull(RuntimeError):
    """The device of a worker has no memory left."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device has no memory left."""
    full = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return full or isinstance(error, WorkerMemoryFull)


def shrunk(blocks: int, block: int, multiple: int, before: int, error: Exception) -> Shrunk:
    """What to go on with.

    Args:
      blocks: side by side now.
      block: lanes of one now.
      multiple: lanes of which a block has a multiple; see `Strategy.multiple_of`.
      before: how often the run has shrunk already.
      error: what the device said.

    Raises:
      MemoryExhausted: nothing is left to give up.

    >>> shrunk(2, 64, 1, 0, ValueError("full")).blocks, shrunk(1, 64, 3, 0, ValueError("full")).block
    (1, 30)
    """
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if blocks > 1:
        return Shrunk(blocks - 1, block, f"out of memory: {blocks - 1} of {blocks} blocks go on ({reason})")
    narrower = block // 2 // multiple * multiple
    if not narrower or before >= MOST_SHRINKS:
        raise MemoryExhausted(
            f"the device has no memory for one block of {block} lanes, after the run was made smaller {before} times: "
            f"{reason}. Use smaller models, batches or data, or a device with more memory."
        ) from error
    return Shrunk(1, narrower, f"out of memory: blocks of {narrower} lanes instead of {block} ({reason})")
