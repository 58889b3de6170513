"""Why: where each proposal came from, what was expected of it, and how much more trials are likely to gain."""

import charts
import empty
import reads
import shell
import streamlit as st
import tables
import trial

from vtune.store.records import StudyRecord

LATEST = 200


def draw(study: StudyRecord) -> None:
    """Origins, predictions against outcomes, promised gains, and the room that is left."""
    if not any(reads.progress(study)[state] for state in (*reads.ENDED, "running", "waiting")):
        empty.no_trials(study)
        return
    st.subheader("How much is there left to gain?", anchor=False)
    charts.show(reads.figure(study, "room", more or None), "room", "What more trials are likely to gain")
    st.subheader("Who proposed the trials", anchor=False)
    charts.show(reads.figure(study, "origins"), "origins", "Trials by who proposed them")
    came = reads.summary(study, "by_origin")
    tables.table(came)
    expected = reads.summary(study, "proposals")
    st.subheader("What was expected, and what came", anchor=False)
    if expected["mean"].notna().any():
        left, right = st.columns([3, 2], gap="medium")
        with left:
            about = "Predicted score against the score that was measured"
            charts.pick(reads.figure(study, "predictions"), "predictions", about)
        with right:
            charts.show(reads.figure(study, "gain"), "gain", "Gain that the model promised, over the trials")
    elif expected["gain"].notna().any():
        charts.show(reads.figure(study, "gain"), "gain", "Gain that the model promised, over the trials")
    else:
        empty.nothing(
            "casino",
            "Proposed without a model",
            f"The proposer {study.proposer} does not look at scores. One that does says here what it expected of each "
            'trial: proposer="bayes".',
        )
    trial.panel(study)
    if len(expected):
        st.subheader("The latest proposals", anchor=False)
        total = expected.attrs.get("total", len(expected))
        sign = -1.0 if shell.objective(study)[1] == "max" else 1.0
        latest = expected.assign(mean=sign * expected["mean"]).sort_values("trial", ascending=False).head(LATEST)
        names = {"mean": "expected", "deviation": "give or take", "gain": "promised gain"}
        latest = latest.assign(neglected=latest["neglected"].map({True: "yes"}))
        latest = latest.rename(columns=names | {"neglected": "for a neglected branch"})
        st.caption(f"Showing {len(latest):,} of {total:,} proposals.")
        filled = [name for name in latest if latest[name].notna().any()]
        tables.table(latest[filled], height=320)


study = shell.chosen()
shell.header(study, "Why", "what the search thought")
more = st.select_slider("Further trials", [0, 16, 64, 256, 1024, 4096], 0, key="more", width=320, bind="query-params",
                        format_func=lambda n: f"{n:,}" if n else "as many again")  # fmt: skip
shell.live(draw)
