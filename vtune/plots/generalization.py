"""Training against validation: which trials learned what carries over."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis import best_trials
from vtune.plots import look


def generalization(
    frame: pd.DataFrame,
    metric: str,
    companion: str,
    mode: str = "min",
    *,
    log: bool = False,
    max_points: int = 4000,
    height: int = 460,
) -> go.Figure:
    """The last value of a metric on validation data against the same on training data, a dot a trial.

    Trials on the diagonal do as well on both; the further from it, the more was learned by heart.

    Args:
      frame: one row a trial, with `id`, `state`, `score` and both columns.
      metric: the column measured on validation data.
      companion: the column measured on training data.
      mode: "min" or "max", which scores are better.
      log: whether both axes are logarithmic.
      max_points: how many dots at most.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` is neither.

    >>> frame = pd.DataFrame({"id": [0], "state": "complete", "score": [0.5], "loss": [0.5], "train_loss": [0.3]})
    >>> generalization(frame, "loss", "train_loss").data[-1].name
    'best tenth'
    """
    pair = frame[[companion, metric]].to_numpy(np.float64)
    drawable = np.isfinite(pair).all(axis=1) & ((pair > 0).all(axis=1) | (not log))
    if not drawable.any():
        return look.nothing(f"No trial has both {metric} and {companion} yet.", height)
    best = frame["id"].isin(best_trials(frame, mode, max(1, len(frame) // 10))["id"]).to_numpy(bool)
    shown = look.thinned(drawable, best, max_points)
    figure = look.styled(go.Figure(), height)
    figure.add_trace(look.diagonal(pair[drawable], "as good on both"))
    for part, name, color, symbol, size in (
        (~best, "the others", look.GREY, "circle", 5),
        (best, "best tenth", look.ORANGE, "diamond", 7),
    ):
        rows = frame[shown & part]
        if len(rows):
            dots = look.dots(rows, rows[companion], rows[metric], name, symbol, color, size=size)
            figure.add_trace(
                dots.update(hovertemplate="%{text}<br>training %{x:.4g}<br>validation %{y:.4g}<extra></extra>")
            )
    look.axes(figure, companion, metric, pair[drawable].ravel(), log=log)
    if log:
        figure.update_xaxes(**look.log_axis(pair[drawable].ravel()))
    look.note(figure, look.shown_of(int(shown.sum()), look.stood_for(frame, drawable)))
    return figure
