"""Parallel coordinates: a line a trial, an axis a hyperparameter; ranges on the axes filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis.importance import standings
from vtune.analysis.positions import position, ticks
from vtune.analysis.scores import check_mode
from vtune.display.text import plain, short
from vtune.errors import ArgumentError
from vtune.plots import look


def parallel(
    frame: pd.DataFrame,
    space: Mapping[str, Any],
    names: Sequence[str] | None = None,
    mode: str = "min",
    *,
    metric: str = "score",
    ranges: Mapping[str, Sequence[Any]] | None = None,
    max_lines: int = 1000,
    height: int = 480,
) -> go.Figure:
    """Every trial as a line through its hyperparameters to its score; the best are drawn last, in orange.

    Drag along an axis to keep the lines that pass through the range. A hyperparameter that is not active passes below
    its axis, at "inactive".

    Args:
      frame: one row a trial, with `id`, `state`, `score` and one column a hyperparameter.
      space: the study's `Space`.
      names: which hyperparameters, in which order; all unless given.
      mode: "min" or "max".
      metric: the name of the score.
      ranges: hyperparameter -> (low, high), or the choices to keep: only lines through them stand out.
      max_lines: how many lines at most; the best tenth of them are always among them.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: unknown names, or `mode` is neither.
    """
    check_mode(mode)
    known = [name for name in space if name in frame.columns]
    chosen = known if names is None else list(dict.fromkeys(names))
    if not chosen or not set(chosen) <= set(known):
        raise ArgumentError(f"names must be some of {', '.join(known)}; got {names!r}")
    standing = standings(frame, mode)
    drawable = np.isfinite(standing) & np.isfinite(frame["score"].to_numpy(np.float64))
    if not drawable.any():
        return look.nothing("No trial has ended with a score yet.", height)
    shown = look.thinned(drawable, standing < 0.1 * min(max_lines, drawable.sum()), max_lines)
    rows = frame[shown].iloc[np.argsort(-standing[shown], kind="stable")]
    ranks = pd.Series(standings(rows, mode)).rank(pct=True).to_numpy()
    dimensions = [_dimension(rows[name], space[name], name, (ranges or {}).get(name)) for name in chosen]
    score = rows["score"].to_numpy(np.float64)
    edge = look.edge_of(score, mode, False)
    drawn = np.minimum(score, edge) if mode == "min" else np.maximum(score, edge)
    dimensions.append({"label": plain(metric), "values": drawn, "tickformat": "~g"})
    figure = look.styled(go.Figure(), height)
    figure.add_trace(
        go.Parcoords(
            dimensions=dimensions,
            line={"color": 1.0 - ranks, "colorscale": look.SCALE, "reversescale": True, "cmin": 0, "cmax": 1},
            unselected={"line": {"color": look.GREY, "opacity": 0.06}},
            labelfont={"size": 14, "color": look.INKS["both"]},
            tickfont={"size": 12, "color": look.INKS["both"]},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
        )
    )
    figure.update_layout(margin={"l": 48, "r": 56, "t": 56, "b": 70})
    look.note(
        figure,
        "orange: best, blue: worst",
        look.shown_of(int(shown.sum()), look.stood_for(frame, drawable)),
    )
    return figure


def _dimension(column: pd.Series, parameter: Any, name: str, kept: Sequence[Any] | None) -> dict[str, Any]:
    values = position(column, parameter)
    where, labels = ticks(parameter)
    if cells := look.cells_of(parameter):
        values = values + look.strewn(len(values), 0.3 / cells)
    absent = np.isnan(values)
    if absent.any():
        where, labels = [-0.15, *where], ["inactive", *labels]
    allowed = {} if kept is None else {"constraintrange": _allowed(kept, parameter), "multiselect": True}
    return allowed | {
        "label": plain(name),
        "values": np.where(absent, -0.15, values),
        "range": [-0.15 if absent.any() else 0.0, 1.0],
        "tickvals": where,
        "ticktext": [plain(short(label, 3)) for label in labels],
    }


def _allowed(kept: Sequence[Any], parameter: Any) -> list[Any]:
    """The ranges of an axis that hold what is kept."""
    places, cells = position(pd.Series(list(kept)), parameter), look.cells_of(parameter)
    reach = 0.45 / cells if cells else 0.0
    if hasattr(parameter, "low"):
        return [float(places.min()) - reach, float(places.max()) + reach]
    return [[float(place) - reach, float(place) + reach] for place in np.sort(places)]
