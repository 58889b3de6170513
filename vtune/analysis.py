"""What a study's numbers say: best so far, bands of curves, how one trial learned, where to look next.

Pandas and NumPy in, pandas and NumPy out. The frames are those of `Study.frame()` and `Study.curves()`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from vtune.errors import ArgumentError
from vtune.text import short

MODES = ("min", "max")
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

_SETTLED = 0.05
"""A change below this share of everything learned counts as none."""


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
    _check_mode(mode)
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
    _check_mode(mode)
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


@dataclass(frozen=True, slots=True)
class Reading:
    """How one trial learned, in short words.

    Attributes:
      verdict: "diverged", "unstable", "overfitting", "underfitting", "still improving", "converged" or "too short".
      why: one sentence with the figures behind the verdict.
      trend: where the validation loss went in the last quarter: "falling", "flat", "rising" or "unknown".
      gap: validation loss minus training loss at the end; NaN when either is missing.
      gradients: "steady", "vanishing", "exploding" or "unknown".
    """

    verdict: str
    why: str
    trend: str = "unknown"
    gap: float = math.nan
    gradients: str = "unknown"


def read_curve(
    curve: pd.DataFrame,
    *,
    state: str = "complete",
    loss: str = "loss",
    train_loss: str = "train_loss",
    grad_norm: str = "grad_norm",
) -> Reading:
    """Says whether one trial over- or underfits, and why.

    All changes are measured against what was learned in total (the fall of the loss from its first value to its
    lowest), so that the verdict does not depend on the scale of the loss.

    Args:
      curve: the measurements of one trial, with `step` and any of the three columns below.
      state: the trial's state; "diverged" is taken at its word.
      loss: column of the validation loss, lower is better.
      train_loss: column of the training loss.
      grad_norm: column of the gradient's norm.

    Returns:
      The `Reading`.

    >>> steps = np.arange(8)
    >>> curve = pd.DataFrame({"step": steps, "train_loss": 1.0 / (1 + steps), "loss": 1.0 + (steps - 3.0) ** 2 / 9})
    >>> read_curve(curve).verdict
    'overfitting'
    """
    ordered = curve.sort_values("step")
    valid, train, gradient = (_finite(ordered, name) for name in (loss, train_loss, grad_norm))
    gradients = _gradients(gradient)
    if state == "diverged":
        blame = ", after its gradients exploded" if gradients == "exploding" else ""
        last = f" after step {ordered['step'].iloc[-1]}" if len(ordered) else ""
        return Reading("diverged", f"its loss or weights stopped being finite{last}{blame}", gradients=gradients)
    main, name = (valid, "validation") if len(valid) else (train, "training")
    if len(main) < 4:
        return Reading("too short", f"{len(main)} measurements of a loss; four are needed", gradients=gradients)

    learned = max(float(main.iloc[0] - main.min()), 1e-12)
    change = _tail_change(main) / learned
    trend = "rising" if change > _SETTLED else "falling" if change < -_SETTLED else "flat"
    gap = _end(valid) - _end(train) if len(valid) and len(train) else math.nan
    verdict, why = _verdict(main, train, name, trend, gap, gradients)
    return Reading(verdict, why, trend, gap, gradients)


def _verdict(main: pd.Series, train: pd.Series, name: str, trend: str, gap: float, gradients: str) -> tuple[str, str]:
    first, lowest, end = float(main.iloc[0]), float(main.min()), _end(main)
    learned, best_step = first - lowest, main.idxmin()
    rise = end - lowest
    scale = max(abs(first), 1e-12)
    if gradients == "exploding" and rise > learned:
        return "diverged", f"gradients exploded and the {name} loss ended at {short(end)}, from {short(lowest)} at best"
    train_fell = len(train) >= 4 and _end(train) < float(train[train.index <= best_step].iloc[-1:].min())
    if train_fell and rise > 2 * _SETTLED * max(learned, _SETTLED * scale):
        return "overfitting", (
            f"validation loss rose from {short(lowest)} at step {best_step} to {short(end)} "
            "while training loss kept falling"
        )
    if learned < _SETTLED * scale or (len(train) and _fall(train) < _SETTLED and trend != "falling"):
        blame = "; gradients vanish" if gradients == "vanishing" else ""
        span = f"from step {main.index[0]} to {main.index[-1]}"
        return "underfitting", f"{name} loss barely fell {span}: {short(first)} to {short(lowest)}{blame}"
    if gap > 0.5 * learned and gap > 0.5 * abs(end):
        return "overfitting", f"training loss {short(end - gap)} is far below validation loss {short(end)}"
    if trend == "falling":
        return "still improving", f"{name} loss was still falling at the last step: more steps would help"
    if trend == "rising":
        return "overfitting" if train_fell else "unstable", f"{name} loss rose from {short(lowest)} to {short(end)}"
    kept = f"; it is {short(abs(gap))} {'above' if gap >= 0 else 'below'} training loss" if gap == gap else ""
    return "converged", f"{name} loss is flat at {short(end)}{kept}"


def _finite(curve: pd.DataFrame, name: str) -> pd.Series:
    if name not in curve.columns:
        return pd.Series(dtype=np.float64)
    values = curve.set_index("step")[name].astype(np.float64)
    return values[np.isfinite(values)]


def _end(values: pd.Series) -> float:
    return float(values.iloc[-3:].median())


def _fall(values: pd.Series) -> float:
    """How far a loss fell, as a share of where it began."""
    return float((values.iloc[0] - values.min()) / max(abs(values.iloc[0]), 1e-12))


def _tail_change(values: pd.Series) -> float:
    """What a straight line through the last quarter (at least four values) says it changed by."""
    tail = values.iloc[-max(4, len(values) // 4) :]
    steps = np.asarray(tail.index, dtype=np.float64)
    spread = steps - steps.mean()
    return float((spread @ tail.to_numpy()) / (spread @ spread) * (steps[-1] - steps[0]))


def _gradients(norms: pd.Series) -> str:
    if len(norms) < 4:
        return "unknown"
    third = max(1, len(norms) // 3)
    early, late, peak = norms.iloc[:third].median(), norms.iloc[-third:].median(), norms.iloc[-third:].max()
    if peak > 100 * max(float(early), 1e-12):
        return "exploding"
    return "vanishing" if late < 1e-3 * early or late < 1e-7 else "steady"


def where_to_look(
    frame: pd.DataFrame, space: Mapping[str, Any], mode: str = "min", share: float = 0.15
) -> pd.DataFrame:
    """Where the best trials lie in the space, one hyperparameter at a time, and what that suggests.

    Positions are taken on the axis on which the space draws (logarithmic where the parameter is), so that "the low
    end" means the same for all. This reads margins only: interactions are not seen.

    Args:
      frame: one row a trial, with `score` and one column a hyperparameter.
      space: the study's `Space`.
      mode: "min" or "max".
      share: the share of trials that counts as best, in (0, 1]; at least five are taken.

    Returns:
      One row a hyperparameter: `parameter`, `space` (its bounds or values, as text), `best` (where the middle 80 % of
      the best trials lie, as text), `end` ("low", "high", "middle", "all over", or the leading choice), `hint`.

    Raises:
      ArgumentError: `mode` or `share` is out of range.
    """
    _check_mode(mode)
    if not 0 < share <= 1:
        raise ArgumentError(f"share must lie in (0, 1], given {share!r}")
    scored = int(np.isfinite(frame["score"].to_numpy(np.float64)).sum())
    best = best_trials(frame, mode, max(5, round(share * scored)))
    rows = [
        _numeric(name, parameter, best[name].dropna())
        if hasattr(parameter, "low")
        else _categorical(name, parameter, best[name].dropna(), frame[name].dropna())
        for name, parameter in space.items()
        if name in frame.columns
    ]
    return pd.DataFrame(rows, columns=["parameter", "space", "best", "end", "hint"])


def _numeric(name: str, parameter: Any, values: pd.Series) -> tuple[str, str, str, str, str]:
    low, high = float(parameter.low), float(parameter.high)
    bounds = f"{short(parameter.low)} … {short(parameter.high)}" + (" (log)" if parameter.log else "")
    if len(values) < 5 or low == high:
        return name, bounds, "–", "all over", "too few trials to say"
    numbers = values.to_numpy(np.float64)
    warp = np.log if parameter.log else np.asarray
    unit = (warp(numbers) - warp(low)) / (warp(high) - warp(low))
    ends = np.quantile(numbers, [0.1, 0.9], method="nearest")
    best = " … ".join(short(int(v) if isinstance(parameter.low, int) else float(v), 3) for v in ends)
    width = float(np.quantile(unit, 0.9) - np.quantile(unit, 0.1))
    outer = len(unit) ** -0.5
    for end, position, bound in (("low", unit, parameter.low), ("high", 1 - unit, parameter.high)):
        if np.median(position) < 0.12 and np.mean(position < 0.2) > 0.2 + outer:
            side = "below" if end == "low" else "above"
            return name, bounds, best, end, f"the best crowd at the {end} end: try values {side} {short(bound)}"
    if width < 0.55:
        middle = float(np.median(unit))
        end = "low" if middle < 1 / 3 else "high" if middle > 2 / 3 else "middle"
        return name, bounds, best, end, f"narrow it to {best}"
    lean = float((unit.mean() - 0.5) * math.sqrt(12 * len(unit)))
    if abs(lean) > 3:
        end = "high" if lean > 0 else "low"
        return name, bounds, best, end, f"the best lean to the {end} end: draw more of them from {best}"
    return name, bounds, best, "all over", "the best are spread over it: it matters little by itself"


def _categorical(name: str, parameter: Any, values: pd.Series, tried: pd.Series) -> tuple[str, str, str, str, str]:
    options = ", ".join(short(value) for value in parameter.values)
    if len(values) < 5:
        return name, options, "–", "all over", "too few trials to say"
    shares = values.astype(object).map(short).value_counts(normalize=True)
    before = tried.astype(object).map(short).value_counts(normalize=True)
    leader, part = str(shares.index[0]), float(shares.iloc[0])
    best = ", ".join(f"{value} {part:.0%}" for value, part in shares.head(3).items())
    usual = float(before.get(leader, 0.0))
    if part - usual > 2 * math.sqrt(usual * (1 - usual) / len(values)) and part > 0.5:
        return name, options, best, leader, f"fix it to {leader}, or drop what never leads"
    never = [value for value in map(short, parameter.values) if value in before.index and value not in shares.index]
    hint = f"never among the best: {', '.join(never)}" if never else "no choice stands out"
    return name, options, best, "all over", hint


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ArgumentError(f"mode must be one of {MODES}, given {mode!r}")
