"""Scores as a Gaussian process likes them: the good half as it is, the bad half by its ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata


@dataclass(frozen=True)
class Warp:
    """Told scores and the values that the model learns in their place, which rise with them.

    What is worse than the median keeps only its rank, as the quantile of a normal whose deviation is that of the good
    half (half-rank warping: Song et al., 2024), so that outliers and diverged trials, told as the worst, do no harm.

    Attributes:
      values: what the model learns, [n], standardised.

    Example:
      >>> warp = Warp.of(np.array([1.0, 2.0, 3.0, 1e9]))
      >>> bool(abs(warp.values).max() < 3), np.round(warp.inverse(warp.values[:3]), 6).tolist()
      (True, [1.0, 2.0, 3.0])
    """

    values: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray) -> Warp:
        """Learns from finite scores [n], of any size: a power of two takes nothing from their digits."""
        small = np.ldexp(scores, -np.frexp(np.abs(scores).max())[1])
        middle = np.median(small)
        good = small <= middle
        deviation = np.sqrt(np.mean((small[good] - middle) ** 2))
        if deviation == 0.0:
            deviation = float(small.std()) or 1.0
        ranks = (rankdata(scores) - 0.5) / len(scores)
        values = np.where(good, (small - middle) / deviation, np.maximum(ndtri(ranks), 0.0))
        return cls((values - values.mean()) / (values.std() or 1.0), scores)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Values of the model -> scores; beyond what was told, along a straight line."""
        known, first = np.unique(self.values, return_index=True)
        scores = self.scores[first]
        if len(known) == 1:
            return np.full(np.shape(values), scores[0])
        inside = np.interp(values, known, scores)
        low = scores[0] + (values - known[0]) * _slope(known[:_ENDS], scores[:_ENDS])
        high = scores[-1] + (values - known[-1]) * _slope(known[-_ENDS:], scores[-_ENDS:])
        return np.where(values < known[0], low, np.where(values > known[-1], high, inside))


_ENDS = 8
"""Distinct scores from which the slope beyond the best and the worst is read."""


def _slope(values: np.ndarray, scores: np.ndarray) -> float:
    return float((scores[-1] - scores[0]) / (values[-1] - values[0]))
