"""What every page stands in: the choice of the study, the pause switch, live drawing, and the top of a page."""

from __future__ import annotations

import html
import time
from collections.abc import Callable

import empty
import reads
import streamlit as st

from vtune.display.text import duration, plain
from vtune.errors import StoreError, VtuneError
from vtune.records import TrialState
from vtune.store.records import StudyRecord

POLL_SECONDS = 2
COLORS = {"created": "gray", "running": "blue", "complete": "green", "interrupted": "orange", "failed": "red"}
ICONS = {
    "created": ":material/schedule:",
    "running": ":material/play_circle:",
    "complete": ":material/check_circle:",
    "interrupted": ":material/pause_circle:",
    "failed": ":material/error:",
}
TRIAL_COLORS = {
    TrialState.WAITING: "gray",
    TrialState.RUNNING: "blue",
    TrialState.COMPLETE: "green",
    TrialState.STOPPED: "gray",
    TrialState.DIVERGED: "orange",
    TrialState.FAILED: "red",
}


def choose_study() -> bool:
    """Draws the sidebar with the study selector and keeps the study's number in the URL.

    Returns:
      Whether there is a study to show; if not, the page has been filled with what to do next.
    """
    try:
        studies = {study.id: study for study in reads.studies()}
    except StoreError as error:
        empty.no_studies("No store here yet", plain(str(error)), reads.store())
        return False
    if not studies:
        empty.no_studies("No studies yet", "The store is there, and empty.", reads.store())
        return False
    _follow_link(list(studies))
    with st.sidebar:
        # A page that is left in a hurry forgets its widgets' values; what was chosen is kept beside them.
        st.session_state.study = st.session_state.chosen
        st.selectbox(
            "Study",
            list(studies),
            key="study",
            format_func=lambda number: plain(studies[number].name),
            on_change=_choose,
        )
        study = studies[st.session_state.chosen]
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(study.state, color=COLORS[study.state], icon=ICONS[study.state])
            if study.state == "running":
                st.toggle("Live", value=True, key="live", help="Off: the page stands still while the study goes on.")
        st.space("small")
        st.caption("Store")
        st.text(reads.store())
    st.query_params["study"] = st.session_state.linked = str(study.id)
    return True


def chosen() -> StudyRecord:
    """The study chosen in the sidebar, as it stands now."""
    return next(study for study in reads.studies() if study.id == st.session_state.chosen)


def choose(number: int) -> None:
    """Opens another study at the next run, and closes the trials that were open in the one before."""
    st.session_state.chosen = number
    for name in ("trial", "trials", "boxed"):
        st.query_params.pop(name, None)


def live(draw: Callable[[StudyRecord], None], *, still: bool = False, stamp: bool = True) -> None:
    """Draws a part of the page, and draws it again every two seconds while the chosen study runs.

    Args:
      draw: what to draw; given the study as it stands at that moment.
      still: whether not to poll although the study runs.
      stamp: whether to say when it was drawn.
    """
    running = chosen().state == "running"
    polling = running and not still and bool(st.session_state.get("live", True))

    def part() -> None:
        try:
            study = chosen()
            draw(study)
        except VtuneError as error:
            st.error("The store cannot be read at the moment.", icon=":material/error:")
            st.code(plain(str(error)), language=None, wrap_lines=True)
            return
        moment = time.strftime("%H:%M:%S")
        if stamp:
            st.caption(f"Live, updated {moment}" if polling else f"Updated {moment}")
        if running and study.state != "running":
            st.rerun()

    st.fragment(part, run_every=POLL_SECONDS if polling else None)()


def header(study: StudyRecord, title: str, about: str = "") -> None:
    """The top of a page: its title, the study's name, what the page is about, and why the study failed if it did."""
    name = "" if title == study.name else html.escape(plain(study.name))
    st.html(
        f"<h1 class='vtune-title'>{html.escape(plain(title))}</h1>"
        f"<span class='vtune-sub'>{' &nbsp;·&nbsp; '.join(part for part in (name, html.escape(about)) if part)}</span>"
    )
    if study.state == "failed":
        st.error("The study failed. What was measured before is kept.", icon=":material/error:")
        if study.error:
            st.code(study.error, language=None, wrap_lines=True)
    elif study.state == "interrupted":
        st.info("The study was interrupted. Run it again with `resume=True`: it goes on where it stopped.")


def silent(study: StudyRecord) -> None:
    """Says so when a study that should be running has not written for a while."""
    progress = reads.progress(study)
    if study.state == "running" and not progress["alive"]:
        st.warning(
            f"Nothing was written for {duration(progress['heartbeat'])}: the process that ran this study may be gone. "
            "Run it again with `resume=True`: it goes on where it stopped.",
            icon=":material/heart_broken:",
        )


def objective(study: StudyRecord) -> tuple[str, str]:
    """The metric that orders the trials, and "min" or "max"."""
    return study.objectives[0] if study.objectives else ("score", "min")


def _choose() -> None:
    choose(st.session_state.study)


def _follow_link(numbers: list[int]) -> None:
    """Opens the study that the URL names, when the URL is new; else keeps the one that is open."""
    asked = st.query_params.get("study")
    known = asked is not None and asked.isdecimal() and int(asked) in numbers
    if known and asked != st.session_state.get("linked"):
        st.session_state.chosen = int(asked)
    if st.session_state.get("chosen") not in numbers:
        st.session_state.chosen = numbers[0]
        if asked is not None and not known:
            st.toast("The study in the link is not in this store: showing the newest.", icon=":material/info:")
