"""Filters of trials by state and by every hyperparameter, all of them in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from vtune.analysis.positions import position
from vtune.display.text import plain, short
from vtune.space import Space

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


def drag(space: Space, axes: Mapping[str, Any]) -> None:
    """Sets the filters to ranges that were dragged on parallel axes: from stop to stop, or the choices inside.

    Args:
      space: the study's space.
      axes: label of an axis -> None, a range of positions on the unit interval, or several.
    """
    for name, parameter in space.items():
        if plain(name) not in axes:
            continue
        given = axes[plain(name)]
        parts = [] if not given else given if isinstance(given[0], list) else [given]
        key = f"where-{name}"
        if hasattr(parameter, "low"):
            stops = _stops(parameter)
            low, high = (min(part[0] for part in parts), max(part[1] for part in parts)) if parts else (0.0, 1.0)
            places = position(pd.Series(stops), parameter)
            first = max(0, int(np.searchsorted(places, low + 1e-9)) - 1)
            last = min(len(stops) - 1, int(np.searchsorted(places, high - 1e-9)))
            st.session_state[key] = (stops[first], stops[last])
        else:
            places = position(pd.Series(list(parameter.values)), parameter)
            inside = [any(low <= place <= high for low, high in parts) for place in places]
            st.session_state[key] = [v for v, kept in zip(parameter.values, inside, strict=True) if kept]


def _stops(parameter: Any) -> list[float]:
    """Round values from the low end to the high end, evenly on the axis on which the parameter draws."""
    low, high = float(parameter.low), float(parameter.high)
    between = (np.geomspace if parameter.log else np.linspace)(low, high, POINTS)[1:-1]
    whole = isinstance(parameter.low, int)
    rounded = [float(round(value)) if whole else float(f"{value:.2g}") for value in between]
    return [low, *dict.fromkeys(value for value in rounded if low < value < high), *([high] if high > low else [])]
