"""Hyperparameters on their way to the device: a few wide arrays, since each array that is handed over has its price."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def joined(columns: Any) -> dict[str, np.ndarray]:
    """Puts columns side by side.

    Args:
      columns: a tree of arrays [lanes], as `Layout.encode` gives it.

    Returns:
      Of each dtype an array [lanes, columns].

    Example:
      >>> {name: array.shape for name, array in joined({"a": np.zeros(4), "b": np.ones(4)}).items()}
      {'float64': (4, 2)}
    """
    groups: dict[str, list[np.ndarray]] = {}
    for column in jax.tree.leaves(columns):
        groups.setdefault(str(column.dtype), []).append(column)
    return {dtype: np.stack(group, axis=1) for dtype, group in groups.items()}


def split(rows: dict[str, Any], like: Any) -> Any:
    """The columns of one lane again.

    Args:
      rows: of each dtype an array [columns], a row of what `joined` gave.
      like: the tree of the columns, with their dtypes.

    Example:
      >>> split({"float64": np.array([0.5, 1.0])}, {"a": np.zeros(()), "b": np.zeros(())})["b"].item()
      1.0
    """
    places = {dtype: iter(range(array.shape[-1])) for dtype, array in rows.items()}
    return jax.tree.map(lambda leaf: rows[str(leaf.dtype)][next(places[str(leaf.dtype)])], like)
