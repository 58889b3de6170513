"""Learning curves: the best trials as lines, all the others as bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from vtune.analysis import bands, best_trials
from vtune.display.text import short
from vtune.errors import ArgumentError
from vtune.plots import look

_BAND = "rgba(128, 136, 146, {})"
_ASKED = (look.GREEN, look.LILAC, look.RED, look.PLUM, look.BLUE)


def curves(
    measurements: pd.DataFrame,
    frame: pd.DataFrame,
    metric: str,
    *,
    mode: str = "min",
    top: int = 10,
    log: bool = False,
    companion: str | None = None,
    trials: Sequence[int] = (),
    max_points: int = 8000,
    height: int = 480,
) -> go.Figure:
    """Learning curves of the best trials, above quantile bands of the others.

    Args:
      measurements: one row a measurement, with `trial`, `step` and the metric. It may hold only some of the study's
        trials: the note in the figure says how many the bands stand for.
      frame: one row a trial, with `id`, `state` and `score`; it says which are best. `.attrs["total"]` is the number of
        the study's trials where the frame holds only some.
      metric: the column drawn.
      mode: "min" or "max", which scores are better.
      top: how many trials get a line of their own.
      log: whether the metric's axis is logarithmic.
      companion: a second column, drawn dotted in the same colours (the metric on the training data).
      trials: ids of trials that get a line besides the best.
      max_points: how many points all lines together may have; longer curves are thinned evenly.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: the measurements have no such metric, or `mode` is neither.

    >>> frame = pd.DataFrame({"id": [0, 1], "state": "complete", "score": [0.5, 0.25]})
    >>> lines = pd.DataFrame({"trial": [0, 0, 1, 1], "step": [1, 2, 1, 2], "loss": [1.0, 0.5, 0.9, 0.25]})
    >>> curves(lines, frame, "loss", top=1).data[-1].name
    '#1  0.25'
    """
    columns = [(metric, "solid")] + ([(companion, "dot")] if companion else [])
    for name, _ in columns:
        if name not in measurements.columns:
            known = [column for column in measurements.columns if column not in ("trial", "step")]
            raise ArgumentError(f"there is no metric {name!r} in these curves; there are {known}")
    best = best_trials(frame[frame["id"].isin(measurements["trial"].unique())], mode, top)
    asked = frame[frame["id"].isin(trials) & ~frame["id"].isin(best["id"])]
    chosen = measurements["trial"].isin(best["id"]) | measurements["trial"].isin(asked["id"])
    rest = measurements[~chosen]
    band = bands(rest, metric)
    figure = look.styled(go.Figure(), height)
    figure.update_layout(
        legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top", "title": {"text": "trial  score"}}
    )
    if len(band):
        _add_bands(figure, band, log)
    budget = max(2, max_points // max(1, (len(best) + len(asked)) * len(columns)))
    lines = dict(iter(measurements[chosen].sort_values("step").groupby("trial")))
    ranking = list(enumerate(zip(best["id"], best["score"], strict=True)))
    drawn = [
        (rank, trial, score, look.RAMP[round(rank * (len(look.RAMP) - 1) / max(1, len(ranking) - 1))], 1.75)
        for rank, (trial, score) in reversed(ranking)
    ]
    extra = zip(asked["id"], asked["score"], strict=True)
    drawn += [
        (1001 + place, trial, score, _ASKED[place % len(_ASKED)], 3.5)
        for place, (trial, score) in enumerate(extra)
        if trial in lines
    ]
    for rank, trial, score, color, thickness in drawn:
        width = 3.0 if rank == 0 else thickness
        for column, dash in columns:
            name = f"#{trial}  {short(float(score))}"
            trace = _line(lines[trial], column, budget, name, color=color, width=width, dash=dash)
            trace.update(legendrank=rank + 1, showlegend=dash == "solid", legendgroup=name)
            figure.add_trace(trace)
    values = np.concatenate(
        [measurements[chosen][name].to_numpy(np.float64) for name, _ in columns]
        + [band[share].to_numpy(np.float64) for share in (0.25, 0.75)]
    )
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    look.axes(figure, "step", metric, values, log=log)
    if len(values) and values.min() < values.max():
        look.limit(figure, float(values.min()), float(values.max()), log=log)
    others, total = rest["trial"].nunique(), frame.attrs.get("total", len(frame))
    sampled = others + len(best) + len(asked) < total
    look.note(
        figure,
        f"lines: best {len(best):,} of {total:,} trials",
        f"bands: middle 50 % and 80 % of {others:,}{' sampled' if sampled else ''} others" if others else "",
        f"dotted: {escaped}" if (escaped := look.escaped(companion or "")) else "",
    )
    return figure


def curve(
    measurements: pd.DataFrame, metrics: Sequence[str], *, log: bool = False, height: int | None = None
) -> go.Figure:
    """The curves of one trial: a panel a metric, with the same metric on the training data dotted beside it.

    Args:
      measurements: the measurements of one trial, with `step` and the metrics.
      metrics: the columns drawn; those that are missing are left out.
      log: whether the axes of the metrics are logarithmic.
      height: of the figure, in pixels; by the number of panels unless given.

    Returns:
      The figure.

    >>> lines = pd.DataFrame({"step": [1, 2], "loss": [1.0, 0.5], "train_loss": [0.9, 0.2]})
    >>> [trace.name for trace in curve(lines, ["loss", "train_loss"]).data]
    ['loss', 'train_loss']
    """
    lines = measurements.sort_values("step")
    panels: dict[str, list[str]] = {}
    for name in metrics:
        if name in lines.columns and np.isfinite(lines[name].to_numpy(np.float64)).any():
            panels.setdefault(name.removeprefix("train_"), []).append(name)
    if not panels:
        return look.nothing("This trial has not been measured yet.", 320)
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = make_subplots(rows, columns, shared_xaxes=True, horizontal_spacing=0.1, vertical_spacing=0.16 / rows)
    look.styled(figure, height if height is not None else 130 + 190 * rows)
    for index, (panel, names) in enumerate(panels.items()):
        row, column = index // columns + 1, index % columns + 1
        drawn = lines[names].to_numpy(np.float64).ravel()
        figure.update_yaxes(
            title_text=look.escaped(panel), row=row, col=column, **(look.log_axis(drawn) if log else {})
        )
        for name in sorted(names, key=lambda name: name.startswith("train_")):
            trained = name.startswith("train_")
            color, dash = (look.ORANGE, "dot") if trained else (look.BLUE, "solid")
            trace = _line(lines, name, 1000, look.escaped(name), color=color, width=2.25, dash=dash)
            figure.add_trace(trace.update(showlegend=False), row=row, col=column)
        if index >= len(panels) - columns:
            figure.update_xaxes(title_text="step", showticklabels=True, row=row, col=column)
    trained = any(name.startswith("train_") for names in panels.values() for name in names)
    look.note(figure, "dotted: on the training data" if trained else "")
    return figure


def _line(
    lines: pd.DataFrame, column: str, budget: int, name: str, *, color: str, width: float, dash: str
) -> go.Scatter:
    finite = lines[np.isfinite(lines[column].to_numpy(np.float64))]
    ends = np.zeros(len(finite), bool)
    ends[[0, -1] if len(finite) else []] = True
    drawn = finite[look.thinned(np.ones(len(finite), bool), ends, budget)]
    return go.Scatter(
        x=drawn["step"],
        y=drawn[column],
        mode="lines" if len(drawn) > 1 else "markers",
        name=name,
        line={"color": color, "width": width, "dash": dash},
        marker={"color": color},
        hovertemplate=f"{name}<br>step %{{x}}<br>{look.escaped(column)} %{{y:.4g}}<extra></extra>",
    )


def _add_bands(figure: go.Figure, band: pd.DataFrame, log: bool) -> None:
    positive = band[band[0.1] > 0] if log else band
    quiet: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    for low, high, alpha in ((0.1, 0.9, 0.12), (0.25, 0.75, 0.2)):
        figure.add_trace(go.Scatter(x=positive.index, y=positive[low], **quiet))
        figure.add_trace(
            go.Scatter(x=positive.index, y=positive[high], fill="tonexty", fillcolor=_BAND.format(alpha), **quiet)
        )
    figure.add_trace(
        go.Scatter(
            x=positive.index,
            y=positive[0.5],
            mode="lines",
            name="others, median",
            line={"color": look.GREY, "width": 1.5, "dash": "dash"},
            customdata=positive["trials"],
            hovertemplate="median of %{customdata} others<br>step %{x}<br>%{y:.4g}<extra></extra>",
            legendrank=2001,
        )
    )
