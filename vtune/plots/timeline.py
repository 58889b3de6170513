"""The engine over time: which trial sat in which lane, and how many lanes were busy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vtune.display.text import duration
from vtune.errors import ArgumentError
from vtune.plots import look
from vtune.plots.history import STATES

_EMPTY = "No trial has been given a lane yet."
NUMBERED = 600
"""So many bars at most carry the number of their trial."""
_LEAST = 1e-3
"""Seconds; shorter trials would be drawn without width."""


def timeline(placed: pd.DataFrame, *, color: str = "state", height: int | None = None) -> go.Figure:
    """A row a lane, a bar a trial from its admission to its end: gaps are lanes without work.

    Args:
      placed: one row a trial with `id`, `state`, `program`, `block`, `lane`, `started`, `finished` (seconds), as
        `vtune.store.summaries.placement` gives; its `.attrs` say how many trials there are and when the study ended.
      color: "state", or "program".
      height: of the figure, in pixels; by the number of lanes unless given.

    Returns:
      The figure.

    Raises:
      ArgumentError: another colour.
    """
    if color not in ("state", "program"):
        raise ArgumentError(f"color must be 'state' or 'program'; got {color!r}")
    if placed.empty:
        return look.nothing(_EMPTY)
    rows = placed.sort_values(["block", "lane", "started"])
    seats = pd.MultiIndex.from_frame(rows[["block", "lane"]])
    lanes = seats.unique()
    place = pd.Series(np.arange(len(lanes)), index=lanes)
    rows = rows.assign(row=place.loc[list(seats)].to_numpy())
    end = float(np.nanmax(np.r_[rows["finished"], rows["started"], placed.attrs.get("span", 0.0)]))
    if len(placed) < placed.attrs.get("total", 0):
        end = float(np.nanmax(np.r_[rows["finished"], rows["started"]]))
    rows["until"] = rows["finished"].fillna(end)
    size = height if height is not None else int(np.clip(130 + 18 * len(lanes), 260, 900))
    figure = look.styled(go.Figure(), size)
    for index, (name, part) in enumerate(rows.groupby(color, sort=True)):
        label = str(name) if color == "state" else f"program {int(str(name)) + 1}"
        shade = STATES[label][1] if color == "state" else look.COLORS[index % len(look.COLORS)]
        figure.add_trace(
            go.Bar(
                x=np.maximum(part["until"] - part["started"], _LEAST),
                base=part["started"],
                y=part["row"],
                orientation="h",
                width=0.82,
                name=label,
                marker={"color": shade, "opacity": 0.8, "line": {"width": 0}},
                text=part["id"] if len(placed) <= NUMBERED else None,
                textposition="inside",
                insidetextanchor="middle",
                insidetextfont={"color": "#ffffff"},
                textangle=0,
                customdata=part[["id", "block", "lane", "program", "started", "until"]].to_numpy(),
                hovertemplate="trial %{customdata[0]}<br>block %{customdata[1]}, lane %{customdata[2]}, program "
                "%{customdata[3]}<br>%{customdata[4]:.2f} to %{customdata[5]:.2f} s<extra>" + label + "</extra>",
            )
        )
    firsts = rows.groupby("block")["row"].min()
    every = max(1, len(firsts) // 24)
    figure.update_yaxes(
        tickvals=firsts.to_numpy()[::every],
        ticktext=[f"block {block}" for block in firsts.index[::every]],
        range=[len(lanes) - 0.5, -0.5],
        title_text="lanes",
    )
    for first in firsts.to_numpy()[1:]:
        figure.add_hline(first - 0.5, line={"color": look.GREY, "width": 0.75}, opacity=0.5)
    figure.update_xaxes(title_text="seconds since the first trial started")
    figure.update_layout(barmode="overlay", bargap=0, uniformtext={"minsize": 9, "mode": "hide"})
    total = placed.attrs.get("total", len(placed))
    look.note(figure, look.shown_of(len(placed), total), f"{len(lanes):,} lanes", f"up to {duration(end)}")
    return figure.update_layout(showlegend=True)


def occupancy(
    busy: pd.DataFrame, *, lanes: int | None = None, share: float | None = None, height: int = 380
) -> go.Figure:
    """How many lanes held a trial over time, and how many trials ended a second.

    Args:
      busy: `seconds`, `lanes` and `ended`, as `vtune.store.summaries.busy` gives.
      lanes: how many there are; drawn as a line.
      share: lane-steps of live trials over those dispatched, for the note.
      height: of the figure, in pixels.

    Returns:
      The figure.
    """
    if busy.empty:
        return look.nothing(_EMPTY, height)
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.65, 0.35])
    look.styled(figure, height)
    figure.add_trace(
        go.Scatter(
            x=busy["seconds"],
            y=busy["lanes"],
            mode="lines",
            name="busy lanes",
            line={"color": look.BLUE, "width": 1.5, "shape": "hvh"},
            fill="tozeroy",
            fillcolor="rgba(53, 103, 207, 0.16)",
            hovertemplate="%{y:.1f} lanes busy at %{x:.1f} s<extra></extra>",
        ),
        row=1,
        col=1,
    )
    if lanes:
        figure.add_hline(lanes, line={"color": look.GREY, "width": 1.5, "dash": "dash"}, row=1, col=1)
    smooth = busy["ended"].rolling(max(1, len(busy) // 20), center=True, min_periods=1).mean()
    figure.add_trace(
        go.Scatter(
            x=busy["seconds"],
            y=smooth,
            mode="lines",
            name="trials ended a second",
            line={"color": look.ORANGE, "width": 2},
            hovertemplate="%{y:.3~g} trials a second at %{x:.1f} s<extra></extra>",
        ),
        row=2,
        col=1,
    )
    figure.update_xaxes(title_text="seconds since the first trial started", row=2, col=1)
    figure.update_yaxes(title_text="lanes", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="trials/s", rangemode="tozero", row=2, col=1)
    look.note(
        figure,
        f"dashed: all {lanes:,} lanes" if lanes else "",
        f"live trials did {share:.1%} of the lane-steps" if share is not None else "",
    )
    return figure
