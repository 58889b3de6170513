"""Where to look: points all over the unit cube, and points near the best ones at many scales."""

from __future__ import annotations

import numpy as np

from vtune.space import Choice, Space

SCALES = (0.8, 0.4, 0.2, 0.1, 0.05, 0.02)
"""Sides of the boxes around good points from which candidates are drawn."""


class Around:
    """Draws points of the unit cube near given ones.

    Args:
      space: where the configurations lie.
    """

    def __init__(self, space: Space) -> None:
        self._choice = np.array([isinstance(p, Choice) for p in space.values()])
        self._cell = np.array([1.0 / p.size if p.size else 0.0 for p in space.values()])

    def draw(self, rng: np.random.Generator, centres: np.ndarray, side: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """One point in a box around each centre.

        Some dimensions stay as they are: all are drawn, about half, or one or two, in turn by chance. A discrete value
        moves by a step at least, a choice to any of its values.

        Args:
          rng: the generator to draw from.
          centres: points [n, dim], NaN where not active.
          side: of each box, [n].
          weights: how much longer than that a side is in each dimension, [dim].
        """
        n, dim = centres.shape
        share = rng.choice([1.0, 0.5, min(1.5 / dim, 1.0)], size=(n, 1))
        moved = rng.random((n, dim)) < share
        moved[np.arange(n), rng.integers(0, dim, n)] = True
        half = np.maximum(0.5 * side[:, None] * weights, 1.01 * self._cell)
        anywhere = rng.random((n, dim))
        here = np.where(np.isnan(centres), anywhere, centres)
        low, high = np.maximum(here - half, 0.0), np.minimum(here + half, 1.0)
        near = low + rng.random((n, dim)) * (high - low)
        return np.where(moved, np.where(self._choice, anywhere, near), here)
