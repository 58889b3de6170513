"""Several objectives: the trials that no other beats, and the volume that they dominate as it grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis import hypervolume_over, non_dominated
from vtune.errors import ArgumentError
from vtune.plots import look

_ONE = "This study has one objective; a front needs two."


def front(
    values: pd.DataFrame,
    objectives: Sequence[tuple[str, str]],
    first: int = 0,
    second: int = 1,
    *,
    max_points: int = 3000,
    height: int = 480,
) -> go.Figure:
    """Two objectives of all complete trials; those that no other beats in all objectives are joined by a line.

    Args:
      values: one row a complete trial, with `id` and one column an objective (`vtune.store.summaries.objectives`).
      objectives: (metric, "min" or "max") pairs.
      first: number of the objective along the first axis.
      second: of the one along the second.
      max_points: how many of the other trials are drawn at most.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: numbers of no objective, or twice the same.

    >>> values = pd.DataFrame({"id": [0, 1, 2], "loss": [1.0, 2.0, 3.0], "size": [3.0, 1.0, 4.0]})
    >>> front(values, [("loss", "min"), ("size", "min")]).data[-1].x.tolist()
    [1.0, 2.0]
    """
    if len(objectives) < 2:
        return look.nothing(_ONE, height)
    if first == second or not {first, second} <= set(range(len(objectives))):
        raise ArgumentError(
            f"first and second must number two of {len(objectives)} objectives; got {first} and {second}"
        )
    names = [name for name, _ in objectives]
    if values.empty:
        return look.nothing("No trial is complete yet.", height)
    best = non_dominated(values[names], [mode for _, mode in objectives])
    figure = look.styled(go.Figure(), height)
    across, down = names[first], names[second]
    shown = look.thinned(~best & values[names].notna().all(axis=1).to_numpy(), np.zeros(len(values), bool), max_points)
    rows, line = values[shown], values[best].sort_values(across)
    if len(rows):
        trace = look.dots(rows, rows[across], rows[down], "dominated", "circle", look.GREY, size=5, hover=names)
        figure.add_trace(trace)
    label = "no trial beats these"
    dots = look.dots(line, line[across], line[down], label, "diamond", look.ORANGE, size=9, hover=names)
    if len(objectives) == 2:
        corner = "vh" if objectives[first][1] == "max" else "hv"
        dots.update(mode="lines+markers", line={"shape": corner, "color": look.ORANGE, "width": 2})
    figure.add_trace(dots)
    look.axes(figure, _named(objectives[first]), _named(objectives[second]), values[down].to_numpy(), log=False)
    look.note(
        figure,
        f"{int(best.sum()):,} of {len(values):,} complete trials on the front",
        look.shown_of(int(shown.sum()), int((~best).sum()), "others"),
    )
    return figure


def hypervolume(values: pd.DataFrame, objectives: Sequence[tuple[str, str]], *, height: int = 360) -> go.Figure:
    """The volume that the trials so far dominate, over complete trials: flat when more trials no longer help.

    Args:
      values: one row a complete trial, in the order in which they ended, with one column an objective.
      objectives: (metric, "min" or "max") pairs.
      height: of the figure, in pixels.

    Returns:
      The figure.
    """
    if len(objectives) < 2:
        return look.nothing(_ONE, height)
    if values.empty:
        return look.nothing("No trial is complete yet.", height)
    grown = hypervolume_over(values[[name for name, _ in objectives]], [mode for _, mode in objectives])
    share = grown / grown[-1] if grown[-1] > 0 else grown
    corners = np.flatnonzero(np.diff(share, prepend=-1.0) != 0)
    corners = np.unique(np.r_[corners, len(share) - 1])
    figure = look.styled(go.Figure(), height)
    figure.add_trace(
        go.Scatter(
            x=corners + 1,
            y=share[corners],
            mode="lines",
            line={"shape": "hv", "color": look.ORANGE, "width": 2.5},
            customdata=grown[corners],
            hovertemplate="after %{x:,} trials: %{y:.1%} of the last volume<br>%{customdata:.4g}<extra></extra>",
            showlegend=False,
        )
    )
    look.axes(figure, "complete trials", "hypervolume, of the last", share, log=False)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    changed = int(corners[-2] + 1) if len(corners) > 1 and share[-1] == share[corners[-2]] else int(corners[-1] + 1)
    look.note(figure, f"last grew with complete trial {changed:,} of {len(values):,}")
    return figure


def _named(objective: tuple[str, str]) -> str:
    name, mode = objective
    return f"{name} ({'lower' if mode == 'min' else 'higher'} is better)"
