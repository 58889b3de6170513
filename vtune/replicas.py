"""Folds and seeds: the replicas of a trial, and what stands for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vtune.errors import ArgumentError

Curve = Sequence[tuple[int, Mapping[str, float]]]
"""(step, metrics) of each measurement."""


def divided(task: Any, folds: int, seed: int) -> Any:
    """The task as it trains on folds of its data.

    Args:
      task: the task.
      folds: how many; 1 for the task as it is.
      seed: of the division.

    Raises:
      ArgumentError: a task that cannot divide its data.
    """
    if folds == 1:
        return task
    if not hasattr(task, "for_folds"):
        raise ArgumentError(
            f"folds={folds} needs a task that divides its data, as vtune.Supervised does; {type(task).__name__} has no "
            "for_folds(folds, seed). Leave folds out, or use seeds= for repeated trainings."
        )
    return task.for_folds(folds, seed)


def averaged(curves: Sequence[Curve], spreads: Mapping[str, str]) -> list[tuple[int, dict[str, float]]]:
    """The curve of a trial: means over those of its replicas, and the spreads that are stored.

    Args:
      curves: of each replica, measured at the same steps.
      spreads: name of a spread -> the metric that it is the standard deviation of.

    >>> averaged([[(10, {"loss": 1.0})], [(10, {"loss": 3.0})]], {"loss_std": "loss"})
    [(10, {'loss': 2.0, 'loss_std': 1.0})]
    """
    found = []
    for rows in zip(*curves, strict=True):
        metrics = {name: [row[1][name] for row in rows] for name in rows[0][1]}
        mean = {name: float(np.mean(values)) for name, values in metrics.items()}
        found.append((rows[0][0], mean | {name: float(np.std(metrics[of])) for name, of in spreads.items()}))
    return found


def stacked(trees: Sequence[Any]) -> Any:
    """The variables of replicas with a leading axis `[replicas, ...]`; those of a single one as they are."""
    return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
