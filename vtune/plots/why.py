"""Why trials were proposed: what the model expected and what came, how much it still expected, who proposed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis import Room, calibration
from vtune.analysis.scores import check_mode
from vtune.display.text import short
from vtune.plots import look

_SILENT = "The proposer of this study does not say what it expects."


def predictions(
    proposals: pd.DataFrame, mode: str = "min", *, metric: str = "score", max_points: int = 3000, height: int = 440
) -> go.Figure:
    """What a model expected of each trial that it proposed against what came; on the diagonal it was right.

    Args:
      proposals: one row a trial, with `trial`, `state`, `score`, `mean` and `deviation`, as
        `vtune.store.summaries.proposals` gives. The mean is what the proposer saw: lower is better, whatever the mode.
      mode: "min" or "max".
      metric: the name of the score.
      max_points: how many dots at most.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` is neither.
    """
    check_mode(mode)
    expected = proposals["mean"].to_numpy(np.float64) * (1.0 if mode == "min" else -1.0)
    came = proposals["score"].to_numpy(np.float64)
    over = (proposals["state"] == "complete").to_numpy(bool)
    known = np.isfinite(expected) & np.isfinite(came) & over
    if not np.isfinite(expected).any():
        return look.nothing(_SILENT, height)
    if not known.any():
        return look.nothing("No trial that was predicted is complete yet.", height)
    shown = look.thinned(known, np.zeros(len(known), bool), max_points)
    rows = proposals[shown].rename(columns={"trial": "id"})
    figure = look.styled(go.Figure(), height)
    figure.add_trace(look.diagonal(np.r_[expected[known], came[known]], "as expected"))
    dots = look.dots(rows, expected[shown], came[shown], "trials", "circle", look.BLUE, size=6, hover=["deviation"])
    dots.update(
        marker={
            "color": rows["id"].to_numpy(),
            "colorscale": [[0, look.LILAC], [1, look.ORANGE]],
            "colorbar": {"title": {"text": "trial"}, "outlinewidth": 0, "thickness": 12},
        },
        showlegend=False,
        hovertemplate="%{text}<br>expected %{x:.4g}<br>came %{y:.4g}<extra></extra>",
    )
    figure.add_trace(dots)
    look.axes(figure, f"expected {metric}", f"{metric} that came", came[known], log=False)
    total = proposals.attrs.get("total", len(proposals))
    spread = proposals["deviation"].to_numpy(np.float64)
    look.note(
        figure,
        calibration(expected[known], spread[known], came[known]).why,
        look.shown_of(int(shown.sum()), int(known.sum()) if total <= len(proposals) else total),
        width=70,
    )
    return figure


def gain(proposals: pd.DataFrame, *, max_points: int = 3000, height: int = 340) -> go.Figure:
    """How much improvement the model expected of each trial that it proposed: it falls as there is less left to find.

    What was proposed for a neglected branch of the space promised little and is left out.

    Args:
      proposals: one row a trial, with `trial`, `gain` and `neglected`, as `vtune.store.summaries.proposals` gives.
      max_points: how many dots at most.
      height: of the figure, in pixels.

    Returns:
      The figure.
    """
    values = proposals["gain"].to_numpy(np.float64)
    known = np.isfinite(values) & (values > 0)
    if "neglected" in proposals:
        known &= ~proposals["neglected"].to_numpy(bool)
    if not known.any():
        return look.nothing(_SILENT, height)
    shown = look.thinned(known, np.zeros(len(known), bool), max_points)
    ordered = proposals[known].sort_values("trial")
    smooth = ordered["gain"].rolling(max(5, len(ordered) // 30), center=True, min_periods=1).median()
    rows = proposals[shown].rename(columns={"trial": "id"})
    figure = look.styled(go.Figure(), height)
    figure.add_trace(
        look.dots(rows, rows["id"], rows["gain"], "a proposal", "circle", look.GREY, size=5, hover=["gain"])
    )
    figure.add_trace(
        go.Scatter(
            x=ordered["trial"],
            y=smooth,
            mode="lines",
            name="running median",
            line={"color": look.ORANGE, "width": 2.5},
            hoverinfo="skip",
        )
    )
    models = set(proposals[known]["model"]) if "model" in proposals else set()
    unit = "log likelihood ratio of good to other trials" if models == {"tpe"} else "in deviations of the scores"
    look.axes(figure, "trial", "expected gain", values[known], log=True)
    look.note(figure, unit, look.shown_of(int(shown.sum()), int(known.sum()), "proposals"))
    return figure


def origins(table: pd.DataFrame, *, metric: str = "score") -> go.Figure:
    """Who proposed how many trials, and what became of them.

    Args:
      table: `origin`, `trials`, `complete`, `diverged`, `best` and `mean`, as `vtune.store.summaries.by_origin` gives.
      metric: the name of the score.

    Returns:
      The figure.
    """
    if table.empty:
        return look.nothing("No trial yet.")
    rows = table.iloc[::-1]
    names = [look.escaped(name) or "unknown" for name in rows["origin"]]
    other = rows["trials"] - rows["complete"] - rows["diverged"]
    figure = look.styled(go.Figure(), 140 + 44 * len(rows))
    for part, label, color, pattern in (
        (rows["complete"], "complete", look.BLUE, ""),
        (rows["diverged"], "diverged", look.RED, "x"),
        (other, "stopped, running or failed", look.GREY, "/"),
    ):
        figure.add_trace(
            go.Bar(
                x=part,
                y=names,
                orientation="h",
                name=label,
                width=0.6,
                marker={"color": color, "opacity": 0.85, "pattern": look.pattern(pattern)},
                hovertemplate=f"%{{y}}: %{{x:,}} {label}<extra></extra>",
            )
        )
    for name, total, best in zip(names, rows["trials"], rows["best"], strict=True):
        figure.add_annotation(
            x=total, y=name, text=f" best {look.escaped(metric)} {short(float(best))}", showarrow=False, xanchor="left"
        )
    figure.update_xaxes(title_text="trials", range=[0, 1.3 * float(rows["trials"].max())])
    return figure.update_layout(barmode="stack", showlegend=True, legend={"traceorder": "normal"})


def room(records: pd.DataFrame, left: Room | None, *, metric: str = "score", height: int = 400) -> go.Figure:
    """The best so far, and where it is likely to go with more trials like these.

    Args:
      records: trials that were the best of their time (`vtune.store.summaries.records`).
      left: what `vtune.analysis.room_left` says.
      metric: the name of the score.
      height: of the figure, in pixels.

    Returns:
      The figure.
    """
    if left is None or records.empty:
        return look.nothing("It takes twenty complete trials to say what more of them would bring.", height)
    done = int(records["trials"].iloc[-1])
    ahead = np.r_[done, done + left.after]
    figure = look.styled(go.Figure(), height)
    for values, settings in (
        (np.r_[left.best, left.path_low], {"line": {"width": 0}, "showlegend": False}),
        (
            np.r_[left.best, left.path_high],
            {
                "line": {"width": 0},
                "fill": "tonexty",
                "fillcolor": "rgba(224, 120, 18, 0.2)",
                "name": "nine chances in ten",
            },
        ),
    ):
        figure.add_trace(go.Scatter(x=ahead, y=values, mode="lines", hoverinfo="skip", **settings))
    figure.add_trace(
        go.Scatter(
            x=ahead,
            y=np.r_[left.best, left.path],
            mode="lines",
            name="likely",
            line={"color": look.ORANGE, "width": 2.5, "dash": "dash"},
            hovertemplate="after %{x:,} trials: likely %{y:.4g}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=records["trials"],
            y=records["score"],
            mode="lines",
            name="best so far",
            line={"shape": "hv", "color": look.BLUE, "width": 2.5},
            hovertemplate="after %{x:,} trials: best %{y:.4g}<extra></extra>",
        )
    )
    late = records["score"][records["trials"] >= max(2, done // 50)].to_numpy(np.float64)
    look.axes(figure, "complete trials", metric, late, log=False)
    values = np.r_[late, left.path, left.path_low, left.path_high]
    look.limit(figure, float(values.min()), float(values.max()), log=False)
    look.note(figure, look.escaped(left.why), f"chance of anything better: {left.chance:.0%}")
    return figure
