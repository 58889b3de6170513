"""Where trials lie in the space: every hyperparameter on the unit interval, in the axis on which it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEW = 12
"""Numbers of no more values than this are treated as steps."""


def positions(frame: pd.DataFrame, space: Mapping[str, Any]) -> pd.DataFrame:
    """The hyperparameters of trials on the unit interval; NaN where one is inactive.

    Args:
      frame: one row a trial, with one column a hyperparameter.
      space: the study's `Space`. Hyperparameters that the frame lacks are left out.

    Returns:
      [trials, hyperparameters]: numbers along their axis (logarithmic where they are); choices, and numbers of few
      values, in equal cells.

    >>> from vtune.space import Choice, Float, Space
    >>> space = Space(lr=Float(1e-4, 1.0, log=True), act=Choice("relu", "tanh"))
    >>> positions(pd.DataFrame({"lr": [0.01, 1.0], "act": ["relu", "tanh"]}), space).to_numpy().tolist()
    [[0.5, 0.25], [1.0, 0.75]]
    """
    columns = {name: position(frame[name], space[name]) for name in space if name in frame.columns}
    return pd.DataFrame(columns, index=frame.index, dtype=np.float64)


def position(values: pd.Series, parameter: Any) -> NDArray[np.float64]:
    """One column of `positions`; values outside the bounds are drawn to them, unknown ones are NaN."""
    if not hasattr(parameter, "low"):
        cells = np.array([_cell(value, parameter) for value in values], np.float64)
        return (cells + 0.5) / len(parameter.values)
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
    low, high = float(parameter.low), float(parameter.high)
    if low == high:
        return np.where(np.isnan(numbers), np.nan, 0.5)
    inside = np.clip(numbers, low, high)
    if count := steps(parameter):
        nearest = np.round((inside - low) / (high - low) * (count - 1))
        return (nearest + 0.5) / count
    if parameter.log:
        low, high, inside = np.log(low), np.log(high), np.log(inside)
    return (inside - low) / (high - low)


def steps(parameter: Any) -> int:
    """How many values a number may have where they are few and evenly spaced, else 0.

    >>> from vtune.space import Float, Int
    >>> steps(Int(1, 4)), steps(Int(1, 4, log=True)), steps(Float(0.0, 1.0))
    (4, 0, 0)
    """
    count = parameter.size if hasattr(parameter, "low") and not parameter.log else None
    return count if count is not None and 1 < count <= FEW else 0


def ticks(parameter: Any, about: int = 5) -> tuple[list[float], list[Any]]:
    """Values of a hyperparameter that label the unit interval: (positions, values)."""
    if not hasattr(parameter, "low"):
        return [(i + 0.5) / len(parameter.values) for i in range(len(parameter.values))], list(parameter.values)
    low, high = float(parameter.low), float(parameter.high)
    whole = isinstance(parameter.low, int)
    if count := steps(parameter):
        each = np.linspace(low, high, count).tolist()
        return [(i + 0.5) / count for i in range(count)], [int(value) if whole else value for value in each]
    values = _round_values(low, high, parameter.log, about)
    if whole:
        values = np.unique(np.round(values))
    places = position(pd.Series(values), parameter)
    apart = (places > 0.07) & (places < 0.93)
    values, places = np.r_[low, values[apart], high], np.r_[0.0, places[apart], 1.0]
    if low == high:
        values, places = values[:1], np.array([0.5])
    return places.tolist(), [int(v) if whole else float(v) for v in values]


def _round_values(low: float, high: float, log: bool, count: int) -> NDArray[np.float64]:
    """About so many values between two bounds that read well."""
    if log and high / low >= 30:
        powers = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
        return 10.0 ** powers[:: max(1, len(powers) // count)]
    if log:
        values = np.array([1.0, 2.0, 5.0]) * 10.0 ** np.arange(-12, 13)[:, None]
        return values[(values >= low) & (values <= high)].ravel()
    rough = (high - low) / max(1, count - 1) or 1.0
    scale = 10.0 ** np.floor(np.log10(rough))
    step = scale * min((1.0, 2.0, 2.5, 5.0, 10.0), key=lambda factor: abs(np.log(factor * scale / rough)))
    return np.round(np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step, 12)


def _cell(value: Any, parameter: Any) -> float:
    """The number of a choice; NaN if it is inactive. None is inactive unless it is among the values of a choice that
    is always active."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        index = parameter.index(None) if parameter.when is None else None
    else:
        index = parameter.index(value)
    return np.nan if index is None else float(index)
