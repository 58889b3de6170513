"""What more trials are likely to gain, and how good a proposer's predictions were."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from vtune.analysis.scores import check_mode
from vtune.display.text import short

FEWEST = 20
TAIL = 0.15
"""The share of the best trials whose spread is carried on beyond the best."""
DRAWS = 400


@dataclass(frozen=True, slots=True)
class Room:
    """What more trials like the ones so far are likely to gain.

    Attributes:
      best: the best score so far.
      expected: the median of the best score after the further trials.
      low: the lower end of where it lies with nine chances in ten.
      high: the upper end.
      chance: that the further trials bring anything better at all, 0 to 1.
      why: one sentence.
      after: how many further trials, [points].
      path: median of the best score after each, [points].
      path_low: the lower end, [points].
      path_high: the upper end, [points].
    """

    best: float
    expected: float
    low: float
    high: float
    chance: float
    why: str
    after: NDArray[np.int64]
    path: NDArray[np.float64]
    path_low: NDArray[np.float64]
    path_high: NDArray[np.float64]


def room_left(
    scores: ArrayLike, mode: str = "min", more: int | None = None, *, total: int | None = None, seed: int = 0
) -> Room | None:
    """Carries the tail of the best scores on to what further trials would bring.

    Of n + m trials drawn alike any may be the best, so that m more bring something better with chance m / (n + m),
    whatever the scores. How much better follows from the tail: scores beyond a threshold are taken for draws of a
    generalised Pareto distribution (Pickands, 1975), whose shape is fitted by probability-weighted moments (Hosking and
    Wallis, 1987) to bootstrap samples. This holds for trials drawn alike: at random, or by a proposer that has settled;
    one that still learns may do better.

    Args:
      scores: of complete trials, [trials].
      mode: "min" or "max".
      more: how many further trials; as many as there are unless given.
      total: how many complete trials there are, where the scores are only the best of them.
      seed: of the bootstrap.

    Returns:
      The `Room`; None with fewer than twenty scores.

    Raises:
      ArgumentError: `mode` is neither.

    >>> room = room_left(np.random.default_rng(0).random(500), "min", 500)
    >>> 0 <= room.expected < room.best, 0.3 < room.chance < 0.7
    (True, True)
    """
    check_mode(mode)
    sign = 1.0 if mode == "min" else -1.0
    gains = -sign * np.asarray(scores, np.float64)
    gains = np.sort(gains[np.isfinite(gains)])
    if len(gains) < FEWEST:
        return None
    done = len(gains) if total is None else max(total, len(gains))
    further = done if more is None else more
    after = np.unique(np.geomspace(1, max(2, further), 40).round().astype(np.int64))
    rng = np.random.default_rng(seed)
    count = min(max(8, round(TAIL * done)), len(gains) - 1)
    excess = gains[-count:] - gains[-count - 1]
    shape = _shapes(rng.choice(excess, (DRAWS, count)))[:, None]
    beyond = rng.beta(1.0, done, (DRAWS, 1))
    share = (1.0 - rng.random((DRAWS, 1)) ** (1.0 / after)) / beyond
    rare = done / count / (done + 1)
    scale = excess[-1] * shape / (1.0 - rare**shape)
    more_gain = np.where(share < 1.0, scale / shape * (np.minimum(share, 1.0) ** -shape - 1.0), 0.0)
    paths = -sign * (gains[-1] + np.quantile(more_gain, [0.5, 0.05, 0.95], axis=0))
    low, high = np.sort(paths[1:], axis=0)
    best, expected = -sign * float(gains[-1]), float(paths[0, -1])
    chance = further / (done + further)
    if abs(expected - best) <= 1e-3 * max(float(np.ptp(gains)), 1e-300):
        why = f"{further:,} more trials drawn like these would most likely leave it near {short(best)}"
    else:
        why = f"{further:,} more trials drawn like these would bring {short(best)} to about {short(expected)}"
    return Room(best, expected, float(low[-1]), float(high[-1]), chance, why, after, paths[0], low, high)


def _shapes(excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shapes of generalised Pareto distributions of [draws, values], never 0: tails that end are below it."""
    ordered = np.sort(excess, axis=1)
    count, mean = ordered.shape[1], ordered.mean(axis=1)
    lesser = ordered @ np.arange(count - 1, -1, -1, dtype=np.float64) / (count * (count - 1))
    spread = mean - 2.0 * lesser
    shape = 2.0 - np.divide(mean, spread, out=np.full(len(mean), np.inf), where=spread > 0)
    shape = np.clip(shape, -3.0, 0.3)
    return np.where(np.abs(shape) > 1e-3, shape, 1e-3)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's predictions fared.

    Attributes:
      trials: how many were predicted and are over.
      rank: rank correlation of prediction and outcome, -1 to 1; NaN if it cannot be told.
      error: median distance of outcome and prediction.
      covered: share of outcomes within twice the predicted deviation (about 0.95 if the deviations are right); NaN
        without deviations.
      why: one sentence.
    """

    trials: int
    rank: float
    error: float
    covered: float
    why: str


def calibration(predicted: ArrayLike, deviation: ArrayLike, score: ArrayLike) -> Calibration:
    """Compares what a proposer's model expected with what came.

    Args:
      predicted: [trials], in the units of the score.
      deviation: [trials]; NaN where not given.
      score: [trials]; NaN where there is none.

    >>> calibration([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], [1.1, 2.1, 3.0]).rank
    1.0
    """
    expected, spread, came = (np.asarray(values, np.float64) for values in (predicted, deviation, score))
    known = np.isfinite(expected) & np.isfinite(came)
    expected, spread, came = expected[known], spread[known], came[known]
    if not len(came):
        return Calibration(0, math.nan, math.nan, math.nan, "no predicted trial is complete yet")
    ranks = [pd.Series(values).rank().to_numpy() for values in (expected, came)]
    varied = min(np.ptp(values) for values in ranks) > 0
    rank = float(np.corrcoef(ranks[0], ranks[1])[0, 1]) if varied else math.nan
    error = float(np.median(np.abs(came - expected)))
    told = np.isfinite(spread)
    covered = float((np.abs(came - expected)[told] <= 2 * spread[told]).mean()) if told.any() else math.nan
    parts = [f"half came within {short(error, 2)} of what was expected"]
    if covered == covered:
        parts.append(f"{covered:.0%} within twice the deviation (95 % if it is right)")
    if rank == rank:
        parts.append(f"rank correlation {rank:.2f}")
    return Calibration(len(came), rank, error, covered, ", ".join(parts))
