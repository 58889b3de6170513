"""How figures look: one template, one palette, and the pieces that all of them share.

Grounds are transparent. The colours of data stand out from white and from dark grounds alike (3 : 1 and more) and from
one another for all common kinds of colour vision; where they carry meaning, symbols, dashes or names carry it too.
Orange is best and blue is worst wherever colour is an order.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from vtune.analysis.positions import position, steps, ticks
from vtune.display.text import short
from vtune.errors import ArgumentError

BLUE, ORANGE, GREEN, RED, PLUM, LILAC = "#3567cf", "#e07812", "#5fa188", "#c93a1c", "#8b5b76", "#b37ce3"
COLORS = (BLUE, ORANGE, GREEN, RED, PLUM, LILAC)
GREY = "#858c94"
RAMP = ("#e07812", "#d2744a", "#c2706c", "#b16d86", "#a06b99", "#8f6aa8", "#7d69b4", "#6a68be", "#5368c7", "#3567cf")
SCALE = [[i / (len(RAMP) - 1), color] for i, color in enumerate(RAMP)]
"""From the best (0) to the worst (1)."""
INKS = {"both": "#777c84", "light": "#4b5259", "dark": "#b4bbc2"}
"""Colours of text: one that reads on light and dark grounds, and those of either."""
_BOTTOM, _LINE = 66, 16
"""Pixels under a figure, and of a line of a note there."""
SURFACES = {"both": "#8a9098", "light": "#ffffff", "dark": "#15181c"}


def _template(ink: str) -> go.layout.Template:
    axis = {
        "gridcolor": _GRID,
        "linecolor": _GRID,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "title": {"standoff": 12, "font": {"size": 14}},
        "exponentformat": "power",
        "minexponent": 6,
        "separatethousands": True,
        "ticklabelstandoff": 4,
    }
    return go.layout.Template(
        layout={
            "font": {"family": '"Source Sans", "Source Sans 3", system-ui, sans-serif', "size": 14, "color": ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(COLORS),
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 8, "r": 8, "t": 36, "b": _BOTTOM},
            "hovermode": "closest",
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
            "hoverlabel": {
                "bgcolor": "#2b3138",
                "bordercolor": "#2b3138",
                "font": {"color": "#f2f3f4", "size": 13},
                "align": "left",
            },
            "coloraxis": {"colorbar": {"outlinewidth": 0, "thickness": 12, "tickfont": {"color": ink}}},
            "legend": {
                "orientation": "h",
                "x": 0,
                "y": 1.02,
                "xanchor": "left",
                "yanchor": "bottom",
                "bgcolor": "rgba(0,0,0,0)",
                "font": {"size": 13},
            },
        }
    )


_GRID = "rgba(128, 136, 146, 0.18)"
_TEMPLATES = {name: _template(ink) for name, ink in INKS.items()}

TEMPLATE = _TEMPLATES["both"]
"""The look of every figure of vtune; hand it to your own figures as `layout.template`."""


def themed(figure: go.Figure, theme: str) -> go.Figure:
    """Gives a figure the ink of one ground, where that is known: text stands out more than it can on both.

    Args:
      figure: changed in place.
      theme: "light", "dark" or "both".

    Returns:
      The same figure.

    Raises:
      ArgumentError: another theme.

    >>> themed(go.Figure(), "dark").layout.template.layout.font.color
    '#b4bbc2'
    """
    if theme not in INKS:
        raise ArgumentError(f"theme must be one of {', '.join(INKS)}; got {theme!r}")
    for trace in figure.select_traces("parcoords"):
        trace.update(labelfont_color=INKS[theme], tickfont_color=INKS[theme], rangefont_color=INKS[theme])
    return figure.update_layout(template=_TEMPLATES[theme])


def nothing(sentence: str, height: int = 320) -> go.Figure:
    """An empty figure that says why it is empty.

    >>> nothing("No trial is complete yet.").layout.annotations[0].text
    'No trial is complete yet.'
    """
    figure = styled(go.Figure(), height).update_xaxes(visible=False).update_yaxes(visible=False)
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "xanchor": "center", "yanchor": "middle"}
    return figure.add_annotation(text=escaped(sentence), showarrow=False, font={"size": 15}, **place)


def escaped(text: Any) -> str:
    """A text that Plotly shows as it is: no HTML, no MathJax, no hover fields.

    >>> escaped("<b>$x$ %{y}</b>")
    '&lt;b&gt;&#36;x&#36; &#37;{y}&lt;/b&gt;'
    """
    return html.escape(str(text), quote=False).replace("$", "&#36;").replace("%", "&#37;").replace("\n", " ")


def styled(figure: go.Figure, height: int) -> go.Figure:
    """Gives a figure the template and keeps the reader's zoom when new data arrive.

    Args:
      figure: changed in place.
      height: in pixels.

    Returns:
      The same figure.
    """
    return figure.update_layout(template=TEMPLATE, height=height, uirevision="keep")


def axes(figure: go.Figure, x: str, y: str, values: NDArray[np.float64], *, log: bool) -> None:
    """Names the two axes of a figure with one panel; the second is logarithmic if `log`.

    Args:
      figure: changed in place.
      x: name of the first axis.
      y: name of the second.
      values: what the second axis has to show; they decide how finely it is labelled.
      log: whether the second axis is logarithmic.
    """
    figure.update_xaxes(title_text=escaped(x))
    figure.update_yaxes(title_text=escaped(y), **(log_axis(values) if log else {}))


def log_axis(values: NDArray[np.float64]) -> dict[str, Any]:
    """How to label a logarithmic axis: powers of ten over many decades, else 1, 2, 5 written out.

    Args:
      values: what is drawn; those that are not positive are ignored.

    Returns:
      Settings for Plotly's `update_xaxes` or `update_yaxes`.

    >>> log_axis(np.array([16.0, 256.0]))["dtick"]
    'D2'
    """
    positive = values[values > 0]
    if len(positive) and positive.max() < 500 * positive.min():
        return {"type": "log", "dtick": "D2", "tickformat": "~g"}
    decades = np.log10(positive.max() / positive.min()) if len(positive) else 1.0
    return {"type": "log", "dtick": max(1, int(np.ceil(decades / 8))), "tickfont": {"size": 12}}


def note(figure: go.Figure, *parts: str, width: int = 120) -> None:
    """Says in the lower right corner of the figure what is and is not shown; empty parts are skipped.

    Args:
      figure: which.
      parts: the sentences.
      width: letters on a line at most.
    """
    lines = textwrap.wrap(" · ".join(part for part in parts if part), width)
    if lines:
        if len(lines) > 1:
            figure.update_layout(margin_b=_BOTTOM + _LINE * (len(lines) - 1))
        figure.add_annotation(
            text="<br>".join(lines),
            align="right",
            xref="paper",
            yref="paper",
            x=1,
            y=0,
            xanchor="right",
            yanchor="top",
            yshift=-46,
            showarrow=False,
            font={"size": 12},
        )


def thinned(candidates: NDArray[np.bool_], keep: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Chooses at most `count` of the candidates: those to keep first, the others evenly spaced.

    Args:
      candidates: [n]
      keep: [n], those that should survive.
      count: how many at most.

    Returns:
      [n], a part of `candidates`.

    >>> thinned(np.ones(6, bool), np.array([0, 0, 0, 0, 0, 1], bool), 3).tolist()
    [True, False, False, False, True, True]
    """
    chosen = np.zeros(len(candidates), dtype=bool)
    for group in (candidates & keep, candidates & ~keep):
        indices = np.flatnonzero(group)
        room = min(count - int(chosen.sum()), len(indices))
        if room > 0:
            chosen[indices[np.unique(np.linspace(0, len(indices) - 1, room).round().astype(int))]] = True
    return chosen


def dots(
    rows: pd.DataFrame, x: Any, y: Any, name: str, symbol: str, color: str, *, size: int = 7, hover: Sequence[str] = ()
) -> go.Scatter | go.Scattergl:
    """Trials as dots, drawn by WebGL when there are many; the hover text names the trial and the given columns.

    Each dot carries its trial's id as `customdata`, so that a selection of dots is one of trials.

    Args:
      rows: one row a trial, with `id`, `score` (if it is to be told) and the columns of `hover`.
      x: [rows]
      y: [rows]
      name: of the trace, in the legend.
      symbol: Plotly's name of the marker.
      color: of the marker.
      size: of the marker in pixels.
      hover: further columns for the hover text.

    Returns:
      The trace.
    """
    told = [*(["score"] if "score" in rows.columns else []), *hover]
    texts = [
        f"trial {trial}"
        + "".join(f"<br>{escaped(column)} {escaped(short(value))}" for column, value in zip(told, values, strict=True))
        for trial, *values in rows[["id", *told]].astype(object).itertuples(index=False, name=None)
    ]
    trace = go.Scattergl if len(rows) > 1500 else go.Scatter
    return trace(
        x=np.asarray(x),
        y=np.asarray(y),
        customdata=rows[["id"]].to_numpy(),
        mode="markers",
        name=escaped(name),
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        marker={
            "symbol": symbol,
            "color": color,
            "size": size,
            "opacity": 0.8,
            "line": {"width": 1.5 if "open" in symbol else 0},
        },
    )


def diagonal(values: NDArray[np.float64], name: str) -> go.Scatter:
    """The line on which both axes are equal, from the least to the largest of some values."""
    ends = np.quantile(values, [0.0, 1.0])
    line = {"color": GREY, "width": 1.5, "dash": "dash"}
    return go.Scatter(x=ends, y=ends, mode="lines", name=name, line=line, hoverinfo="skip")


def pattern(shape: str) -> dict[str, Any]:
    """A hatching over the colour of a bar, so that parts of a bar are not told apart by colour alone."""
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "rgba(255, 255, 255, 0.6)", "size": 7, "solidity": 0.25}


def edge_of(scores: NDArray[np.float64], mode: str, log: bool) -> float:
    """Where the worse end of a score axis should stop so that a few wild scores do not flatten the rest.

    Args:
      scores: [trials], finite (and positive if `log`).
      mode: "min" or "max".
      log: whether the axis is logarithmic.

    Returns:
      The last score inside the axis: infinite (negative if `mode` is "max") when nothing needs to be cut off.

    >>> edge_of(np.r_[np.linspace(0, 1, 100), 1e6], "min", False) < 3
    True
    """
    sign = 1.0 if mode == "min" else -1.0
    values = sign * (np.log10(scores) if log else scores)
    if len(values) < 20:
        return sign * np.inf
    best, bulk, worst = np.quantile(values, [0.0, 0.9, 1.0])
    reach = bulk + (bulk - best)
    if bulk == best or worst <= best + 4 * (bulk - best):
        return sign * np.inf
    return float(10 ** (sign * reach)) if log else float(sign * reach)


def shown_of(shown: int, total: int, what: str = "trials") -> str:
    """What a figure says of what it leaves out; nothing if it shows all.

    >>> shown_of(4000, 100_000)
    'showing 4,000 of 100,000 trials'
    """
    return f"showing {shown:,} of {total:,} {what}" if shown < total else ""


def axis_of(parameter: Any) -> dict[str, Any]:
    """Settings of an axis along which a hyperparameter lies."""
    if not hasattr(parameter, "low"):
        count = len(parameter.values)
        labels = [option(value) for value in parameter.values]
        return {"tickvals": list(range(count)), "ticktext": labels, "range": [-0.5, count - 0.5]}
    if steps(parameter):
        places, values = ticks(parameter)
        return {
            "tickvals": list(range(len(places))),
            "ticktext": [short(v) for v in values],
            "range": [-0.5, len(places) - 0.5],
        }
    ends = np.array([parameter.low, parameter.high], np.float64)
    settings: dict[str, Any] = log_axis(ends) if parameter.log else {"type": "linear"}
    if parameter.low < parameter.high:
        first, last = (np.log10(ends) if parameter.log else ends).tolist()
        air = 0.04 * (last - first)
        settings["range"] = [first - air, last + air]
    return settings


def option(value: Any) -> str:
    """One of the values of a choice, as text on an axis."""
    return escaped(short(value)) if value is not None else "None"


def values_of(column: pd.Series, parameter: Any) -> NDArray[np.float64]:
    """The values of a hyperparameter as they are drawn along `axis_of`: choices and steps are strewn a little."""
    count = cells_of(parameter)
    if not count:
        return pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    return position(column, parameter) * count - 0.5 + strewn(len(column), 0.28)


def cells_of(parameter: Any) -> int:
    """How many cells the axis of a hyperparameter is divided into; 0 for a continuous one."""
    return steps(parameter) if hasattr(parameter, "low") else len(parameter.values)


def stood_for(frame: pd.DataFrame, drawable: NDArray[np.bool_]) -> int:
    """How many trials the drawable rows of a frame stand for: all of the study if the frame is a sample of them."""
    total = frame.attrs.get("total", len(frame))
    return total if total > len(frame) else int(drawable.sum())


def strewn(count: int, reach: float) -> NDArray[np.float64]:
    """Evenly spread offsets from -reach to reach, the same at every call, so that dots at one place can be told apart.

    >>> strewn(3, 0.5).round(2).tolist()
    [-0.5, 0.12, -0.26]
    """
    return reach * (2.0 * (np.arange(count, dtype=np.float64) * 0.6180339887498949 % 1.0) - 1.0)


def limit(figure: go.Figure, low: float, high: float, *, log: bool) -> None:
    """Sets the range of the second axis to [low, high] and a little air, in the units of the data."""
    ends = np.log10([low, high]) if log else np.array([low, high])
    air = 0.06 * (ends[1] - ends[0])
    figure.update_yaxes(range=[ends[0] - air, ends[1] + air])
