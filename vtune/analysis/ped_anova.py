"""PED-ANOVA: how far the density of the best trials is from that of all, one hyperparameter at a time.

Source: S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
Subspaces", IJCAI 2023. The Pearson divergence between the two densities is the local variance that the hyperparameter
explains of the indicator "among the best". Densities are kernel estimates on a grid; a bootstrap over the trials says
how much of it is luck.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELLS = 50
"""Cells of the grid on which the density of a number is estimated."""
DRAWS = 48


def divergences(
    units: NDArray[np.float64],
    cost: NDArray[np.float64],
    kinds: Sequence[int | None],
    *,
    share: float = 0.1,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Pearson divergences of the best from all trials, for bootstrap draws of the trials.

    Args:
      units: where trials lie, [trials, hyperparameters] in [0, 1]; NaN where inactive.
      cost: [trials], lower is better; only its order counts. Of equal trials all are among the best to the same share.
      kinds: number of choices or steps of each hyperparameter, None for a continuous one, [hyperparameters].
      share: of the trials that counts as best.
      seed: of the bootstrap.

    Returns:
      [draws, hyperparameters], 0 or more. The first draw is the trials themselves.
    """
    trials = len(cost)
    rng = np.random.default_rng(seed)
    weights = np.concatenate([np.ones((1, trials)), rng.multinomial(trials, np.full(trials, 1 / trials), DRAWS - 1)])
    order = np.argsort(cost, kind="stable")
    starts = np.flatnonzero(np.diff(cost[order], prepend=-np.inf))
    alike = np.add.reduceat(weights[:, order], starts, axis=1)
    wanted = np.clip(max(2.0, share * trials) - (np.cumsum(alike, axis=1) - alike), 0.0, alike)
    taken = np.divide(wanted, alike, out=np.zeros_like(alike), where=alike > 0)
    best = np.empty_like(weights)
    best[:, order] = weights[:, order] * np.repeat(taken, np.diff(np.r_[starts, trials]), axis=1)
    return np.stack(
        [_divergence(units[:, i], kind, best, weights) for i, kind in enumerate(kinds)],
        axis=1,
    )


def _divergence(
    unit: NDArray[np.float64], kind: int | None, best: NDArray[np.float64], every: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of one hyperparameter, [draws]; among the trials in which it is active."""
    active = np.isfinite(unit)
    cells = CELLS if kind is None else kind
    cell = np.minimum((unit[active] * cells).astype(np.int64), cells - 1)
    if len(np.unique(cell)) < 2:
        return np.zeros(len(best))
    order = np.flatnonzero(active)[np.argsort(cell, kind="stable")]
    used, starts = np.unique(np.sort(cell), return_index=True)
    counts = np.zeros((2, len(best), cells))
    for count, weights in zip(counts, (best, every), strict=True):
        count[:, used] = np.add.reduceat(weights[:, order], starts, axis=1)
    top, local = (_density(count, kind) for count in counts)
    return (local * (top / local - 1.0) ** 2).sum(axis=1)


def _density(counts: NDArray[np.float64], kind: int | None) -> NDArray[np.float64]:
    """Smoothed shares of cells from counts [draws, cells]."""
    total = counts.sum(axis=1, keepdims=True)
    if kind is not None:
        return (counts + 1.0 / counts.shape[1]) / (total + 1.0)
    centres = (np.arange(counts.shape[1]) + 0.5) / counts.shape[1]
    mean = counts @ centres / np.maximum(total[:, 0], 1e-12)
    spread = np.sqrt(np.maximum(counts @ centres**2 / np.maximum(total[:, 0], 1e-12) - mean**2, 0.0))
    width = 1.059 * spread * np.maximum(total[:, 0], 1.0) ** -0.2
    width = float(np.maximum(np.median(width), 0.5 / counts.shape[1]))
    kernel = np.exp(-0.5 * ((centres[:, None] - centres) / width) ** 2)
    kernel /= kernel.sum(axis=1, keepdims=True)
    uniform = 1.0 / counts.shape[1]
    return (counts @ kernel + uniform) / (total + 1.0)
