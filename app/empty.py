"""Empty states: what is missing, and what to do next."""

from __future__ import annotations

import streamlit as st

from vtune.store.records import StudyRecord

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


def nothing(icon: str, title: str, text: str, code: str | None = None) -> None:
    """A box in place of what would stand here.

    Args:
      icon: name of a Material symbol.
      title: what is missing.
      text: what to do next.
      code: Python that does it.
    """
    with st.container(border=True, horizontal_alignment="center", gap="small"):
        st.space("small")
        st.markdown(f"### :material/{icon}: {title}", text_alignment="center")
        st.text(text, text_alignment="center")
        if code is not None:
            st.code(code, language="python", width="content")
        st.space("small")


def no_trials(study: StudyRecord) -> None:
    """A study that has no trials."""
    if study.state in ("created", "running"):
        nothing(
            "hourglass_top", "No trials yet", "The study is compiling its first program. This page fills by itself."
        )
    else:
        nothing("inbox", "No trials", "The study ended before its first trial. Run it again with resume=True.")


def no_measurements(study: StudyRecord) -> None:
    """A study, or a trial, that has measured nothing."""
    if study.state in ("created", "running"):
        nothing("hourglass_top", "No measurements yet", f"The first come after {study.interval}.")
    else:
        nothing("inbox", "No measurements", "The study ended before the first one. Run it again with resume=True.")


def no_studies(title: str, text: str, store: str) -> None:
    """A store without studies: how to make one."""
    nothing("science", title, text)
    st.caption("Store")
    st.text(store)
    st.markdown("**Make a first study**, then reload this page:")
    st.code(FIRST_STEPS, language="python")
    st.markdown("Another store? `vtune app PATH`, or set `VTUNE_STORE` before you start the app.")
