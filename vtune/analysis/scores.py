"""Scores of many trials: which are best, how the best grew, how they are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from vtune.errors import ArgumentError

MODES = ("min", "max")
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def best_so_far(scores: ArrayLike, mode: str = "min") -> NDArray[np.float64]:
    """The best score among the first n, for every n.

    Args:
      scores: [trials], in the order in which they count; NaN where a trial has none.
      mode: "min" or "max", which scores are better.

    Returns:
      [trials]; NaN before the first score.

    Raises:
      ArgumentError: `mode` is neither.

    >>> best_so_far([3.0, float("nan"), 5.0, 1.0], "min").tolist()
    [3.0, 3.0, 3.0, 1.0]
    """
    check_mode(mode)
    accumulate = np.fmin.accumulate if mode == "min" else np.fmax.accumulate
    return accumulate(np.asarray(scores, dtype=np.float64))


def ranked(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Which trials may be called best: the complete ones; while there are none, all that have a score and go on.

    Args:
      frame: one row a trial, with `state` and `score`.

    Returns:
      [trials]

    >>> ranked(pd.DataFrame({"state": ["complete", "stopped", "diverged"], "score": [0.3, 0.1, 0.0]})).tolist()
    [True, False, False]
    """
    scored = np.isfinite(frame["score"].to_numpy(np.float64))
    complete = scored & (frame["state"] == "complete").to_numpy(bool)
    return complete if complete.any() else scored & (frame["state"] != "diverged").to_numpy(bool)


def best_trials(frame: pd.DataFrame, mode: str = "min", count: int = 10) -> pd.DataFrame:
    """The best rows of a study's frame, among those that are `ranked`.

    Args:
      frame: one row a trial, with `id`, `state` and `score`.
      mode: "min" or "max".
      count: how many rows at most.

    Returns:
      Up to `count` rows of `frame`, best first; equal scores in the order of their ids.

    Raises:
      ArgumentError: `mode` is neither.

    >>> frame = pd.DataFrame({"id": [0, 1, 2], "state": "complete", "score": [0.3, 0.1, 0.2]})
    >>> best_trials(frame, "min", 2)["id"].tolist()
    [1, 2]
    """
    check_mode(mode)
    return frame[ranked(frame)].sort_values(["score", "id"], ascending=[mode == "min", True]).head(count)


def bands(
    curves: pd.DataFrame, metric: str, quantiles: Sequence[float] = QUANTILES, max_steps: int = 200
) -> pd.DataFrame:
    """Quantiles of many trials' curves at each step.

    Args:
      curves: one row a measurement, with `trial`, `step` and the metric.
      metric: name of the column.
      quantiles: which, each in [0, 1].
      max_steps: neighbouring steps are merged until no more than this many are left.

    Returns:
      Indexed by step, ascending: one column a quantile (its value as the name) and `trials`, how many trials were
      measured there. Steps without a finite value are left out.

    Raises:
      ArgumentError: the frame has no such metric.

    >>> curves = pd.DataFrame({"trial": [0, 1, 2], "step": [10, 10, 10], "loss": [1.0, 2.0, 9.0]})
    >>> bands(curves, "loss", [0.5]).loc[10].tolist()
    [2.0, 3.0]
    """
    if metric not in curves.columns:
        known = [name for name in curves.columns if name not in ("trial", "step")]
        raise ArgumentError(f"there is no metric {metric!r} in these curves; there are {known}")
    finite = curves[np.isfinite(curves[metric].to_numpy(np.float64))]
    steps = finite["step"].to_numpy()
    distinct, position = np.unique(steps, return_inverse=True)
    if len(distinct) > max_steps:
        bins = np.array_split(distinct, max_steps)
        steps = np.concatenate([np.full(len(group), group[-1]) for group in bins])[position]
    groups = finite[metric].groupby(steps)
    table = groups.quantile(list(quantiles)).unstack() if len(finite) else pd.DataFrame(columns=list(quantiles))
    table["trials"] = finite["trial"].groupby(steps).nunique()
    table.index.name = "step"
    return table


def time_to_target(records: pd.DataFrame, target: float, mode: str = "min") -> tuple[int, float] | None:
    """After how many complete trials, and seconds, a score was first at least as good as a target.

    Args:
      records: trials that were the best of their time, first to last, with `score`, `trials` and `seconds`; see
        `vtune.store.summaries.records`.
      target: a score.
      mode: "min" or "max".

    Returns:
      (trials, seconds); None if the target was not reached.

    Raises:
      ArgumentError: `mode` is neither.

    >>> records = pd.DataFrame({"score": [0.5, 0.2], "trials": [1, 9], "seconds": [2.0, 30.0]})
    >>> time_to_target(records, 0.3)
    (9, 30.0)
    """
    check_mode(mode)
    score = records["score"].to_numpy(np.float64)
    reached = np.flatnonzero((score <= target) if mode == "min" else (score >= target))
    if not len(reached):
        return None
    row = records.iloc[int(reached[0])]
    return int(row["trials"]), float(row["seconds"])


def check_mode(mode: str) -> None:
    """Refuses what is neither "min" nor "max"."""
    if mode not in MODES:
        raise ArgumentError(f"mode must be one of {MODES}, given {mode!r}")
