"""Trials: a table to sort and filter, and one trial in full."""

from typing import Any

import numpy as np
import pandas as pd
import reads
import shell
import streamlit as st

from vtune import plots
from vtune.analysis import read_curve
from vtune.records import TrialState
from vtune.space import Int, Space
from vtune.store.records import StudyRecord
from vtune.text import as_python, plain, short

ROWS = 1000
VERDICTS = {
    "converged": ("green", ":material/check_circle:"),
    "still improving": ("blue", ":material/trending_down:"),
    "overfitting": ("orange", ":material/call_split:"),
    "underfitting": ("orange", ":material/horizontal_rule:"),
    "unstable": ("orange", ":material/ssid_chart:"),
    "diverged": ("red", ":material/error:"),
    "too short": ("gray", ":material/more_horiz:"),
}


def filters(study: StudyRecord) -> dict[str, tuple[Any, ...]]:
    """Draws one filter a hyperparameter; returns those that were narrowed: name -> allowed values or (low, high)."""
    narrowed: dict[str, tuple[Any, ...]] = {}
    for name, parameter in space.items():
        key = f"filter-{study.id}-{name}"
        if hasattr(parameter, "low"):
            grid = np.geomspace if parameter.log else np.linspace
            points = np.unique(grid(float(parameter.low), float(parameter.high), 25))
            if len(points) < 2:
                continue
            ends = st.select_slider(name, list(points), (points[0], points[-1]), format_func=short, key=key)
            if ends != (points[0], points[-1]):
                narrowed[name] = ends
        else:
            options = st.multiselect(name, parameter.values, format_func=short, key=key)
            if options:
                narrowed[name] = tuple(options)
    return narrowed


def matching(frame: pd.DataFrame, states: list[str], narrowed: dict[str, tuple[Any, ...]]) -> pd.DataFrame:
    """The rows in one of the states (any if there are none) whose hyperparameters lie where the filters allow."""
    kept = frame[frame["state"].isin(states)] if states else frame
    for name, allowed in narrowed.items():
        if hasattr(space[name], "low"):
            values = kept[name].astype(float)
            air = 1e-9 * max(map(abs, allowed))
            kept = kept[(values >= allowed[0] - air) & (values <= allowed[1] + air)]
        else:
            kept = kept[kept[name].map(lambda value, allowed=allowed: value in allowed)]
    return kept


def select_trial() -> None:
    """Remembers, in the URL, the trial whose row was clicked, and the moment of the table that it was clicked in."""
    rows = st.session_state.trials.selection.rows
    if rows:
        st.query_params["trial"] = str(st.session_state.trial_ids[rows[0]])
        st.session_state.held = st.session_state.drawn
    else:
        st.query_params.pop("trial", None)


def opened() -> int | None:
    """The number of the trial in the URL."""
    asked = st.query_params.get("trial", "")
    return int(asked) if asked.isdecimal() else None


def draw(study: StudyRecord) -> None:
    """The table; while a trial is open it stands still, so that the rows do not move under the selection."""
    held = st.session_state.get("held")
    if opened() is not None and held is not None and held.id == study.id:
        study = held
    st.session_state.drawn = study
    frame = reads.frame(study)
    if frame.empty:
        shell.no_trials(study)
        return
    mode = shell.objective(study)[1]
    kept = matching(frame, states, narrowed)
    ordered = kept.sort_values(["score", "id"], ascending=[mode == "min", True], na_position="last").head(ROWS)
    st.session_state.trial_ids = ordered["id"].tolist()
    text = f"Showing {len(ordered):,} of {len(frame):,} trials, best first."
    st.caption(text if len(ordered) == len(kept) else f"{text} {len(kept):,} match: narrow the filters to see others.")
    names = reads.hyperparameters(study)
    columns = ["id", "state", "score", "step", *names, *study.metrics, "origin"]
    shell.table(ordered[columns], key="trials", on_select=select_trial, selection_mode="single-row", height=420)
    if opened() != number:
        st.rerun()


def detail(study: StudyRecord, number: int) -> None:
    """One trial in full."""
    frame = reads.frame(study)
    rows = frame[frame["id"] == number]
    if rows.empty:
        shell.nothing("search_off", f"There is no trial {number}", "Select another row above.")
        return
    row = rows.iloc[0]
    measurements = reads.curves(study, np.array([number]))
    config = {name: row[name] for name in reads.hyperparameters(study) if not missing(row[name])}
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(f"Trial {number}", anchor=False, width="content")
            st.badge(str(row["state"]), color=shell.TRIAL_COLORS[TrialState(row["state"])])
        reading = read_curve(measurements, state=row["state"])
        color, icon = VERDICTS[reading.verdict]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(reading.verdict, color=color, icon=icon)
            st.text(reading.why)
        left, right = st.columns([2, 3], gap="large")
        with left:
            facts = {"score": row["score"], "step": int(row["step"]), "origin": row["origin"] or None}
            shell.pairs("Configuration", config)
            shell.pairs("Last measurement", facts | {name: row[name] for name in study.metrics})
        with right:
            draw_curve(study, measurements)
        with st.expander("Copy as Python", icon=":material/content_copy:"):
            st.code(f"config = {as_python(python_values(config))}", language="python")


def draw_curve(study: StudyRecord, measurements: pd.DataFrame) -> None:
    """The curves of the trial: one metric, on validation and on training data."""
    if measurements.empty:
        shell.nothing("hourglass_top", "No measurements yet", f"The first come after {study.interval}.")
        return
    families = [
        name for name in study.metrics if name.removeprefix("train_") not in study.metrics or name[:6] != "train_"
    ]
    family = st.selectbox("Metric", families, key="trial-metric", format_func=plain)
    shell.chart(plots.curve(measurements, [family, f"train_{family}"], height=460), key="trial-curve")


def python_values(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration with plain Python values in place of NumPy's; whole numbers where the space has them."""
    whole = {name for name, parameter in space.items() if isinstance(parameter, Int)}
    plain_values = {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}
    return {name: int(value) if name in whole else value for name, value in plain_values.items()}


def missing(value: Any) -> bool:
    """Whether a cell of the frame is empty."""
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))


study = shell.chosen()
space = Space.from_json(study.space) if study.space else {}
shell.header(study, "Trials")
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    states = st.pills("State", [str(state) for state in TrialState], selection_mode="multi", key="states")
    with st.popover("Filter by hyperparameter", icon=":material/filter_alt:", width=280):
        narrowed = filters(study)
number = opened()
shell.live(draw, still=number is not None)
if number is None:
    st.caption("Select a row to see its configuration and its curves.")
else:
    detail(study, number)
