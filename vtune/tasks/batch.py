"""Which rows a step sees, and which parts of a batch are inputs and labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vtune import rng
from vtune.errors import TaskError

_LABEL_NAMES = ("y", "label", "labels", "target", "targets")
_INPUT_NAMES = ("x", "input", "inputs")


def shuffled(order: Any, epoch: Any, used: Any, batch: int, total: int) -> Any:
    """The rows of the next batch, when every epoch visits each row once in an order of its own.

    Epochs follow each other without a gap: a batch that reaches the end of one goes on at the start of the next, so
    every batch is full and no row is left out.

    Args:
      order: the trial's shuffling key.
      epoch: epochs completed before this batch.
      used: rows of the current epoch used before this batch.
      batch: rows in the batch, at most `total`.
      total: rows in the data set.

    Returns:
      Indices `[batch]`.
    """
    position = jnp.asarray(used, jnp.uint32) + jnp.arange(batch, dtype=jnp.uint32)
    over = position >= total
    within = jnp.where(over, position - total, position)
    laps = jnp.asarray(epoch, jnp.uint32) + jnp.arange(2, dtype=jnp.uint32)
    this, following = jax.vmap(lambda lap: rng.permuted(jax.random.fold_in(order, lap), within, total))(laps)
    return jnp.where(over, following, this)


def default_inputs(batch: Any) -> Any:
    """What the model reads: the first of a tuple or list; `x`, `input` or `inputs` of a dict; else the whole batch."""
    if isinstance(batch, tuple | list):
        return batch[0]
    if isinstance(batch, dict):
        return _named(batch, _INPUT_NAMES, "inputs=")
    return batch


def labels(batch: Any) -> Any:
    """What named losses compare with: the second of a tuple or list; `y`, `label(s)` or `target(s)` of a dict."""
    if isinstance(batch, tuple | list) and len(batch) > 1:
        return batch[1]
    if isinstance(batch, dict):
        return _named(batch, _LABEL_NAMES, "loss= and metrics= as functions")
    raise TaskError(
        "losses and metrics by name need labels: batches of the form (x, y) or {'x': ..., 'y': ...}; these batches "
        f"are a {type(batch).__name__}. Pass loss= and metrics= as functions."
    )


def has_labels(batch: Any) -> bool:
    """Whether `labels` finds something."""
    return (isinstance(batch, tuple | list) and len(batch) > 1) or (
        isinstance(batch, dict) and any(name in batch for name in _LABEL_NAMES)
    )


def _named(batch: dict[str, Any], names: tuple[str, ...], instead: str) -> Any:
    for name in names:
        if name in batch:
            return batch[name]
    raise TaskError(
        f"a batch must have one of {', '.join(names)}; it has {', '.join(map(str, batch))}. Pass {instead}."
    )
