"""Where the best trials lie in the space, one hyperparameter at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vtune.analysis.scores import best_trials, check_mode
from vtune.display.text import short
from vtune.errors import ArgumentError


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
    check_mode(mode)
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
