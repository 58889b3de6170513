"""Where to look: points all over the unit cube, and points near the best rows at many scales."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vtune.space import Choice, Space

GLOBAL, LOCAL = 512, 1536
"""Candidates all over the space, and near good rows."""

SCALES = (0.8, 0.4, 0.2, 0.1, 0.05, 0.02)
"""Sides of the boxes around good rows from which candidates are drawn."""

CENTRES, DECAY = 8, 0.7
"""The most rows around which boxes lie, and how much less often each is taken than the one before it."""


class Candidates(NamedTuple):
    """Points that a batch may be chosen from.

    Attributes:
      points: of the unit cube, [m, dim].
      reach: how far each may still be moved in each dimension, [m, dim].
      parent: the place of the row that each is near, in the order from best to worst, [m]; -1 for none.
    """

    points: np.ndarray
    reach: np.ndarray
    parent: np.ndarray


def candidates(space: Space, unit: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Candidates:
    """Draws candidates.

    In a box around a good row some dimensions stay as they are: all are drawn, about half, or one or two, in turn by
    chance. A discrete value moves by a step at least, a choice to any of its values.

    Args:
      space: where configurations lie.
      unit: rows from best to worst, [n, dim], NaN where not active.
      weights: how much longer a side of a box is in each dimension than its scale, [dim].
      rng: the generator to draw from.
    """
    dim = space.dim
    top = max(1, min(CENTRES, len(unit) // 4))
    share = DECAY ** np.arange(top)
    parent = rng.choice(top, size=LOCAL, p=share / share.sum())
    side = rng.choice(SCALES, size=LOCAL)[:, None] * weights
    moved = rng.random((LOCAL, dim)) < rng.choice([1.0, 0.5, min(1.5 / dim, 1.0)], size=(LOCAL, 1))
    moved[np.arange(LOCAL), rng.integers(0, dim, LOCAL)] = True
    choice = np.array([isinstance(parameter, Choice) for parameter in space.values()])
    step = np.array([1.0 / parameter.size if parameter.size else 0.0 for parameter in space.values()])
    half = np.maximum(0.5 * side, 1.01 * step)
    anywhere = rng.random((LOCAL, dim))
    centre = np.where(np.isnan(unit[parent]), anywhere, unit[parent])
    low, high = np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)
    near = np.where(choice, anywhere, low + rng.random((LOCAL, dim)) * (high - low))
    return Candidates(
        points=np.concatenate([rng.random((GLOBAL, dim)), np.where(moved, near, centre)]),
        reach=np.concatenate([np.ones((GLOBAL, dim)), side]),
        parent=np.concatenate([np.full(GLOBAL, -1), parent]),
    )
