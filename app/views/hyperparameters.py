"""Hyperparameters: which of them matter, where the good trials lie, and how they act together."""

import charts
import empty
import filters
import reads
import shell
import streamlit as st
import tables
import trial

from vtune.analysis import where_to_look
from vtune.display.text import plain
from vtune.store.records import StudyRecord

KEPT = 20  # trials listed below the parallel axes
ENOUGH = 8  # complete trials, before anything can be said


def draw(study: StudyRecord) -> None:
    """The figure that was asked for."""
    complete = reads.progress(study)["complete"]
    if complete < ENOUGH:
        empty.nothing(
            "hourglass_top" if study.state in ("created", "running") else "inbox",
            "Too few trials to say",
            f"{complete} are complete; from {ENOUGH} on this page tells which hyperparameters matter.",
        )
        return
    PARTS[view](study)
    trial.panel(study)


def importance(study: StudyRecord) -> None:
    """How much of the differences between scores each hyperparameter explains."""
    explained = {
        "ped-anova": "What makes the good trials good: how far the best tenth lies from all (PED-ANOVA).",
        "fanova": "How much of the variance of all scores each explains by itself (fANOVA over a random forest).",
    }
    figure = reads.figure(study, "importance", method=method)
    charts.show(figure, "importance", "Importance of each hyperparameter, with an interval of confidence")
    st.caption(explained[method])
    st.subheader("Where the best trials lie", anchor=False)
    space, mode = reads.space(study), shell.objective(study)[1]
    told = where_to_look(reads.sample(study), space, mode).rename(columns={"parameter": "hyperparameter"})
    tables.table(told.drop(columns="end"), wide=["hint"])


def slices(study: StudyRecord) -> None:
    """The score against each hyperparameter."""
    charts.pick(reads.figure(study, "slices", log=log), "slices", "Score against each hyperparameter")
    st.caption("Click a dot to open its trial.")


def contour(study: StudyRecord) -> None:
    """The score over two hyperparameters."""
    if len(names) < 2:
        empty.nothing("tune", "One hyperparameter only", "A contour needs two: see the slices.")
        return
    about = f"Score over {plain(first)} and {plain(second)}"
    charts.pick(reads.figure(study, "contour", first, second).update_layout(height=560), "contour", about)


def interactions(study: StudyRecord) -> None:
    """Which pairs matter together beyond what each does alone."""
    if len(names) < 2:
        empty.nothing("tune", "One hyperparameter only", "Interactions need two: see the slices.")
        return
    charts.show(reads.figure(study, "interactions"), "interactions", "Importance of pairs of hyperparameters")
    st.caption("Share of the variance of scores that a pair explains beyond its two members (fANOVA).")


def parallel(study: StudyRecord) -> None:
    """Every trial as a line across all hyperparameters."""
    if st.session_state.pop("dragged", False):
        st.rerun()
    figure = reads.figure(study, "parallel", ranges=narrowed).update_layout(height=520)
    charts.ranges(figure, f"parallel-{study.id}", "Parallel coordinates of the trials", dragged)
    if not narrowed:
        st.caption("Drag along an axis, or set a range above, to keep the trials in it. Drag a name to move its axis.")
        return
    frame, mode = reads.frame(study), shell.objective(study)[1]
    kept = filters.matching(frame, reads.space(study), [], narrowed)
    ordered = kept.sort_values(["score", "id"], ascending=[mode == "min", True], na_position="last").head(KEPT)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        text = f"{len(kept):,} of {len(frame):,} trials lie there; showing the best {len(ordered):,}."
        st.text(text, width="content")
        there = {name: value for name, value in st.query_params.to_dict().items() if name.startswith("where-")}
        there["study"] = str(study.id)
        st.page_link("views/trials.py", label="All of them", icon=":material/table_rows:", query_params=there)
    columns = [name for name in ("id", "state", "score", *names) if name in ordered]
    trial.table(ordered[columns], ordered["id"].tolist(), f"kept-{study.id}")


def dragged(axes: dict) -> None:
    """Takes ranges that were dragged in the chart into the filters."""
    filters.drag(reads.space(study), axes)
    st.session_state.dragged = True


def rank(study: StudyRecord) -> None:
    """Pairs of hyperparameters, dots coloured by the rank of the score."""
    chosen = tuple(ranked) if len(ranked) >= 2 else None
    charts.pick(reads.figure(study, "rank", chosen), "rank", "Pairs of hyperparameters, coloured by rank")
    st.caption("Click a dot to open its trial.")


PARTS = {
    "importance": importance,
    "slices": slices,
    "contour": contour,
    "interactions": interactions,
    "parallel": parallel,
    "rank": rank,
}

study = shell.chosen()
names = reads.names(study)
shell.header(study, "Hyperparameters", "which matter, and where the good ones lie")
if not names:
    empty.nothing("tune", "No space", "The study does not say what may vary.")
    st.stop()
with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    view = st.segmented_control("View", list(PARTS), default="importance", required=True, key="view",
                                bind="query-params")  # fmt: skip
    if view == "importance":
        method = st.segmented_control("By", ["ped-anova", "fanova"], default="ped-anova", required=True, key="by",
                                      bind="query-params")  # fmt: skip
    if view == "slices":
        log = st.segmented_control("Score axis", ["linear", "log"], default="linear", required=True, key="axis",
                                   bind="query-params") == "log"  # fmt: skip
    if view == "contour" and len(names) > 1:
        leading = [name for name in reads.important(study) if name in names] or names
        place = names.index(leading[0])
        first = st.selectbox("Across", names, place, key="across", width=180, bind="query-params")
        others = [name for name in names if name != first]
        place = others.index(next((name for name in leading if name != first), others[0]))
        second = st.selectbox("Up", others, place, key="up", width=180, bind="query-params")
    if view == "parallel":
        with st.popover("Keep ranges", icon=":material/filter_alt:", width=220):
            narrowed = filters.by_hyperparameter(reads.space(study))
    if view == "rank":
        ranked = st.multiselect("Of", names, key="of", max_selections=4, width=420, bind="query-params",
                                placeholder="the most important ones")  # fmt: skip
shell.live(draw)
