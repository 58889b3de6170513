"""History: every trial's score in the order of the trials, and the best so far."""

import charts
import empty
import reads
import shell
import streamlit as st
import trial

from vtune.display.text import plain
from vtune.store.records import StudyRecord


def draw(study: StudyRecord) -> None:
    """The figure, as the options above it ask, and the trial that is open."""
    if not any(reads.progress(study)[state] for state in (*reads.ENDED, "running", "waiting")):
        empty.no_trials(study)
        return
    figure = reads.figure(study, "history", which, log=log, x="seconds" if timed else "trial")
    charts.pick(figure.update_layout(height=540), "history", "Scores of the trials and the best so far")
    if trial.opened() is None:
        st.caption("Click a dot to open its trial.")
    trial.panel(study)


study = shell.chosen()
shell.header(study, "History", "every trial, and the best so far")
names = [name for name, _ in study.objectives] or ["score"]
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    which = 0
    if len(names) > 1:
        chosen = st.selectbox("Objective", names, key="objective", format_func=plain, width=220, bind="query-params")
        which = names.index(chosen)
    log = st.segmented_control("Score axis", ["linear", "log"], default="linear", required=True, key="axis",
                               bind="query-params") == "log"  # fmt: skip
    timed = st.segmented_control("Along", ["trials", "time"], default="trials", required=True, key="along",
                                 bind="query-params") == "time"  # fmt: skip
shell.live(draw)
