"""Trials: a table to sort and filter, linked to the charts, and one trial in full."""

from typing import Any

import charts
import empty
import filters
import pandas as pd
import reads
import shell
import streamlit as st
import tables
import trial

from vtune.records import TrialState
from vtune.store.records import StudyRecord

ROWS = 1000
TOGETHER = 12  # selected trials drawn together


def select() -> None:
    """Puts the trials whose rows were clicked into the URL, and remembers the table that they were clicked in."""
    rows = st.session_state[table].selection.rows
    chosen = [str(st.session_state.trial_ids[row]) for row in rows if row < len(st.session_state.trial_ids)]
    trial.close()
    st.query_params.pop("trials", None)
    if len(chosen) == 1:
        st.query_params["trial"] = chosen[0]
    elif chosen:
        st.query_params["trials"] = ",".join(chosen[:TOGETHER])
    st.session_state.held = st.session_state.drawn if chosen else None


def several() -> list[int]:
    """The trials that the URL names together."""
    asked = st.query_params.get("trials", "").split(",")
    return [int(number) for number in asked if number.isdecimal() and len(number) < 16][:TOGETHER]


def draw(study: StudyRecord) -> None:
    """The table; while trials are open it stands still, so that the rows do not move under the selection."""
    held = st.session_state.get("held")
    if still and held is not None and held.id == study.id:
        study = held
    st.session_state.drawn = study
    frame = reads.frame(study)
    if frame.empty:
        empty.no_trials(study)
        return
    if mapped:
        charts.pick(reads.figure(study, "history").update_layout(height=300), chart, "Scores of the trials")
    mode = shell.objective(study)[1]
    kept = filters.matching(frame, space, states, narrowed)
    if chosen := trial.boxed():
        kept = kept[kept["id"].isin(chosen)]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text("Only those that were selected in a chart.", width="content")
            st.button("Show all", icon=":material/close:", on_click=trial.unbox, key="unbox", type="tertiary")
    ordered = kept.sort_values(["score", "id"], ascending=[mode == "min", True], na_position="last").head(ROWS)
    st.session_state.trial_ids = ordered["id"].tolist()
    text = f"Showing {len(ordered):,} of {len(frame):,} trials, best first."
    more = f" {len(kept):,} match: narrow the filters to see others." if len(ordered) < len(kept) else ""
    st.caption(text + more)
    columns = ["id", "state", "score", "step", *reads.names(study), *study.metrics, "origin"]
    columns = list(dict.fromkeys(name for name in columns if name in ordered))
    settings: dict[str, Any] = {"on_select": select, "selection_mode": "multi-row", "height": 420}
    tables.table(ordered[columns], key=table, **settings)
    if (trial.opened(), several()) != (number, together):
        st.rerun()


def compared(study: StudyRecord) -> None:
    """Several trials beside each other: their curves, and where their configurations differ."""
    found = [each for each in (reads.trial(study, one) for one in together) if each is not None]
    if not found:
        empty.nothing("search_off", "None of these trials is there", "Select other rows above.")
        return
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(f"{len(found)} trials together", anchor=False, width="content")
            st.caption(f"Up to {TOGETHER} are drawn.")
        metric = shell.objective(study)[0]
        if metric in study.metrics:
            figure = reads.figure(study, "curves", metric, top=1, trials=tuple(each.id for each in found))
            charts.show(figure.update_layout(height=420), "together", "Learning curves of the selected trials")
        configs = pd.DataFrame([{"score": each.score, **each.config} for each in found])
        configs.index = [f"trial {each.id}" for each in found]
        different = [name for name in configs if configs[name].map(repr).nunique() > 1]
        tables.table(configs[different].reset_index(names="trial"))
        alike = {name: configs[name].iloc[0] for name in configs if name not in different}
        if alike:
            tables.pairs("The same in all", alike)


study = shell.chosen()
space = reads.space(study) or {}
chart, table = f"map-{study.id}", f"trials-{study.id}"
shell.header(study, "Trials", "sort, filter, select")
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    options = [str(state) for state in TrialState]
    states = st.pills("State", options, selection_mode="multi", key="states", bind="query-params")
    with st.popover("Filter by hyperparameter", icon=":material/filter_alt:", width=280):
        narrowed = filters.by_hyperparameter(space) if space else {}
        if not space:
            st.caption("The study has no space.")
    mapped = st.toggle("Chart", key="chart", bind="query-params", help="A click on a dot opens its trial.")
number, together = trial.opened(), several()
still = number is not None or bool(together)
shell.live(draw, still=still)
if number is not None:
    trial.detail(study, number)
elif together:
    compared(study)
else:
    st.caption("Select a row to see its trial, or several to see them together.")
