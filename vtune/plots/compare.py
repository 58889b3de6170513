"""Several studies, or proposers, on one axis: how fast the best grows, where scores lie, when targets were reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.analysis.scores import check_mode
from vtune.analysis.scores import time_to_target as reached
from vtune.display.text import duration, short
from vtune.errors import ArgumentError
from vtune.plots import look

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def compare(
    runs: Mapping[str, pd.DataFrame],
    mode: str = "min",
    *,
    metric: str = "score",
    x: str = "trials",
    log: bool = False,
    log_x: bool = False,
    height: int = 440,
) -> go.Figure:
    """The best so far of several studies over trials or seconds.

    Args:
      runs: name -> trials that were the best of their time (`vtune.store.summaries.records`), with `score`, `trials`
        and `seconds`.
      mode: "min" or "max".
      metric: the name on the score axis.
      x: "trials" or "seconds".
      log: whether the score axis is logarithmic.
      log_x: whether the other axis is.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` or `x` is neither.

    >>> records = pd.DataFrame({"score": [0.5, 0.2], "trials": [1, 9], "seconds": [2.0, 30.0]})
    >>> [line.name for line in compare({"random": records, "gp": records}).data]
    ['random', 'gp']
    """
    check_mode(mode)
    if x not in ("trials", "seconds"):
        raise ArgumentError(f"x must be 'trials' or 'seconds'; got {x!r}")
    if not any(len(run) for run in runs.values()):
        return look.nothing("No trial is complete yet.", height)
    figure = look.styled(go.Figure(), height)
    drawn = []
    for (name, run), color, dash in _lines(runs):
        values, places = run["score"].to_numpy(np.float64), run[x].to_numpy(np.float64)
        kept = np.isfinite(values) & np.isfinite(places) & ((values > 0) | (not log)) & ((places > 0) | (not log_x))
        drawn.append(values[kept])
        figure.add_trace(
            go.Scatter(
                x=places[kept],
                y=values[kept],
                mode="lines",
                name=look.escaped(name),
                line={"shape": "hv", "color": color, "width": 2.5, "dash": dash},
                hovertemplate=f"{look.escaped(name)}<br>%{{x:,.4~g}} {x}<br>best %{{y:.4g}}<extra></extra>",
            )
        )
    values = np.concatenate(drawn)
    look.axes(figure, f"complete {x}" if x == "trials" else x, metric, values, log=log)
    if log_x:
        figure.update_xaxes(type="log")
    settled = [
        run["score"][run["trials"] >= 0.03 * run["trials"].max()].to_numpy(np.float64)
        for run in runs.values()
        if len(run)
    ]
    inside = np.concatenate(settled)
    inside = inside[(inside > 0) | (not log)]
    if len(inside) and inside.min() < inside.max():
        look.limit(figure, inside.min(), inside.max(), log=log)
    return figure.update_layout(showlegend=True)


def edf(
    runs: Mapping[str, pd.DataFrame], mode: str = "min", *, metric: str = "score", log: bool = False, height: int = 440
) -> go.Figure:
    """Which share of the complete trials scores as well as this or better, for one or several studies.

    Args:
      runs: name -> `score` and `share`, as `vtune.store.summaries.distribution` gives.
      mode: "min" or "max".
      metric: the name of the score.
      log: whether the score axis is logarithmic.
      height: of the figure, in pixels.

    Returns:
      The figure.

    Raises:
      ArgumentError: `mode` is neither.
    """
    check_mode(mode)
    if not any(len(run) for run in runs.values()):
        return look.nothing("No trial is complete yet.", height)
    figure = look.styled(go.Figure(), height)
    scores = np.concatenate([run["score"].to_numpy(np.float64) for run in runs.values()])
    for (name, run), color, dash in _lines(runs):
        total = run.attrs.get("total", len(run))
        share = run["share"] if mode == "min" else 1.0 - run["share"] + 1.0 / max(1, total)
        kept = (run["score"] > 0) | (not log)
        figure.add_trace(
            go.Scatter(
                x=run["score"][kept],
                y=share[kept],
                mode="lines",
                name=f"{look.escaped(name)}  ({total:,})",
                line={"shape": "hv" if mode == "min" else "vh", "color": color, "width": 2.5, "dash": dash},
                hovertemplate=f"%{{y:.1%}} of {total:,} trials reach %{{x:.4g}}<extra>{look.escaped(name)}</extra>",
            )
        )
    look.axes(figure, metric, "share of the complete trials", scores, log=False)
    figure.update_yaxes(tickformat=".0%", range=[-0.02, 1.02])
    if log:
        figure.update_xaxes(**look.log_axis(scores))
    better = "left" if mode == "min" else "right"
    edge = look.edge_of(scores[(scores > 0) | (not log)], mode, log)
    if np.isfinite(edge):
        best = np.nanmin(scores) if mode == "min" else np.nanmax(scores)
        ends = np.log10([best, edge]) if log else np.array([best, edge])
        figure.update_xaxes(range=sorted(ends + 0.04 * np.array([-1, 1]) * (ends[1] - ends[0])))
    look.note(figure, f"better lies to the {better}")
    return figure.update_layout(showlegend=True)


def time_to_target(
    runs: Mapping[str, pd.DataFrame],
    mode: str = "min",
    *,
    targets: Sequence[float] | None = None,
    metric: str = "score",
    x: str = "trials",
    height: int = 420,
) -> go.Figure:
    """How many trials, or seconds, each study needed to reach a target, for several targets.

    Args:
      runs: as in `compare`.
      mode: "min" or "max".
      targets: scores; unless given eight between where the studies began and the best of all, denser at the best.
      metric: the name of the score.
      x: "trials" or "seconds".
      height: of the figure, in pixels.

    Returns:
      The figure: a line a study, a point a target that it reached.

    Raises:
      ArgumentError: `mode` or `x` is neither.
    """
    check_mode(mode)
    if x not in ("trials", "seconds"):
        raise ArgumentError(f"x must be 'trials' or 'seconds'; got {x!r}")
    if not any(len(run) for run in runs.values()):
        return look.nothing("No trial is complete yet.", height)
    aims = _targets(runs, mode) if targets is None else np.asarray(targets, np.float64)
    figure = look.styled(go.Figure(), height)
    missed = 0
    for (name, run), color, dash in _lines(runs):
        found = [(aim, reached(run, float(aim), mode)) for aim in aims]
        missed += sum(hit is None for _, hit in found)
        points = [(aim, *hit) for aim, hit in found if hit is not None]
        figure.add_trace(
            go.Scatter(
                x=[point[1 if x == "trials" else 2] for point in points],
                y=[float(np.flatnonzero(aims == point[0])[0]) for point in points],
                mode="lines+markers",
                name=look.escaped(name),
                line={"color": color, "width": 2, "dash": dash},
                marker={"size": 9, "color": color},
                text=[f"{short(float(aim))} after {trials:,} trials, {duration(s)}" for aim, trials, s in points],
                hovertemplate=f"{look.escaped(metric)} %{{text}}<extra>{look.escaped(name)}</extra>",
            )
        )
    look.axes(figure, f"{x} until the target was reached", f"target {metric}", aims, log=False)
    figure.update_yaxes(tickvals=list(range(len(aims))), ticktext=[short(float(aim)) for aim in aims])
    figure.update_xaxes(**look.log_axis(np.concatenate([trace.x for trace in figure.data]).astype(np.float64)))
    look.note(figure, f"targets missed: {missed}" if missed else "")
    return figure.update_layout(showlegend=True)


def _targets(runs: Mapping[str, pd.DataFrame], mode: str) -> np.ndarray:
    firsts = [run["score"].iloc[0] for run in runs.values() if len(run)]
    lasts = [run["score"].iloc[-1] for run in runs.values() if len(run)]
    start, best = (max(firsts), min(lasts)) if mode == "min" else (min(firsts), max(lasts))
    return best + (start - best) * np.r_[np.geomspace(0.5, 0.01, 6), 0.0] if start != best else np.array([best])


def _lines(runs: Mapping[str, pd.DataFrame]) -> list[tuple[tuple[str, pd.DataFrame], str, str]]:
    return [
        (item, look.COLORS[i % len(look.COLORS)], DASHES[i % len(DASHES)])
        for i, item in enumerate(item for item in runs.items() if len(item[1]))
    ]
