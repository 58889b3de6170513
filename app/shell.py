"""What every page shares: the choice of the study, live drawing, headings, charts and empty states.

Names come from users. They are shown by `st.html` (escaped), `st.code`, tables and option lists, never as Markdown.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import reads
import streamlit as st

from vtune.errors import StoreError, VtuneError
from vtune.records import TrialState
from vtune.store.records import StudyRecord
from vtune.text import plain, short

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
FIRST_STEPS = """\
import optax, vtune
from flax import linen as nn
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
space = vtune.Space(lr=vtune.Float(1e-4, 1e-1, log=True), decay=vtune.Float(1e-6, 1e-2, log=True))
task = vtune.Supervised(
    lambda hp: nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(10)]),
    lambda hp: optax.adamw(hp.lr, weight_decay=hp.decay),
    train=((x / 16).astype("float32"), y), valid=0.2, loss="cross_entropy", metrics=("accuracy",), batch_size=64,
)
vtune.tune(task, space, metric="accuracy", mode="max", trials=64, steps=500, store="vtune.db", name="digits")
"""


def choose_study() -> bool:
    """Draws the sidebar with the study selector and keeps the study in the URL.

    Returns:
      Whether there is a study to show; if not, the page has been filled with what to do next.
    """
    try:
        names = [study.name for study in reads.studies()]
    except StoreError as error:
        no_studies("No store here yet", plain(str(error)))
        return False
    if not names:
        no_studies("No studies yet", f"The store {reads.store()} is there, and empty.")
        return False
    asked = st.query_params.get("study")
    if st.session_state.get("study") not in names:
        st.session_state.study = asked if asked in names else names[0]
        if asked is not None and asked not in names:
            st.toast("The study in the link is not in this store: showing the newest.", icon=":material/info:")
    with st.sidebar:
        st.selectbox("Study", names, key="study", format_func=plain)
        st.caption("Store")
        st.text(reads.store())
    st.query_params["study"] = st.session_state.study
    return True


def chosen() -> StudyRecord:
    """The study chosen in the sidebar, as it stands now."""
    return next(study for study in reads.studies() if study.name == st.session_state.study)


def live(draw: Callable[[StudyRecord], None], *, still: bool = False) -> None:
    """Draws a part of the page, and draws it again every two seconds while the chosen study runs.

    Args:
      draw: what to draw; given the study as it stands at that moment.
      still: whether not to poll although the study runs.
    """
    running = chosen().state == "running"

    def part() -> None:
        try:
            study = chosen()
            draw(study)
        except VtuneError as error:
            st.error("The store cannot be read at the moment.", icon=":material/error:")
            st.code(plain(str(error)), language=None, wrap_lines=True)
            return
        moment = time.strftime("%H:%M:%S")
        st.caption(f"Live, updated {moment}" if running and not still else f"Updated {moment}")
        if running and study.state != "running":
            st.rerun()

    st.fragment(part, run_every=POLL_SECONDS if running and not still else None)()


def header(study: StudyRecord, title: str) -> None:
    """The top of a page: its title, the study's name and state, and what went wrong if it failed."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(
            f"<h1 style='margin:0;padding:0'>{html.escape(title)}</h1>",
            width="content",
        )
        st.badge(study.state, color=COLORS[study.state], icon=ICONS[study.state])
    if study.state == "failed":
        st.error("The study failed. What was measured before is kept.", icon=":material/error:")
        if study.error:
            st.code(study.error, language=None, wrap_lines=True)


def objective(study: StudyRecord) -> tuple[str, str]:
    """The metric that orders the trials, and "min" or "max"."""
    return study.objectives[0] if study.objectives else ("score", "min")


def chart(figure: go.Figure, key: str) -> None:
    """Shows a figure of `vtune.plots` at full width, with its own look."""
    unused = ["select2d", "lasso2d", "autoScale2d"]
    settings = {"displaylogo": False, "modeBarButtonsToRemove": unused, "displayModeBar": "hover"}
    st.plotly_chart(figure, theme=None, key=key, config=settings)


def table(frame: pd.DataFrame, *, wide: Sequence[str] = (), **settings: Any) -> None:
    """Shows rows of a study's frame: floats in four digits, empty cells as a dash.

    Args:
      frame: what to show; the column `id` is called "trial".
      wide: columns with long texts.
      **settings: further arguments of `st.dataframe`.
    """
    shown = frame.rename(columns={"id": "trial"})
    config: dict[str, Any] = {}
    for name in shown.columns:
        if pd.api.types.is_float_dtype(shown[name]):
            config[name] = st.column_config.NumberColumn(name, format="%.4g")
        elif pd.api.types.is_integer_dtype(shown[name]):
            config[name] = st.column_config.NumberColumn(name, format="%d")
        else:
            config[name] = st.column_config.TextColumn(name, width="large" if name in wide else None)
            shown[name] = shown[name].map(lambda value: None if value is None or value != value else short(value))
    st.dataframe(shown, hide_index=True, placeholder="–", column_config=config, **settings)


def pairs(title: str, values: Mapping[str, Any]) -> None:
    """Shows names and values below each other, under a small title."""
    st.markdown(f"**{title}**")
    rows = "".join(
        "<tr style='border-bottom:1px solid rgba(128,136,146,.18)'>"
        f"<td style='padding:3px 16px 3px 0;opacity:.7;border:0'>{html.escape(plain(str(name)))}</td>"
        f"<td style='padding:3px 0;text-align:right;border:0;font-variant-numeric:tabular-nums'>"
        f"{html.escape(plain(short(value)))}</td></tr>"
        for name, value in values.items()
    )
    st.html(f"<table style='width:100%;border-collapse:collapse'>{rows}</table>")


def nothing(icon: str, title: str, text: str) -> None:
    """An empty state: what is missing, and what to do next."""
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.markdown(f"### :material/{icon}: {title}", text_alignment="center")
        st.text(text, text_alignment="center")
        st.space("small")


def no_trials(study: StudyRecord) -> None:
    """The empty state of a study that has no trials."""
    if study.state in ("created", "running"):
        nothing(
            "hourglass_top", "No trials yet", "The study is compiling its first program. This page fills by itself."
        )
    else:
        nothing("inbox", "No trials", "The study ended before its first trial. Run it again with resume=True.")


def no_studies(title: str, text: str) -> None:
    """The empty state of a store without studies: how to make one."""
    nothing("science", title, text)
    st.markdown("**Make a first study**, then reload this page:")
    st.code(FIRST_STEPS, language="python")
    st.markdown("Another store? `vtune app PATH`, or set `VTUNE_STORE` before you start the app.")
