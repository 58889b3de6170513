"""Overview: how the chosen study stands, and all studies of the store."""

import html

import pandas as pd
import reads
import shell
import streamlit as st

from vtune import plots
from vtune.analysis import best_trials
from vtune.store.records import StudyRecord
from vtune.text import duration, plain, short


def facts(study: StudyRecord) -> None:
    """The figures at the top: done, best, speed, time and troubles."""
    progress = reads.progress(study)
    done, total = progress["done"], progress["total"]
    silent = study.state == "running" and not progress["alive"]
    left = progress["eta"]
    with st.container(horizontal=True):
        st.metric("Trials", f"{done:,} of {total:,}", border=True)
        st.metric("Best score", short(progress["best_score"]), border=True, help="Of the complete trials.")
        st.metric("Trials per second", short(progress["trials_per_second"], 3), border=True)
        if study.state == "running":
            st.metric("Time left", "about " + duration(left) if left is not None else "–", border=True)
        else:
            st.metric("Took", duration(progress["seconds"]), border=True)
        st.metric("Diverged", f"{progress['diverged']:,}", border=True)
        st.metric("Stopped early", f"{progress['stopped']:,}", border=True)
    st.progress(min(1.0, done / total) if total else 0.0)
    if silent:
        st.warning(
            f"Nothing was written for {duration(progress['heartbeat'])}: the process that ran this study may be gone. "
            "Run it again with resume=True; it goes on where it stopped.",
            icon=":material/heart_broken:",
        )


def draw(study: StudyRecord) -> None:
    """The chosen study: facts, history and the best trials."""
    metric, mode = shell.objective(study)
    shell.header(study, study.name)
    budget = f"{study.trials:,} trials of {study.length}"
    parts = [study.task, f"{metric} {mode}", study.proposer, study.scheduler or "no scheduler", budget]
    st.html(
        "<span style='opacity:.7'>"
        + " &nbsp;·&nbsp; ".join(html.escape(plain(part)) for part in parts if part)
        + "</span>"
    )
    facts(study)
    frame = reads.frame(study)
    if frame.empty:
        shell.no_trials(study)
        return
    names = reads.hyperparameters(study)
    shell.chart(plots.history(frame, mode, metric=metric, hover=names[:8], height=360), key="overview-history")
    best = best_trials(frame, mode, 5)
    st.subheader("Best trials")
    if best.empty:
        st.caption("No trial has a score yet.")
    else:
        shell.table(best[["id", "score", *names]])


def open_study() -> None:
    """Chooses the study of the row that was clicked."""
    rows = st.session_state.studies.selection.rows
    if rows:
        st.session_state.study = reads.studies()[rows[0]].name


def all_studies() -> None:
    """One row a study; a click opens it."""
    studies = reads.studies()
    progress = [reads.progress(study) for study in studies]
    table = pd.DataFrame(
        {
            "study": [plain(study.name) for study in studies],
            "state": [study.state for study in studies],
            "done": [100 * p["done"] / p["total"] if p["total"] else 0.0 for p in progress],
            "trials": [f"{p['done']:,} of {p['total']:,}" for p in progress],
            "best": [short(p["best_score"]) for p in progress],
            "objective": [plain(" ".join(shell.objective(study))) for study in studies],
            "begun": pd.to_datetime([study.created for study in studies], unit="s", utc=True),
        }
    )
    st.subheader("All studies")
    st.dataframe(
        table,
        hide_index=True,
        key="studies",
        on_select=open_study,
        selection_mode="single-row",
        column_config={
            "done": st.column_config.ProgressColumn("done", format="%.0f %%", min_value=0, max_value=100),
            "begun": st.column_config.DatetimeColumn("begun", format="distance"),
        },
    )


shell.live(draw)
if len(reads.studies()) > 1:
    all_studies()
