"""Figures of `vtune.plots` on a page, drawn in place: new data neither flicker nor undo a zoom.

`st.plotly_chart` makes a chart anew whenever its data change, and tells nothing of ranges on parallel axes; so the page
draws with the Plotly that the package brings, in a component of its own (`chart.js`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly
import plotly.graph_objects as go
import streamlit as st
import streamlit.components.v1 as files

from vtune import plots
from vtune.plots import look

MOST = 100
"""Trials that a box in a chart selects at most: they stand in the URL."""

_LIBRARY = files.declare_component("plotly", path=str(Path(plotly.__file__).parent / "package_data"))
_CHART = st.components.v2.component(
    "vtune_chart",
    html="<div class='vtune-chart' role='figure'></div><div class='vtune-told' aria-live='polite'></div>",
    js=(Path(__file__).parent / "chart.js").read_text("utf-8"),
    isolate_styles=False,
)


def show(figure: go.Figure, key: str, about: str) -> None:
    """Shows a figure at full width.

    Args:
      figure: made by `vtune.plots`.
      key: of the element; under the same key zoom and hidden traces outlive new data.
      about: what it shows, for those who cannot see it.
    """
    _draw(figure, key, about)


def pick(figure: go.Figure, key: str, about: str) -> None:
    """Shows a figure whose dots are trials; a click on one opens it, a box around some selects them, by the URL.

    Those that are open have a ring.

    Args:
      figure: made by `vtune.plots`.
      key: of the element.
      about: what it shows.
    """

    def clicked() -> None:
        if (number := st.session_state[key].get("clicked")) is not None:
            st.query_params["trial"] = str(int(number))
            st.query_params.pop("trials", None)

    def boxed() -> None:
        if numbers := st.session_state[key].get("boxed"):
            st.query_params["boxed"] = ",".join(str(int(number)) for number in numbers[:MOST])

    opened = f"{st.query_params.get('trial', '')},{st.query_params.get('trials', '')}".split(",")
    marked = [int(number) for number in opened if number.isdecimal() and len(number) < 16]
    _draw(ringed(figure, marked), key, about, picked=True, on_clicked_change=clicked, on_boxed_change=boxed)


def ranges(figure: go.Figure, key: str, about: str, heard: Callable[[dict[str, Any]], None]) -> None:
    """Shows parallel coordinates; `heard` gets axis -> range (None, one or several pairs) when one was dragged."""

    def changed() -> None:
        if (found := st.session_state[key].get("ranges")) is not None:
            heard(dict(found))

    _draw(figure, key, about, on_ranges_change=changed)


def ringed(figure: go.Figure, trials: Iterable[int]) -> go.Figure:
    """Puts a ring around the dots of some trials."""
    wanted = sorted(set(trials))
    for trace in list(figure.data) if wanted else ():
        if trace.customdata is None or trace.type not in ("scatter", "scattergl"):
            continue
        numbers = _values(trace.customdata)
        found = np.isin(numbers.reshape(len(numbers), -1)[:, 0].astype(float), wanted)
        if found.any():
            figure.add_trace(
                go.Scatter(
                    x=_values(trace.x)[found],
                    y=_values(trace.y)[found],
                    xaxis=trace.xaxis,
                    yaxis=trace.yaxis,
                    mode="markers",
                    marker={"symbol": "circle-open", "size": 17, "color": look.ORANGE, "line": {"width": 3}},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
    return figure


def _values(data: Any) -> np.ndarray:
    """An array of a figure, also one that Plotly has packed into text."""
    if not isinstance(data, Mapping):
        return np.asarray(data)
    packed = np.frombuffer(base64.b64decode(data["bdata"]), data["dtype"])
    return packed.reshape([int(count) for count in str(data.get("shape", len(packed))).split(",")])


def _draw(figure: go.Figure, key: str, about: str, *, picked: bool = False, **events: Any) -> None:
    figure = plots.themed(figure, st.context.theme.type or "light").update_layout(uirevision=_axes(figure))
    base = st.get_option("server.baseUrlPath").strip("/")
    source = f"{'/' + base if base else ''}/component/{_LIBRARY.name}/plotly.min.js?{plotly.__version__}"
    head = json.dumps({"about": about, "picked": picked, "source": source})
    _CHART(key=key, data=f'{head[:-1]}, "figure": {figure.to_json()}}}'.encode(), **events)


def _axes(figure: go.Figure) -> str:
    """What the axes measure: a zoom is kept while that stays the same."""
    axes = figure.select_xaxes(), figure.select_yaxes()
    return " ".join(f"{axis.type}:{axis.title.text}" for group in axes for axis in group)
