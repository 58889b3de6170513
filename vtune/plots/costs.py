"""Where the time went: tracing, compiling and running, by program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from vtune.analysis import programs
from vtune.display.text import short
from vtune.plots import look

MOST = 20


def costs(report: Mapping[str, Any], steps: float = 0.0) -> go.Figure:
    """What each program cost to trace and to compile, against what its trials cost to train.

    Args:
      report: `StudyRecord.report`, or `Explanation.to_json()`.
      steps: mean steps of a trial (`StudyRecord.steps`); running seconds are estimated from them.

    Returns:
      The figure.
    """
    table = programs(report)
    if table.empty:
        return look.nothing("No program has been traced yet.")
    table["run"] = (table["trials"] * steps * table["step"] / 1e3).fillna(0.0)
    table[["trace", "compile"]] = table[["trace", "compile"]].fillna(0.0)
    table["total"] = table[["trace", "compile", "run"]].sum(axis=1)
    shown = table.nlargest(MOST, "total").sort_values("program", ascending=False)
    names = [f"program {number}" for number in shown["program"]]
    figure = look.styled(go.Figure(), 130 + 34 * len(shown))
    parts = (("trace", look.LILAC, "/"), ("compile", look.ORANGE, "x"), ("run", look.BLUE, ""))
    for name, color, pattern in parts:
        figure.add_trace(
            go.Bar(
                x=shown[name],
                y=names,
                orientation="h",
                name="run (trials x steps)" if name == "run" else name,
                marker={"color": color, "opacity": 0.85, "pattern": look.pattern(pattern)},
                width=0.62,
                customdata=[
                    (look.escaped(guards), trials, short(step, 3))
                    for guards, trials, step in shown[["guards", "trials", "step"]].itertuples(index=False)
                ],
                hovertemplate=f"%{{y}}: {name} %{{x:.2f}} s<br>%{{customdata[1]:,}} trials, %{{customdata[2]}} ms a "
                "lane-step<br>%{customdata[0]}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="thread-seconds")
    figure.update_layout(barmode="stack", showlegend=True, legend={"traceorder": "normal"})
    seconds, padded = report.get("seconds") or {}, report.get("padded_share")
    look.note(
        figure,
        look.shown_of(len(shown), len(table), "programs"),
        f"whole study {seconds['total']:,.1f} s" if "total" in seconds else "",
        f"{padded:.0%} of the work is padding" if padded is not None else "",
    )
    return figure
