"""History: every trial's score in the order of the trials, and the best so far."""

import reads
import shell
import streamlit as st

from vtune import plots
from vtune.store.records import StudyRecord


def draw(study: StudyRecord) -> None:
    """The figure, as the options above it ask."""
    metric, mode = shell.objective(study)
    frame = reads.frame(study)
    if frame.empty:
        shell.no_trials(study)
        return
    hover = reads.hyperparameters(study)[:12]
    shell.chart(plots.history(frame, mode, metric=metric, log=log, hover=hover, height=560), key="history")


shell.header(shell.chosen(), "History")
log = st.segmented_control("Score axis", ["linear", "log"], default="linear", key="history-axis") == "log"
shell.live(draw)
