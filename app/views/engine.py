"""Engine: which trial sat in which lane, how busy the lanes were, and what the programs are and cost."""

import charts
import empty
import reads
import shell
import streamlit as st
import tables
import trial

from vtune import analysis
from vtune.display.text import duration, plain
from vtune.report import Explanation
from vtune.store.records import StudyRecord

UNITS = {"trace": "trace s", "compile": "compile s", "step": "ms a lane-step", "kib": "KiB a lane"}


def facts(study: StudyRecord, told: Explanation) -> None:
    """The figures at the top."""
    run, made = told.seconds.get("device"), told.seconds.get("trace", 0.0) + told.seconds.get("compile", 0.0)
    values = {
        "Lanes": (f"{told.lanes:,}", f"in blocks of {told.block}, {told.threads} threads"),
        "Occupied": ("–" if told.occupancy is None else f"{told.occupancy:.1%}", "live lane-steps of all dispatched"),
        "Programs": (f"{len(told.programs):,}", f"the space may need {told.possible:,}"),
        "Compiling": (duration(made), "tracing and compiling, summed over threads"),
        "Training": (duration(run), "on the device, a thread"),
        "State": (f"{told.memory_bytes / 2**20:,.1f} MiB", "what the lanes hold on the device"),
    }
    with st.container(horizontal=True):
        for label, (value, about) in values.items():
            st.metric(label, value, border=True, help=about)
    padding = "" if told.padded_share is None else f" {told.padded_share:.0%} of the work is padding."
    st.text(f"How steps run: {told.strategy}.{padding}")


def draw(study: StudyRecord) -> None:
    """Lanes over time, occupancy, and the programs."""
    if not any(reads.progress(study)[state] for state in (*reads.ENDED, "running", "waiting")):
        empty.no_trials(study)
        return
    told = Explanation.from_json(study.report) if study.report.get("programs") is not None else None
    if told is not None:
        facts(study, told)
    st.subheader("Lanes over time", anchor=False)
    placed = reads.summary(study, "placement", count=1)
    if placed.empty:
        empty.nothing("hourglass_top", "No trial has started", "Lanes fill as soon as the first program is compiled.")
    else:
        begin, end = (None, None) if span is None else span
        figure = reads.figure(study, "timeline", begin, end)
        charts.pick(figure, "timeline", "Which trial sat in which lane, over time")
        st.caption("Click a bar to open its trial.")
        trial.panel(study)
        st.subheader("Busy lanes", anchor=False)
        charts.show(reads.figure(study, "occupancy"), "occupancy", "Busy lanes and trials a second over time")
    if told is None:
        empty.nothing("memory", "No programs yet", "They are listed when the first one is compiled.")
        return
    st.subheader("What compiling and running cost", anchor=False)
    charts.show(reads.figure(study, "costs"), "costs", "Seconds of tracing, compiling and running, by program")
    st.subheader("Programs", anchor=False)
    tables.table(analysis.programs(study.report).rename(columns=UNITS), wide=["guards"])
    st.subheader("What Python asked of the hyperparameters", anchor=False)
    asked = analysis.guards(study.report)
    asked["place"] = [place.rpartition("/")[2] for place in asked["place"]]
    said = [name for name in asked if asked[name].map(bool).any()]
    tables.table(asked[said], wide=["question", "note"])
    for event in reads.troubles(study):
        st.warning("Memory ran out: the study went on with smaller blocks.", icon=":material/memory_alt:")
        st.text(f"{event['blocks']} blocks of {event['block']} lanes since then. {plain(event['message'])[:300]}")


study = shell.chosen()
shell.header(study, "Engine", "lanes, programs, where the time went")
length = reads.summary(study, "placement", count=1).attrs.get("span", 0.0)
span = None
if length > 1.0:
    with st.container(horizontal=True):
        ends = st.slider("Span", 0.0, float(length), (0.0, float(length)), key=f"span-{study.id}", format="%.1f s",
                         width=420) if study.state != "running" else (0.0, length)  # fmt: skip
        span = None if ends == (0.0, length) else ends
shell.live(draw)
