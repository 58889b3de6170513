"""Two hyperparameters at once: the expected score as ground, trials as dots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis.importance import FEWEST, costs, forest
from vtune.analysis.positions import positions, ticks
from vtune.display.text import short
from vtune.errors import ArgumentError
from vtune.plots import look


def contour(
    frame: pd.DataFrame,
    space: Mapping[str, Any],
    first: str,
    second: str,
    mode: str = "min",
    *,
    metric: str = "score",
    max_points: int = 1500,
    height: int = 520,
) -> go.Figure:
    """The score that a forest expects over two hyperparameters, averaged over all others, under the trials.

    Args:
      frame: one row a trial, with `id`, `state`, `score` and one column a hyperparameter.
      space: the study's `Space`.
      first: the hyperparameter along the first axis.
      second: the one along the second.
      mode: "min" or "max".
      metric: the name of the score.
      max_points: how many dots at most.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: names that are unknown or equal, or `mode` is neither.
    """
    names = [name for name in space if name in frame.columns]
    if first not in names or second not in names or first == second:
        raise ArgumentError(f"first and second must be two of {', '.join(names)}; got {first!r} and {second!r}")
    scored = np.isfinite(costs(frame, mode))
    if scored.sum() < FEWEST:
        return look.nothing("A contour needs at least ten trials with a score.", height)
    ground = forest(frame, space, mode).marginal(names.index(first), names.index(second)).T
    ground = ground if mode == "min" else -ground
    figure = look.styled(go.Figure(), height)
    axes = [space[first], space[second]]
    places = [(np.arange(size) + 0.5) / size for size in ground.shape[::-1]]
    figure.add_trace(
        go.Heatmap(
            x=places[0],
            y=places[1],
            z=ground,
            zsmooth=False if any(map(look.cells_of, axes)) else "best",
            colorscale=look.SCALE,
            reversescale=mode == "max",
            opacity=0.75,
            colorbar={"title": {"text": look.escaped(metric)}, "outlinewidth": 0, "thickness": 12},
            hovertemplate=f"expected {look.escaped(metric)} %{{z:.4g}}<extra></extra>",
        )
    )
    both = positions(frame, {first: axes[0], second: axes[1]})
    drawable = np.isfinite(both.to_numpy()).all(axis=1) & scored
    shown = look.thinned(drawable, np.zeros(len(frame), bool), max_points)
    rows = frame[shown]
    cells = [look.cells_of(axis) for axis in axes]
    spread = [look.strewn(len(rows), 0.3 / count) if count else 0.0 for count in cells]
    dots = look.dots(
        rows,
        both[first][shown] + spread[0],
        both[second][shown] + spread[1],
        "trials",
        "circle",
        "rgba(20, 24, 28, 0.55)",
        size=5,
        hover=[first, second],
    )
    dots.update(marker={"line": {"color": "rgba(255, 255, 255, 0.7)", "width": 0.75}, "opacity": 1}, showlegend=False)
    figure.add_trace(dots)
    for update, name, axis in ((figure.update_xaxes, first, axes[0]), (figure.update_yaxes, second, axes[1])):
        where, values = ticks(axis)
        update(
            title_text=look.escaped(name),
            tickvals=where,
            ticktext=[look.escaped(short(value, 3)) for value in values],
            range=[0, 1],
            showgrid=False,
        )
    look.note(
        figure,
        "ground: the mean over all other hyperparameters, by a forest",
        look.shown_of(int(shown.sum()), look.stood_for(frame, drawable)),
    )
    return figure
