"""Curves: how the best trials learned, beside all the others, and whether they over- or underfit."""

import pandas as pd
import reads
import shell
import streamlit as st

from vtune import plots
from vtune.analysis import best_trials, read_curve
from vtune.store.records import StudyRecord
from vtune.text import plain


def draw(study: StudyRecord) -> None:
    """The figure, and a reading of each of the best trials."""
    mode = shell.objective(study)[1]
    frame = reads.frame(study)
    if frame.empty:
        shell.no_trials(study)
        return
    best = best_trials(frame, mode, top)
    measurements = reads.sample(study, best["id"].to_numpy())
    if measurements.empty:
        shell.nothing("hourglass_top", "No measurements yet", f"The first come after {study.interval}.")
        return
    figure = plots.curves(
        measurements, frame, metric, mode=mode, top=top, log=log, companion=companion if paired else None, height=520
    )
    shell.chart(figure, key="curves")
    if best.empty:
        return
    st.subheader("What the curves say")
    by_trial = dict(iter(measurements.groupby("trial")))
    readings = [read_curve(by_trial.get(row.id, measurements[:0]), state=row.state) for row in best.itertuples()]
    table = pd.DataFrame(
        {
            "trial": best["id"].to_numpy(),
            "score": best["score"].to_numpy(),
            "verdict": [reading.verdict for reading in readings],
            "why": [reading.why for reading in readings],
            "gap": [reading.gap for reading in readings],
            "gradients": [reading.gradients for reading in readings],
        }
    )
    shell.table(table, wide=["why"])


study = shell.chosen()
shell.header(study, "Curves")
if not study.metrics:
    shell.nothing("show_chart", "No metrics yet", "The study has not said what it measures. This page fills by itself.")
    st.stop()
first = shell.objective(study)[0]
names = sorted(study.metrics, key=lambda name: (name != first, name.startswith("train_")))
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    metric = st.selectbox("Metric", names, key="curves-metric", format_func=plain, width=260)
    top = st.slider("Best trials as lines", 1, 30, 10, key="curves-top", width=240)
    log = st.segmented_control("Axis", ["linear", "log"], default="linear", key="curves-axis") == "log"
    companion = f"train_{metric}"
    paired = companion in study.metrics and st.toggle("Training data, dotted", key="curves-train")
shell.live(draw)
