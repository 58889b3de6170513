"""Pareto: the trials of a study with several objectives that no other trial beats in all of them."""

import charts
import empty
import pandas as pd
import reads
import shell
import streamlit as st
import trial

from vtune.analysis import non_dominated
from vtune.display.text import plain
from vtune.store.records import StudyRecord

MOST = 200
TWO = 'vtune.tune(task, space, metric=["accuracy", "n_params"], mode=["max", "min"])'


def draw(study: StudyRecord) -> None:
    """The front, how it grew, and its trials."""
    values = reads.summary(study, "objectives").dropna()
    if values.empty:
        empty.no_trials(study) if not study.clock else empty.nothing(
            "hourglass_top", "No complete trial yet", "The front needs trials that ran to their end."
        )
        return
    figure = reads.figure(study, "front", names.index(across), names.index(up))
    charts.pick(figure.update_layout(height=520), "front", f"{plain(up)} against {plain(across)}, and the front")
    trial.panel(study)
    best = values[non_dominated(values[names].to_numpy(), [mode for _, mode in study.objectives])]
    st.subheader("On the front", anchor=False)
    shown = f" Showing the first {MOST}." if len(best) > MOST else ""
    st.caption(f"{len(best):,} of {len(values):,} complete trials.{shown}")
    ordered = best.sort_values(names[0], ascending=study.objectives[0][1] == "min").head(MOST)
    configs = [reads.trial(study, int(number)) for number in ordered["id"]]
    rows = pd.DataFrame([dict(found.config) for found in configs if found is not None])
    joined = pd.concat([ordered[["id", *names]].reset_index(drop=True), rows], axis=1)
    trial.table(joined, [int(number) for number in ordered["id"]], "front-rows")
    st.subheader("Hypervolume", anchor=False)
    charts.show(reads.figure(study, "hypervolume"), "hypervolume", "Hypervolume of the front over the trials")


study = shell.chosen()
names = [name for name, _ in study.objectives]
shell.header(study, "Pareto", "several objectives at once")
if len(names) < 2:
    empty.nothing("scatter_plot", "One objective", "A front needs two or more. Give metric and mode as lists:", TWO)
    st.stop()
across, up = names[1], names[0]
if len(names) > 2:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        across = st.selectbox("Across", names, 1, key="across", format_func=plain, width=220, bind="query-params")
        rest = [name for name in names if name != across]
        up = st.selectbox("Up", rest, key="up", format_func=plain, width=220, bind="query-params")
shell.live(draw)
