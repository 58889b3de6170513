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
from vtune.proposers.standing import by_scores, standing

ROWS = 1024
"""Rows that the model is conditioned on; of more, half of these are the best and half a random choice of the rest."""

FAR = 3.0
"""Deviations from what is just allowed beyond which it does not matter how far something is."""

STARTS = 2
"""Starts of the search for them."""


class Learned(NamedTuple):
    """A fitted model.

    Attributes:
      order: rows of the history from best to worst, one a trial, [trials].
      unit: these rows of the unit cube, [trials, dim].
      warps: of each objective's scores.
      x: features of the rows that are conditioned on, padded to a rung of the ladder, [n, width].
      y: warped scores of each objective there, and behind them what exceeds the allowed if anything is known of that,
        above 0 if it does [processes, n].
      real: which of them are no padding, bool [n].
      hyper: the kernels, [processes, ...].
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
    worth = by_scores(history)
    scores = np.empty((len(history), history.objectives))
    scores[worth] = full(history, worth)
    warps = tuple(Warp.of(each) for each in scores[order].T)
    kept = _subset(len(order), rng)
    missing = rung(len(kept)) - len(kept)
    x = np.pad(features.embed(unit[kept]), ((0, missing), (0, 0)))
    values = [warp.values for warp in warps] + _exceeding(history.excess[order])
    y = np.pad(np.stack([each[kept] for each in values]), ((0, 0), (0, missing)))
    real = np.arange(len(x)) < len(kept)
    starts = beginnings(rng, STARTS, features.width)
    return Learned(order, unit, warps, x, y, real, fit(x, y, real, features.group, starts))


def _exceeding(excess: np.ndarray) -> list[np.ndarray]:
    """What exceeds the allowed [n], scaled so that 0 stays what is just allowed; nothing where nobody said."""
    known = ~np.isnan(excess)
    if not known.any():
        return []
    scale = np.sqrt(np.mean(np.clip(excess[known], *np.quantile(excess[known], [0.05, 0.95])) ** 2)) or 1.0
    return [np.where(known, np.clip(excess / scale, -FAR, FAR), 0.0)]


def _subset(n: int, rng: np.random.Generator) -> np.ndarray:
    """Places in an order from best to worst [k], shuffled so that any first few of them stand for all."""
    if n <= ROWS:
        return rng.permutation(n)
    rest = rng.choice(np.arange(ROWS // 2, n), ROWS - ROWS // 2, replace=False)
    return rng.permutation(np.concatenate([np.arange(ROWS // 2), rest]))
