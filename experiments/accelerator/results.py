"""The results file of the accelerator benchmark: a JSON line a point, each of which says where and when it was made."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots
from rich.table import Table

Point = dict[str, Any]
KEY = (
    "device", "jax", "dtype", "xla_flags", "matmul_precision", "flags", "small", "network", "driver", "asked_lanes",
)  # fmt: skip
"""What makes two points the same."""
STYLE = {
    "vtune": ("#3567cf", "solid"),
    "by hand, cheap generator": ("#e07812", "solid"),
    "by hand, threefry": ("#e07812", "dot"),
    "one by one, jitted once": ("#7d4e9e", "dash"),
    "matrix products alone": ("#858c94", "dash"),
    "vtune under ASHA": ("#3567cf", "dot"),
}


def key_of(point: Point) -> tuple[Any, ...]:
    return tuple(point.get(part) for part in KEY)


def read(path: Path) -> list[Point]:
    """Every whole line of a file; one that was torn by a crash is left out, and its point is measured again."""
    points = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            point = json.loads(line)
        except ValueError:
            continue
        if isinstance(point, dict):
            points.append(point)
    return points


def append(path: Path, point: Point) -> None:
    """Adds a line, on the disk when this returns; a torn one before it is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        else:
            torn = False
        file.write(b"\n" * torn + json.dumps(point).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def table(points: Iterable[Point], title: str) -> Table:
    shown = Table(title=title)
    for name in ("network", "driver"):
        shown.add_column(name, no_wrap=True)
    for name in ("lanes", "lane-steps/s", "whole study", "GFLOP/s", "compile s", "peak MiB", "states MiB", "full"):
        shown.add_column(name, justify="right")
    for point in points:
        if point["status"] != "ok":
            shown.add_row(point["network"], point["driver"], str(point["asked_lanes"]), point["status"])
            continue
        shown.add_row(
            point["network"] + (f" {point['flags']}" if point["flags"] else ""),
            point["driver"],
            f"{point['lanes']:,}" + (" (auto)" if point["asked_lanes"] == "auto" else ""),
            _number(point, "lane_steps_per_second"),
            _number(point, "whole_study_lane_steps_per_second"),
            _number(point, "flops_per_second", 1e9),
            _number(point, "compile_seconds", digits=1),
            _number(point, "peak_bytes", 2**20),
            _number(point, "forecast_bytes", 2**20, 1),
            _number(point, "occupancy", 0.01) + "%" if "occupancy" in point else "–",
        )
    return shown


def _number(point: Point, name: str, unit: float = 1.0, digits: int = 0) -> str:
    return f"{point[name] / unit:,.{digits}f}" if point.get(name) is not None else "–"


def figure(points: Iterable[Point], title: str) -> go.Figure:
    """Lane-steps a second against lanes, a panel a network."""
    good = [point for point in points if point["status"] == "ok" and not point["flags"]]
    networks = list(dict.fromkeys(point["network"] for point in good))
    drawn = make_subplots(cols=1, rows=max(1, len(networks)), subplot_titles=networks, vertical_spacing=0.06)
    for row, network in enumerate(networks, start=1):
        for driver, (color, dash) in STYLE.items():
            mine = [point for point in good if (point["network"], point["driver"]) == (network, driver)]
            mine.sort(key=lambda point: point["lanes"])
            drawn.add_scatter(
                x=[point["lanes"] for point in mine], y=[point["lane_steps_per_second"] for point in mine],
                name=driver, legendgroup=driver, showlegend=row == 1, mode="lines+markers",
                line={"color": color, "dash": dash}, row=row, col=1,
            )  # fmt: skip
    drawn.update_xaxes(type="log", title="lanes")
    drawn.update_yaxes(type="log", title="lane-steps a second")
    return drawn.update_layout(title=title, height=320 * max(1, len(networks)) + 120, legend_orientation="h")
