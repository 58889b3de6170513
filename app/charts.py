"""Figures of `vtune.plots` on a page: in the theme's inks, keeping their zoom; a click on a dot opens its trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from vtune import plots

UNUSED = ["select2d", "lasso2d", "autoScale2d"]


def show(figure: go.Figure, key: str, about: str) -> None:
    """Shows a figure at full width.

    Args:
      figure: made by `vtune.plots`.
      key: of the element; the same key keeps zoom and hidden traces when new data arrive.
      about: what it shows, for those who cannot see it.
    """
    _draw(figure, key, about)


def pick(figure: go.Figure, key: str, about: str) -> None:
    """Shows a figure whose dots are trials; a click on one opens it, by putting its number into the URL."""

    def opened() -> None:
        points = st.session_state[key].selection.points
        number = next((trial_of(point) for point in points if trial_of(point) is not None), None)
        if number is not None:
            st.query_params["trial"] = str(number)

    _draw(figure.update_layout(dragmode="zoom"), key, about, on_select=opened, selection_mode="points")


def trial_of(point: Any) -> int | None:
    """The trial that a selected dot stands for, if it does.

    Rows of arrays that travel as bytes come back as mappings from "0" on.
    """
    data = point.get("customdata")
    value = data.get("0") if isinstance(data, Mapping) else data[0] if isinstance(data, list | tuple) and data else data
    return int(value) if isinstance(value, int | float) else None


def _draw(figure: go.Figure, key: str, about: str, **settings: Any) -> None:
    ground = st.context.theme.type or "light"
    figure = plots.themed(figure, ground)
    config = {"displaylogo": False, "modeBarButtonsToRemove": UNUSED, "displayModeBar": "hover"}
    st.plotly_chart(figure, theme=None, key=key, config=config, alt=about, **settings)
