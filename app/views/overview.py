"""Overview: how the chosen study stands, and all studies of the store."""

import html

import charts
import empty
import pandas as pd
import reads
import shell
import streamlit as st
import trial

from vtune.display.text import duration, plain, short
from vtune.store.records import StudyRecord

MOST = 50  # studies listed with their progress


def facts(study: StudyRecord) -> None:
    """The figures at the top: done, best, speed, time and troubles."""
    progress = reads.progress(study)
    done, total = progress["done"], progress["total"]
    left = progress["eta"]
    trouble = {"Diverged": "diverged", "Stopped early": "stopped", "Failed": "failed"}
    with st.container(horizontal=True):
        st.metric("Trials", f"{done:,} of {total:,}", border=True)
        best = progress["best_trial"]
        where = "Of the complete trials." if best is None else f"Trial {best}, of the complete ones."
        st.metric("Best score", short(progress["best_score"]), border=True, help=where)
        st.metric("Trials per second", short(progress["trials_per_second"], 3), border=True)
        if study.state == "running":
            st.metric("Time left", "about " + duration(left) if left is not None else "–", border=True)
        else:
            st.metric("Took", duration(progress["seconds"]), border=True)
        for label, state in trouble.items():
            if progress[state] or state == "diverged":
                st.metric(label, f"{progress[state]:,}", border=True)
    if study.state == "running":
        st.progress(min(1.0, done / total) if total else 0.0)


def draw(study: StudyRecord) -> None:
    """The chosen study: facts, history and the best trials."""
    objectives = " and ".join(f"{name} {mode}" for name, mode in study.objectives)
    budget = f"{study.trials:,} trials of {study.length}"
    parts = [study.task, objectives, study.proposer, study.scheduler or "no scheduler", budget]
    shell.header(study, study.name)
    st.html("<span class='vtune-sub'>" + " &nbsp;·&nbsp; ".join(html.escape(plain(p)) for p in parts if p) + "</span>")
    shell.silent(study)
    facts(study)
    if not any(reads.progress(study)[state] for state in (*reads.ENDED, "running", "waiting")):
        empty.no_trials(study)
        return
    charts.pick(reads.figure(study, "history"), "overview-history", "Scores of the trials and the best so far")
    trial.panel(study)
    st.subheader("Best trials", anchor=False)
    best = reads.best(study, 5)
    if not best:
        st.caption("No trial has a score yet.")
        return
    names = [name for name, _ in study.objectives[1:]]
    rows = [{"id": t.id, "score": t.score} | {n: t.metrics.get(n) for n in names} | dict(t.config) for t in best]
    columns = dict.fromkeys(["id", "score", *names, *reads.names(study), *rows[0]])
    trial.table(pd.DataFrame(rows, columns=list(columns)), [t.id for t in best], "best")


def open_study() -> None:
    """Chooses the study of the row that was clicked."""
    rows = st.session_state.studies.selection.rows
    if rows:
        shell.choose(reads.studies()[rows[0]].id)


def all_studies() -> None:
    """One row a study; a click opens it."""
    every = reads.studies()
    studies = every[:MOST]
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
    st.subheader("All studies", anchor=False)
    shown = f"Showing the newest {len(studies):,} of {len(every):,}. " if len(every) > len(studies) else ""
    st.caption(f"{shown}Select a row to open the study.")
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
