"""Manual: spell a configuration, or start from a trial, and queue it; what was queued, and what became of it.

The queue beside the store is the only thing that the app ever writes.
"""

import charts
import empty
import entry
import pandas as pd
import reads
import shell
import streamlit as st
import tables
import trial

from vtune.display.text import as_python, plain
from vtune.errors import ConfigError, VtuneError
from vtune.store.records import StudyRecord

DRAWN = 8  # queued trials drawn among the others


def start_from(number: int) -> None:
    """Sets the widgets to the configuration of a trial."""
    found = reads.trial(study, number)
    if found is None:
        st.session_state.said = ("error", f"There is no trial {number} yet.")
        return
    try:
        entry.fill(space, prefix, found.config)
    except VtuneError as error:
        st.session_state.said = ("error", plain(str(error)))


def start() -> None:
    """Starts from the trial whose number was typed."""
    if st.session_state.start is not None:
        start_from(int(st.session_state.start))


def send() -> None:
    """Puts what the widgets spell now into the queue, after a check."""
    try:
        valid = space.plain([space.validate(entry.spelled(space, prefix))])
        reads.enqueue(study, valid)
    except VtuneError as error:
        st.session_state.said = ("error", plain(str(error)))
    else:
        st.session_state.said = ("sent", "")


def say() -> None:
    """What the last click did."""
    kind, text = st.session_state.pop("said", (None, ""))
    if kind == "sent":
        st.toast("Queued.", icon=":material/check_circle:")
    elif kind == "error":
        st.error("This cannot be queued.", icon=":material/error:")
        st.code(text, language=None, wrap_lines=True)


def form() -> None:
    """The widgets, and the button that queues what they say."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.number_input("Start from trial", 0, None, None, step=1, key="start", width=180, placeholder="its number")
        st.button("Fill in", on_click=start, icon=":material/input:")
        best = reads.best(study, 1)
        if best:
            st.button("Fill in the best", on_click=start_from, args=(best[0].id,), icon=":material/trophy:")
    with st.container(border=True):
        entry.fields(space, prefix)
    config = entry.spelled(space, prefix)
    problem = None
    try:
        space.validate(config)
    except ConfigError as error:
        problem = plain(str(error))
    over = study.state in ("complete", "failed")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.button("Queue it", type="primary", icon=":material/playlist_add:", on_click=send,
                  disabled=over or problem is not None, key="queue-it")  # fmt: skip
        st.text(problem or ADVICE[study.state])
    say()
    if over:
        st.caption("A new study can begin with it:")
        st.code(f"vtune.tune(task, space, ..., enqueue=[{as_python(config)}])", language="python")
    if study.space.get("constraints"):
        named = ", ".join(study.space["constraints"])
        st.text(f"The study checks its constraints ({named}) when it takes a configuration, and may refuse it.")


ADVICE = {
    "created": "The study takes it when it begins.",
    "running": "The study trains it in the next free lane.",
    "interrupted": "The study takes it when it goes on with resume=True.",
    "complete": "The study is complete and takes no more.",
    "failed": "The study failed and takes no more.",
}


def draw(study: StudyRecord) -> None:
    """What is queued, and the trials that came of it, among the others."""
    shell.silent(study)
    waiting = reads.queued(study)
    done = reads.enqueued(study)
    refused = reads.refused(study)
    if waiting:
        st.subheader("Waiting in the queue", anchor=False)
        tables.table(pd.DataFrame([{"queue": number, **config} for number, config in waiting]))
    if refused:
        st.subheader("Refused", anchor=False)
        tables.table(pd.DataFrame({"queue": list(refused), "why": list(refused.values())}), wide=["why"])
    if done.empty:
        if not waiting and not refused:
            empty.nothing("edit_note", "Nothing queued yet", "Spell a configuration above and queue it.")
        return
    st.subheader("Trials that were queued by hand", anchor=False)
    found = [(row, reads.trial(study, int(row.id))) for row in done.itertuples()]
    rows = [
        {"id": row.id, "state": row.state, "step": row.step, "score": row.score} | dict(each.config)
        for row, each in found
        if each is not None
    ]
    trial.table(pd.DataFrame(rows), [row["id"] for row in rows], "queued")
    metric = shell.objective(study)[0]
    ids = tuple(int(number) for number in done["id"][:DRAWN])
    if metric in study.metrics and not reads.curves(study, ids).empty:
        figure = reads.figure(study, "curves", metric, top=3, trials=ids).update_layout(height=460)
        charts.show(figure, "queued-curves", "Learning curves of the queued trials among the others")
    trial.panel(study)


study = shell.chosen()
space = reads.space(study)
prefix = f"manual-{study.id}"
shell.header(study, "Manual", "try a configuration of your own")
if space is None:
    empty.nothing("edit_note", "No space", "The study does not say what may vary.")
    st.stop()
asked = st.query_params.pop("from", None)
if asked is not None and asked.isdecimal():
    start_from(int(asked))
form()
shell.live(draw)
