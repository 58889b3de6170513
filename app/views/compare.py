"""Compare: two or more studies, or the proposers in them, on one axis."""

import charts
import empty
import pandas as pd
import reads
import shell
import streamlit as st
import tables

from vtune.display.text import duration, plain
from vtune.store.records import StudyRecord

MOST = 8


def draw(study: StudyRecord) -> None:
    """Best so far, distribution of scores and time to target of the chosen studies."""
    others = [each for each in reads.studies() if each.id in chosen and each.id != study.id]
    together = [study, *others]
    if not others:
        empty.nothing("compare_arrows", "Nothing to compare with yet", "Choose one or more studies above.")
        return
    if len({shell.objective(each) for each in together}) > 1:
        st.warning("These studies have different objectives: their scores do not mean the same.")
    figure = reads.figure(study, "compare", others=others, x="seconds" if timed else "trials", log=log)
    charts.show(figure.update_layout(height=460), "compare", "Best so far of the chosen studies")
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("How the scores are spread", anchor=False)
        charts.show(reads.figure(study, "edf", others=others), "edf", "Share of trials at least as good")
    with right:
        st.subheader("How soon a target is met", anchor=False)
        charts.show(reads.figure(study, "time_to_target", others=others), "target", "Trials needed for a target score")
    tables.table(pd.DataFrame([facts(each) for each in together]))


def facts(study: StudyRecord) -> dict:
    """One row of the table."""
    progress = reads.progress(study)
    spread = reads.summary(study, "distribution")
    metric, mode = shell.objective(study)
    return {
        "study": plain(study.name),
        "proposer": study.proposer,
        "scheduler": study.scheduler or "none",
        "objective": plain(f"{metric} {mode}"),
        "trials": f"{progress['done']:,}",
        "best": progress["best_score"],
        "median": float(spread["score"].median()) if len(spread) else None,
        "diverged": progress["diverged"],
        "time": duration(progress["seconds"]),
    }


study = shell.chosen()
shell.header(study, "Compare", "studies on one axis")
others = [each for each in reads.studies() if each.id != study.id]
if not others:
    empty.nothing(
        "compare_arrows",
        "One study only",
        "Run another one into the same store, with another proposer or scheduler, and compare them here.",
        'vtune.tune(task, space, ..., proposer="bayes", name="another")',
    )
    st.stop()
labels = {each.id: plain(each.name) for each in others}
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    linked = [int(n) for n in st.query_params.get("with", "").split(",") if n.isdecimal() and int(n) in labels]
    chosen = st.multiselect("With", list(labels), linked, key=f"with-{study.id}", max_selections=MOST, width=520,
                            format_func=labels.get, placeholder="Choose studies")  # fmt: skip
    timed = st.segmented_control("Along", ["trials", "time"], default="trials", required=True, key="along",
                                 bind="query-params") == "time"  # fmt: skip
    log = st.segmented_control("Score axis", ["linear", "log"], default="linear", required=True, key="axis",
                               bind="query-params") == "log"  # fmt: skip
if chosen:
    st.query_params["with"] = ",".join(map(str, chosen))
else:
    st.query_params.pop("with", None)
shell.live(draw)
