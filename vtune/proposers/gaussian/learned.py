"""What a history teaches: rows and values in the order of their worth, and the kernels that explain them best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vtune.proposers.gaussian.features import Features
from vtune.proposers.gaussian.fit import beginnings, fit
from vtune.proposers.gaussian.kernel import Hyper
from vtune.proposers.gaussian.values import full
from vtune.proposers.gaussian.warp import Warp
from vtune.proposers.history import History, rung
from vtune.proposers.standing import standing

ROWS = 1024
"""Rows that the model is conditioned on; of more, half of these are the best and half a random choice of the rest."""

STARTS = 2
"""Starts of the search for them."""


class Learned(NamedTuple):
    """A fitted model.

    Attributes:
      order: rows of the history from best to worst, one a trial, [trials].
      unit: these rows of the unit cube, [trials, dim].
      warps: of each objective's scores.
      x: features of the rows that are conditioned on, padded to a rung of the ladder, [n, width].
      y: warped scores of each objective there, [objectives, n].
      real: which of them are no padding, bool [n].
      hyper: the kernels, [objectives, ...].
    """

    order: np.ndarray
    unit: np.ndarray
    warps: tuple[Warp, ...]
    x: np.ndarray
    y: np.ndarray
    real: np.ndarray
    hyper: Hyper


def learn(history: History, features: Features, rng: np.random.Generator) -> Learned:
    """Fits a process to each objective of a history.

    Args:
      history: what was told.
      features: of its space.
      rng: chooses rows where there are too many, and starts.
    """
    order = standing(history)
    unit = history.unit[order]
    warps = tuple(Warp.of(scores) for scores in full(history, order).T)
    kept = _subset(len(order), rng)
    missing = rung(len(kept)) - len(kept)
    x = np.pad(features.embed(unit[kept]), ((0, missing), (0, 0)))
    y = np.pad(np.stack([warp.values[kept] for warp in warps]), ((0, 0), (0, missing)))
    real = np.arange(len(x)) < len(kept)
    starts = beginnings(rng, STARTS, features.width)
    return Learned(order, unit, warps, x, y, real, fit(x, y, real, features.group, starts))


def _subset(n: int, rng: np.random.Generator) -> np.ndarray:
    """Places in an order from best to worst [k], shuffled so that any first few of them stand for all."""
    if n <= ROWS:
        return rng.permutation(n)
    rest = rng.choice(np.arange(ROWS // 2, n), ROWS - ROWS // 2, replace=False)
    return rng.permutation(np.concatenate([np.arange(ROWS // 2), rest]))
