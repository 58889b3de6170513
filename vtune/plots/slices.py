"""Slices: the score against each hyperparameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vtune.analysis import best_trials
from vtune.plots import look


def slices(
    frame: pd.DataFrame,
    space: Mapping[str, Any],
    mode: str = "min",
    *,
    metric: str = "score",
    log: bool = False,
    max_points: int = 6000,
    columns: int = 3,
) -> go.Figure:
    """The score against each hyperparameter, one panel each; the best tenth of the trials stands out.

    Args:
      frame: one row a trial, with `id`, `state`, `score` and one column a hyperparameter.
      space: the study's `Space`; logarithmic parameters get a logarithmic axis.
      mode: "min" or "max", which scores are better.
      metric: the name on the score axis.
      log: whether the score axis is logarithmic; scores that are not positive cannot be drawn on it.
      max_points: how many dots all panels together may have.
      columns: panels in a row.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` is neither.
    """
    names = [name for name in space if name in frame.columns]
    columns = max(1, min(columns, len(names)))
    rows = max(1, math.ceil(len(names) / columns))
    scores = frame["score"].to_numpy(np.float64)
    drawable = np.isfinite(scores) & ((scores > 0) | (not log))
    count = max(1, int(drawable.sum()) // 10)
    best = frame["id"].isin(best_trials(frame, mode, count)["id"]).to_numpy(bool)
    shown = look.thinned(drawable, best, max(1, max_points // max(1, len(names))))
    edge = look.edge_of(scores[drawable], mode, log)
    outside = (scores > edge) if mode == "min" else (scores < edge)

    figure = make_subplots(rows, columns, shared_yaxes=True, horizontal_spacing=0.03, vertical_spacing=0.3 / rows)
    look.styled(figure, 110 + 230 * rows)
    if log:
        figure.update_yaxes(**look.log_axis(scores[shown & ~outside]))
    for index, name in enumerate(names):
        row, column = index // columns + 1, index % columns + 1
        figure.update_xaxes(title_text=look.escaped(name), row=row, col=column, **look.axis_of(space[name]))
        places = look.values_of(frame[name], space[name])
        present = np.isfinite(places)
        for part, label, color, size in ((~best, "the others", look.GREY, 5), (best, "best tenth", look.ORANGE, 7)):
            chosen = shown & ~outside & present & part
            points = frame[chosen]
            trace = look.dots(points, places[chosen], points["score"], label, "circle", color, size=size, hover=[name])
            trace.update(showlegend=index == 0, legendgroup=label)
            figure.add_trace(trace, row=row, col=column)
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=look.escaped(metric), row=row, col=1)
    cut = int((drawable & outside).sum())
    look.note(
        figure,
        f"showing {int(shown.sum()):,} of {int(drawable.sum()):,} trials" if shown.sum() < drawable.sum() else "",
        f"{cut:,} beyond the axis" if cut else "",
    )
    return figure
