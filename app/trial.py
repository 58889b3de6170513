"""One trial in full: what it was, what became of it and why, its curves, and ways to go on from it."""

from __future__ import annotations

import functools
from typing import Any

import charts
import empty
import numpy as np
import pandas as pd
import reads
import shell
import streamlit as st
import tables

from vtune.analysis import read_curve
from vtune.display.text import as_python, plain, short
from vtune.records import Trial
from vtune.report import again_in_words
from vtune.store.records import StudyRecord

VERDICTS = {
    "converged": ("green", ":material/check_circle:"),
    "still improving": ("blue", ":material/trending_up:"),
    "overfitting": ("orange", ":material/call_split:"),
    "underfitting": ("orange", ":material/horizontal_rule:"),
    "unstable": ("orange", ":material/ssid_chart:"),
    "diverged": ("red", ":material/error:"),
    "too short": ("gray", ":material/more_horiz:"),
}


def opened() -> int | None:
    """The number of the trial in the URL."""
    asked = st.query_params.get("trial", "")
    return int(asked) if asked.isdecimal() and len(asked) < 16 else None


def close() -> None:
    """Takes the trial out of the URL."""
    st.query_params.pop("trial", None)


def boxed() -> list[int]:
    """The trials that a box in a chart selected."""
    asked = st.query_params.get("boxed", "").split(",")
    return [int(number) for number in asked if number.isdecimal() and len(number) < 16]


def unbox() -> None:
    """Lets the selected trials go."""
    st.query_params.pop("boxed", None)


def table(frame: pd.DataFrame, trials: list[int], key: str, **settings: Any) -> None:
    """Shows a table with a row a trial; the one whose row is selected is open.

    Args:
      frame: what to show; see `tables.table`.
      trials: the number of each row's trial.
      key: of the table in the session.
      **settings: further arguments of `tables.table`.
    """
    st.session_state[f"{key}_trials"] = trials
    select = functools.partial(_select, key)
    tables.table(frame, key=key, on_select=select, selection_mode="single-row", **settings)


def _select(key: str) -> None:
    rows = st.session_state[key].selection.rows
    if rows:
        st.query_params["trial"] = str(st.session_state[f"{key}_trials"][rows[0]])
    else:
        close()


def panel(study: StudyRecord) -> None:
    """The trial that is open, below the charts from which it was opened; nothing if none is."""
    if chosen := boxed():
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"{len(chosen):,} trials selected in the chart", width="content")
            there = {"study": str(study.id), "boxed": st.query_params["boxed"]}
            st.page_link("views/trials.py", label="List them", icon=":material/table_rows:", query_params=there)
            st.button("Let go", icon=":material/close:", on_click=unbox, key="unbox", type="tertiary")
    number = opened()
    if number is not None:
        detail(study, number)


def detail(study: StudyRecord, number: int) -> None:
    """One trial in full."""
    found = reads.trial(study, number)
    if found is None:
        empty.nothing("search_off", f"There is no trial {number}", "Open another one, or wait until it is there.")
        return
    measurements = reads.curves(study, [number])
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(f"Trial {number}", anchor=False, width="content")
            st.badge(str(found.state), color=shell.TRIAL_COLORS[found.state])
            st.space("stretch")
            here = {"study": str(study.id), "from": str(number)}
            if study.space:
                st.page_link("views/manual.py", label="Vary it", icon=":material/edit_note:", query_params=here)
            st.button("Close", icon=":material/close:", on_click=close, key="close-trial", type="tertiary")
        _verdict(found, measurements)
        left, right = st.columns([2, 3], gap="large")
        with left:
            tables.pairs("Configuration", dict(found.config))
            st.space("small")
            origin = {"step": f"{found.step:,}", "proposed by": found.origin or None}
            tables.pairs("Last measurement", {"score": found.score, **found.metrics, **origin})
        with right:
            _curve(study, found, measurements)
        with st.expander("Copy as Python", icon=":material/content_copy:"):
            st.code(f"config = {as_python(python_values(found.config))}", language="python")


def python_values(config: Any) -> dict[str, Any]:
    """A configuration with plain Python values in place of NumPy's."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in config.items()}


def _verdict(found: Trial, measurements: pd.DataFrame) -> None:
    reading = read_curve(measurements, state=str(found.state))
    color, icon = VERDICTS[reading.verdict]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(reading.verdict, color=color, icon=icon)
        st.text(reading.why)
    if found.rerun is not None:
        st.text(again_in_words(found.id, found.rerun))
    if found.error:
        st.code(plain(found.error), language=None, wrap_lines=True)


def _curve(study: StudyRecord, found: Trial, measurements: pd.DataFrame) -> None:
    if measurements.empty:
        empty.no_measurements(study)
        return
    metrics = [n for n in study.metrics if not (n.startswith("train_") and n.removeprefix("train_") in study.metrics)]
    first = shell.objective(study)[0]
    family = st.selectbox(
        "Metric", metrics, metrics.index(first) if first in metrics else 0, key="trial-metric", format_func=plain
    )
    drawn = [name for name in (family, f"train_{family}") if name in study.metrics]
    figure = reads.figure(study, "curve", found.id, tuple(drawn))
    charts.show(figure, "trial-curve", f"Learning curve of trial {found.id}: {plain(family)} {short(found.score)}")
