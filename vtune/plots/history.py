"""The optimization history: every trial as a dot and the best so far as a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis import best_so_far, ranked
from vtune.errors import ArgumentError
from vtune.plots import look

STATES = {
    "complete": ("circle", look.BLUE),
    "running": ("circle-open", look.GREEN),
    "stopped": ("circle-open", look.GREY),
    "diverged": ("x-thin-open", look.RED),
    "failed": ("x-thin-open", look.PLUM),
    "waiting": ("circle-open", look.GREY),
}


def history(
    frame: pd.DataFrame,
    mode: str = "min",
    *,
    metric: str = "score",
    log: bool = False,
    x: str = "trial",
    hover: Sequence[str] = (),
    max_points: int = 4000,
    height: int = 440,
) -> go.Figure:
    """Every trial's score as a dot in the order of the trials, and the best so far as a line.

    Scores far beyond the bulk are drawn as triangles at the edge, trials that ended without a score as ticks at the
    foot; the note at the lower right says how many there are of what.

    Args:
      frame: one row a trial, with `id`, `state` and `score`. It may be a sample that holds every trial that was the
        best of its time (`vtune.store.summaries.scatter`): its `.attrs` say how many trials it stands for. Trials whose
        `holds` is False break a constraint of the study and are never the best.
      mode: "min" or "max", which scores are better.
      metric: the name on the axis.
      log: whether the score axis is logarithmic; scores that are not positive cannot be drawn on it.
      x: "trial", the order of admission, or "seconds", the time at which trials ended (a column of the frame).
      hover: columns of the frame for the hover text, such as the hyperparameters' names.
      max_points: how many dots at most; those that were the best of their time are always among them.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` or `x` is neither.

    >>> frame = pd.DataFrame({"id": [0, 1], "state": "complete", "score": [0.5, 0.25]})
    >>> history(frame, "min", metric="loss").layout.yaxis.title.text
    'loss'
    """
    if x not in ("trial", "seconds"):
        raise ArgumentError(f"x must be 'trial' or 'seconds'; got {x!r}")
    total, unscored = frame.attrs.get("total"), frame.attrs.get("unscored")
    column = "id" if x == "trial" else "seconds"
    timed = frame if x == "trial" else frame[np.isfinite(frame["seconds"].to_numpy(np.float64))]
    ordered = timed.sort_values([column, "id"])
    places, scores = ordered[column].to_numpy(), ordered["score"].to_numpy(np.float64)
    holds = ordered["holds"].to_numpy(bool) if "holds" in ordered.columns else np.ones(len(ordered), bool)
    best = best_so_far(np.where(ranked(ordered) & holds, scores, np.nan), mode)
    records = np.isfinite(best) & (best != np.r_[np.nan, best[:-1]])
    drawable = np.isfinite(scores) & ((scores > 0) | (not log))
    shown = look.thinned(drawable, records, max_points)
    edge = look.edge_of(scores[drawable], mode, log)
    outside = (scores > edge) if mode == "min" else (scores < edge)

    figure = look.styled(go.Figure(), height)
    look.axes(figure, "trial" if x == "trial" else "seconds", metric, scores[drawable & ~outside], log=log)
    for state, (symbol, color) in STATES.items():
        chosen = shown & ~outside & (ordered["state"] == state).to_numpy(bool)
        broken = chosen & ~holds & (state == "complete")
        rows = ordered[chosen & ~broken]
        if len(rows):
            figure.add_trace(look.dots(rows, rows[column], rows["score"], state, symbol, color, hover=hover))
        if broken.any():
            rows, label = ordered[broken], "breaks a constraint"
            figure.add_trace(
                look.dots(rows, rows[column], rows["score"], label, "square-open", look.LILAC, hover=hover)
            )
    beyond = ordered[shown & outside]
    if len(beyond):
        symbol = "triangle-up-open" if mode == "min" else "triangle-down-open"
        at_edge = np.full(len(beyond), edge)
        figure.add_trace(look.dots(beyond, beyond[column], at_edge, "beyond the axis", symbol, look.GREY, hover=hover))
    drawn = np.isfinite(best) & ((best > 0) | (not log))
    corners = drawn & (records | (np.arange(len(best)) == len(best) - 1))
    figure.add_trace(
        go.Scatter(
            x=places[corners],
            y=best[corners],
            mode="lines",
            line={"shape": "hv", "color": look.ORANGE, "width": 2.5},
            name="best so far",
            hovertemplate="best so far %{y:.4g}<extra></extra>",
        )
    )
    bare = ordered[~np.isfinite(scores) & ~ordered["state"].isin(["running", "waiting"]).to_numpy(bool)]
    if len(bare):
        _foot(figure, bare.iloc[look.thinned(np.ones(len(bare), bool), np.zeros(len(bare), bool), max_points)], column)
    if np.isfinite(edge) and drawn.any():
        top = best[drawn][-1]
        look.limit(figure, min(top, edge), max(top, edge), log=log)
    cut, without = int((drawable & outside).sum()), len(bare) if unscored is None else unscored
    sampled = total is not None and total > len(frame)
    stood_for = total if total is not None and sampled else int(drawable.sum())
    look.note(
        figure,
        look.shown_of(int(shown.sum()), stood_for),
        f"{cut:,}{' of them' if sampled else ''} beyond the axis" if cut else "",
        f"{without:,} without a score" if without else "",
    )
    return figure


def _foot(figure: go.Figure, rows: pd.DataFrame, column: str) -> None:
    trace = look.dots(rows, rows[column], np.full(len(rows), 0.015), "no score", "line-ns-open", look.RED, size=9)
    trace.update(yaxis="y2")
    figure.add_trace(trace)
    figure.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True})
