"""Curves: how the best trials learned beside all the others, and whether they over- or underfit."""

import charts
import empty
import pandas as pd
import reads
import shell
import streamlit as st
import trial

from vtune.analysis import read_curves
from vtune.display.text import plain
from vtune.store.records import StudyRecord


def draw(study: StudyRecord) -> None:
    """The figure, and a reading of each of the best trials."""
    best = reads.best(study, top)
    number = trial.opened()
    measured = reads.curves(study, [found.id for found in best])
    if measured.empty:
        empty.no_measurements(study) if study.clock else empty.no_trials(study)
        return
    if view == "fit":
        figure = reads.figure(study, "generalization", log=log)
        charts.pick(figure.update_layout(height=540), "fit", "Training against validation at the end of each trial")
    else:
        extra = () if number is None else (number,)
        options = {"top": top, "trials": extra, "log": log, "companion": "auto" if paired else None}
        figure = reads.figure(study, "curves", metric, **options)
        charts.show(figure.update_layout(height=540), "curves", f"Learning curves of the {len(best)} best trials")
    trial.panel(study)
    readings(best, measured)


def readings(best: list, measured: pd.DataFrame) -> None:
    """What the curves of the best trials say, one row each; a selected row opens the trial."""
    frame = pd.DataFrame({"id": [t.id for t in best], "state": [str(t.state) for t in best]})
    told = read_curves(measured, frame).merge(
        pd.DataFrame({"trial": [t.id for t in best], "score": [t.score for t in best]}), on="trial"
    )
    told = told.set_index("trial").loc[[t.id for t in best if t.id in set(told["trial"])]].reset_index()
    st.subheader("What the curves say", anchor=False)
    columns = ["trial", "score", "verdict", "why", "gap", "trend", "gradients"]
    trial.table(told[columns], told["trial"].tolist(), "readings", wide=["why"])


study = shell.chosen()
shell.header(study, "Curves", "how trials learned")
if not study.metrics:
    empty.nothing("show_chart", "No metrics yet", "The study has not said what it measures. This page fills by itself.")
    st.stop()
first = shell.objective(study)[0]
names = sorted(study.metrics, key=lambda name: (name != first, name.startswith("train_")))
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    view = st.segmented_control("View", ["curves", "fit"], default="curves", required=True, key="view",
                                bind="query-params")  # fmt: skip
    if view == "curves":
        metric = st.selectbox("Metric", names, key="metric", format_func=plain, width=180, bind="query-params")
    top = st.slider("Best trials", 1, 30, 10, key="top", width=160, bind="query-params")
    log = st.segmented_control("Axis", ["linear", "log"], default="linear", required=True, key="axis",
                               bind="query-params") == "log"  # fmt: skip
    if view == "curves":
        paired = f"train_{metric}" in study.metrics and st.toggle("Training", key="training", bind="query-params")
shell.live(draw)
