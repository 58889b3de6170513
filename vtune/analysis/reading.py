"""How one trial learned: a verdict on its curves, and the figures behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vtune.display.text import short

_SETTLED = 0.05
"""A change below this share of everything learned counts as none."""


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


def read_curves(
    curves: pd.DataFrame,
    frame: pd.DataFrame,
    *,
    loss: str = "loss",
    train_loss: str = "train_loss",
    grad_norm: str = "grad_norm",
) -> pd.DataFrame:
    """Reads the curves of several trials; see `read_curve`.

    Args:
      curves: one row a measurement, with `trial`, `step` and any of the three columns.
      frame: one row a trial, with `id` and `state`; it says which trials are read.
      loss: column of the validation loss.
      train_loss: column of the training loss.
      grad_norm: column of the gradient's norm.

    Returns:
      One row a trial of `frame`, in its order: `trial`, `verdict`, `why`, `trend`, `gap`, `gradients`.

    >>> frame = pd.DataFrame({"id": [7], "state": ["complete"]})
    >>> read_curves(pd.DataFrame({"trial": [7], "step": [1], "loss": [0.5]}), frame)["verdict"].tolist()
    ['too short']
    """
    lines = dict(iter(curves[curves["trial"].isin(frame["id"])].groupby("trial")))
    rows = []
    for trial, state in zip(frame["id"].tolist(), frame["state"].tolist(), strict=True):
        reading = read_curve(
            lines.get(trial, curves[:0]), state=state, loss=loss, train_loss=train_loss, grad_norm=grad_norm
        )
        rows.append((trial, reading.verdict, reading.why, reading.trend, reading.gap, reading.gradients))
    return pd.DataFrame(rows, columns=["trial", "verdict", "why", "trend", "gap", "gradients"])


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
