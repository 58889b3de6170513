"""What matters: bars of importance with their confidence, and a map of interactions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from vtune.plots import look

_FEW = "Importance needs at least ten trials with a score."


def importance(table: pd.DataFrame, *, method: str = "ped-anova", trials: int | None = None) -> go.Figure:
    """How much each hyperparameter matters by itself, as bars with the interval that the trials allow.

    Args:
      table: what `vtune.analysis.importance` gives.
      method: how it was found, for the note.
      trials: from how many trials, for the note.

    Returns:
      The figure.

    >>> table = pd.DataFrame({"parameter": ["lr"], "importance": [1.0], "low": [0.9], "high": [1.0], "active": [1.0]})
    >>> importance(table).data[0].x.tolist()
    [1.0]
    """
    if table.empty:
        return look.nothing(_FEW)
    rows = table.iloc[::-1]
    names = [look.escaped(name) for name in rows["parameter"]]
    figure = look.styled(go.Figure(), 110 + 34 * len(rows))
    share = rows["importance"].to_numpy(np.float64)
    figure.add_trace(
        go.Bar(
            x=share,
            y=names,
            orientation="h",
            marker={"color": look.BLUE, "opacity": 0.85},
            width=0.62,
            error_x={
                "type": "data",
                "array": np.maximum(rows["high"] - share, 0.0),
                "arrayminus": np.maximum(share - rows["low"], 0.0),
                "color": look.GREY,
                "thickness": 1.5,
                "width": 5,
            },
            customdata=rows[["low", "high", "active"]].to_numpy(),
            hovertemplate="%{y}: %{x:.1%}<br>nine chances in ten: %{customdata[0]:.1%} to %{customdata[1]:.1%}"
            "<br>active in %{customdata[2]:.0%} of the trials<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="share of the importance", tickformat=".0%", rangemode="tozero")
    said = {"ped-anova": "PED-ANOVA: what sets the best tenth apart", "fanova": "fANOVA: what the score varies with"}
    look.note(figure, said.get(method, look.escaped(method)), f"{trials:,} trials" if trials is not None else "")
    return figure


def interactions(table: pd.DataFrame) -> go.Figure:
    """Which pairs of hyperparameters matter together: single shares on the diagonal, pairs below it.

    Args:
      table: what `vtune.analysis.interactions` gives.

    Returns:
      The figure.
    """
    if table.empty:
        return look.nothing(_FEW)
    alone = table[table["first"] == table["second"]]
    names = alone.sort_values("importance", ascending=False)["first"].tolist()
    place = {name: i for i, name in enumerate(names)}
    shares = np.full((len(names), len(names)), np.nan)
    for first, second, share in table[["first", "second", "importance"]].itertuples(index=False):
        i, j = sorted((place[first], place[second]))
        shares[j, i] = share
    labels = [look.escaped(name) for name in names]
    darkest = max(0.2, float(np.nanmax(shares)))
    figure = look.styled(go.Figure(), 150 + 42 * len(names))
    figure.add_trace(
        go.Heatmap(
            z=shares,
            x=labels,
            y=labels,
            colorscale=[[0, "rgba(53, 103, 207, 0.04)"], [1, look.BLUE]],
            zmin=0,
            zmax=darkest,
            showscale=False,
            xgap=2,
            ygap=2,
            hoverongaps=False,
            hovertemplate="%{y} with %{x}: %{z:.1%} of the variance<extra></extra>",
        )
    )
    for strong, font in ((True, {"color": "#ffffff"}), (False, {})):
        rows, columns = np.nonzero(np.isfinite(shares) & ((shares > 0.6 * darkest) == strong))
        told = [f"{share:.0%}" if share >= 0.005 else "·" for share in shares[rows, columns]]
        figure.add_trace(
            go.Scatter(
                x=[labels[i] for i in columns],
                y=[labels[i] for i in rows],
                text=told,
                mode="text",
                textfont=font,
                hoverinfo="skip",
                showlegend=False,
            )
        )
    figure.update_yaxes(autorange="reversed", showgrid=False).update_xaxes(showgrid=False)
    rest = 1.0 - float(table["importance"].sum())
    look.note(figure, "diagonal: alone; below: both together", f"three and more: {max(0.0, rest):.0%}")
    return figure
