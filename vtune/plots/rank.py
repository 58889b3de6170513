"""Pairs of hyperparameters, with every trial coloured by its rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vtune.analysis.importance import standings
from vtune.analysis.scores import check_mode
from vtune.errors import ArgumentError
from vtune.plots import look

MOST = 5


def rank(
    frame: pd.DataFrame,
    space: Mapping[str, Any],
    names: Sequence[str],
    mode: str = "min",
    *,
    max_points: int = 1000,
) -> go.Figure:
    """Every pair of the named hyperparameters as a panel, trials as dots from the best (orange) to the worst (blue).

    Ranks show structure where scores are of very unlike size. Diverged trials rank last.

    Args:
      frame: one row a trial, with `id`, `state`, `score` and one column a hyperparameter.
      space: the study's `Space`.
      names: two to five hyperparameters.
      mode: "min" or "max".
      max_points: how many dots at most in a panel.

    Returns:
      The figure.

    Raises:
      ArgumentError: too few or too many names, or unknown ones, or `mode` is neither.
    """
    check_mode(mode)
    known = [name for name in space if name in frame.columns]
    chosen = list(dict.fromkeys(names))
    if not 2 <= len(chosen) <= MOST or not set(chosen) <= set(known):
        raise ArgumentError(f"names must be two to {MOST} of {', '.join(known)}; got {list(names)}")
    standing = standings(frame, mode)
    ranked = np.isfinite(standing)
    if not ranked.any():
        return look.nothing("No trial is over yet.")
    share = standing / max(1.0, np.nanmax(standing))
    count = len(chosen) - 1
    figure = make_subplots(
        count, count, shared_xaxes=True, shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=0.03
    )
    look.styled(figure, 130 + max(260, 190 * count) if count > 1 else 480)
    shown = look.thinned(ranked, standing < 0.05 * ranked.sum(), max_points)
    rows = frame[shown]
    order = np.argsort(-standing[shown], kind="stable")
    rows, colors = rows.iloc[order], share[shown][order]
    for i in range(count):
        for j in range(i + 1):
            across, down = chosen[j], chosen[i + 1]
            trace = look.dots(
                rows,
                look.values_of(rows[across], space[across]),
                look.values_of(rows[down], space[down]),
                "trials",
                "circle",
                look.BLUE,
                size=6 if count < 3 else 5,
                hover=[across, down],
            )
            trace.update(marker={"color": 1.0 - colors, "coloraxis": "coloraxis", "opacity": 0.85}, showlegend=False)
            figure.add_trace(trace, row=i + 1, col=j + 1)
            figure.update_xaxes(**look.axis_of(space[across]), row=i + 1, col=j + 1)
            figure.update_yaxes(**look.axis_of(space[down]), row=i + 1, col=j + 1)
        figure.update_yaxes(title_text=look.escaped(chosen[i + 1]), row=i + 1, col=1)
        figure.update_xaxes(title_text=look.escaped(chosen[i]), row=count, col=i + 1)
        for j in range(i + 1, count):
            figure.update_xaxes(visible=False, row=i + 1, col=j + 1)
            figure.update_yaxes(visible=False, row=i + 1, col=j + 1)
    figure.update_layout(
        coloraxis={
            "colorscale": look.SCALE,
            "reversescale": True,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "tickvals": [0, 0.5, 1],
                "ticktext": ["worst", "middle", "best"],
                "outlinewidth": 0,
                "thickness": 12,
            },
        }
    )
    look.note(figure, look.shown_of(int(shown.sum()), look.stood_for(frame, ranked)))
    return figure
