"""Widgets that the space gives: one a hyperparameter, conditional ones only while their parents call for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from vtune.display.text import short
from vtune.space import Choice, Int, Space


def fields(space: Space, prefix: str) -> None:
    """Draws the widgets of what is active.

    Args:
      space: the study's space.
      prefix: of the widgets' keys.
    """
    columns = st.columns(3, gap="medium")
    values = _values(space, prefix)
    drawn = 0
    for name in space:
        if name in active(space, values):
            with columns[drawn % len(columns)]:
                values[name] = _field(name, space[name], values[name], _key(prefix, name))
            drawn += 1


def spelled(space: Space, prefix: str) -> dict[str, Any]:
    """The configuration that the widgets spell at this moment, without what is not active."""
    values = _values(space, prefix)
    counts = active(space, values)
    return {name: values[name] for name in space if name in counts}


def fill(space: Space, prefix: str, config: Mapping[str, Any]) -> None:
    """Sets the widgets to a configuration of the space."""
    for name, value in space.validate(config).items():
        st.session_state[_key(prefix, name)] = value


def active(space: Space, values: Mapping[str, Any]) -> set[str]:
    """Which hyperparameters count when those that are their parents have these values."""
    units = np.full((1, space.dim), 0.5)
    for place, name in enumerate(space.names):
        parameter = space[name]
        column = np.array([_position(parameter, values[name])])
        units[0, place] = parameter.axis.to_unit(column)[0]
    return set(space.from_unit(np.clip(units, 0.0, 1.0))[0])


def _values(space: Space, prefix: str) -> dict[str, Any]:
    """What every widget holds; the default of those that were never drawn."""
    given = {name: st.session_state[_key(prefix, name)] for name in space if _key(prefix, name) in st.session_state}
    return {**space.fill([{}])[0], **given}


def _position(parameter: Any, value: Any) -> Any:
    """Where a value stands in its column; the default's place for one that the parameter cannot take."""
    try:
        return parameter.encode([value], str)[0]
    except ValueError:
        return parameter.encode([parameter.default], str)[0]


def _field(name: str, parameter: Any, value: Any, key: str) -> Any:
    if isinstance(parameter, Choice):
        st.session_state.setdefault(key, value)
        return st.selectbox(name, parameter.values, format_func=short, key=key, help=_condition(parameter))
    low, high = parameter.low, parameter.high
    bounds = f"{short(low)} to {short(high)}{', logarithmic' if parameter.log else ''}"
    about = f"{bounds}. {_condition(parameter) or ''}".strip()
    if isinstance(parameter, Int):
        st.session_state.setdefault(key, int(value))
        return int(st.number_input(name, low, high, step=parameter.step or 1, key=key, help=about))
    step = parameter.step or (low if parameter.log else (high - low) / 100) or None
    st.session_state.setdefault(key, float(value))
    return float(st.number_input(name, low, high, step=step, format="%.4g", key=key, help=about))


def _condition(parameter: Any) -> str | None:
    if not parameter.when:
        return None
    told = [f"{parent} is {' or '.join(map(short, _each(wanted)))}" for parent, wanted in parameter.when.items()]
    return f"Counts while {' and '.join(told)}."


def _each(wanted: Any) -> list[Any]:
    return list(wanted) if isinstance(wanted, tuple | list) else [wanted]


def _key(prefix: str, name: str) -> str:
    return f"{prefix}-{name}"
