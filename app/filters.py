"""Filters of trials: by state, by score, by every hyperparameter. All of them are in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from vtune.space import Space
from vtune.text import short

POINTS = 25
"""Stops of the slider of a numeric hyperparameter."""

Narrowed = dict[str, tuple[Any, ...]]
"""Hyperparameter -> allowed values, or (low, high)."""


def by_hyperparameter(space: Space) -> Narrowed:
    """Draws one filter a hyperparameter; returns those that were narrowed."""
    narrowed: Narrowed = {}
    for name, parameter in space.items():
        if hasattr(parameter, "low"):
            stops = _stops(parameter)
            if len(stops) < 2:
                continue
            ends = st.select_slider(
                name, stops, (stops[0], stops[-1]), format_func=short, key=f"where-{name}", bind="query-params"
            )
            if tuple(ends) != (stops[0], stops[-1]):
                narrowed[name] = tuple(ends)
        else:
            chosen = st.multiselect(name, parameter.values, format_func=short, key=f"where-{name}", bind="query-params")
            if chosen:
                narrowed[name] = tuple(chosen)
    return narrowed


def matching(frame: pd.DataFrame, space: Mapping[str, Any], states: list[str], narrowed: Narrowed) -> pd.DataFrame:
    """The rows in one of the states (any if there are none) whose hyperparameters lie where the filters allow."""
    kept = frame[frame["state"].isin(states)] if states else frame
    for name, allowed in narrowed.items():
        if hasattr(space[name], "low"):
            values = kept[name].astype(float)
            air = 1e-9 * max(map(abs, allowed))
            kept = kept[(values >= allowed[0] - air) & (values <= allowed[1] + air)]
        else:
            kept = kept[kept[name].map(lambda value, allowed=allowed: value in allowed).astype(bool)]
    return kept


def _stops(parameter: Any) -> list[float]:
    """Round values from the low end to the high end, evenly on the axis on which the parameter draws."""
    low, high = float(parameter.low), float(parameter.high)
    between = (np.geomspace if parameter.log else np.linspace)(low, high, POINTS)[1:-1]
    rounded = [float(f"{value:.2g}") for value in between]
    return [low, *dict.fromkeys(value for value in rounded if low < value < high), *([high] if high > low else [])]
