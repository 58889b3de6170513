"""Everything that the app reads from the store: cached, bounded, and read again only when something was written."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from vtune.store.reader import Reader, open_reader
from vtune.store.records import StudyRecord

BAND_TRIALS = 400
"""So many trials, evenly chosen, stand for all in the bands of the learning curves."""


def store() -> str:
    """The store that the app shows: `$VTUNE_STORE`, else vtune.db in the working folder."""
    return os.environ.get("VTUNE_STORE") or "vtune.db"


def studies() -> list[StudyRecord]:
    """All studies of the store, newest first."""
    return _studies(store())


def study(study_id: int) -> StudyRecord:
    """One study as it stands now, at most a second old."""
    return next(study for study in studies() if study.id == study_id)


def progress(study: StudyRecord) -> dict[str, Any]:
    """What `Reader.progress` says, at most a second old."""
    return _progress(store(), study.id)


def frame(study: StudyRecord) -> pd.DataFrame:
    """One row a trial, as of the study's last commit."""
    return _frame(store(), study.id, _version(study))


def curves(study: StudyRecord, trials: np.ndarray) -> pd.DataFrame:
    """The measurements of these trials, as of the study's last commit."""
    return _curves(store(), study.id, _version(study), tuple(int(trial) for trial in np.sort(trials)))


def sample(study: StudyRecord, best: np.ndarray) -> pd.DataFrame:
    """The measurements of the best trials and of at most `BAND_TRIALS` others.

    Args:
      study: which study.
      best: ids of trials that must be among them.

    Returns:
      One row a measurement.
    """
    others = np.setdiff1d(frame(study)["id"].to_numpy(), best)
    if len(others) > BAND_TRIALS:
        others = others[np.linspace(0, len(others) - 1, BAND_TRIALS).round().astype(int)]
    return curves(study, np.concatenate([best, others]))


def hyperparameters(study: StudyRecord) -> list[str]:
    """The names of the hyperparameters, in the order of the space."""
    fixed = {"id", "state", "step", "score", "origin", *study.metrics}
    return [name for name in frame(study).columns if name not in fixed]


def _version(study: StudyRecord) -> tuple[float, int, float]:
    return study.created, study.clock, study.updated


@st.cache_resource(max_entries=4, show_spinner=False)
def _reader(where: str) -> Reader:
    return open_reader(where)


@st.cache_data(ttl=1, show_spinner=False)
def _studies(where: str) -> list[StudyRecord]:
    return _reader(where).studies()[::-1]


@st.cache_data(ttl=1, show_spinner=False)
def _progress(where: str, study_id: int) -> dict[str, Any]:
    return _reader(where).progress(study_id)


@st.cache_data(max_entries=8, show_spinner=False)
def _frame(where: str, study_id: int, version: tuple[float, int, float]) -> pd.DataFrame:
    return _reader(where).frame(study_id)


@st.cache_data(max_entries=16, show_spinner=False)
def _curves(where: str, study_id: int, version: tuple[float, int, float], trials: tuple[int, ...]) -> pd.DataFrame:
    return _reader(where).curves(study_id, trials)
