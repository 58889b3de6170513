"""Everything that the app reads from the store: cached, bounded, and read again only when something was written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from vtune.analysis import importance
from vtune.plots import Plots
from vtune.records import Trial, TrialState
from vtune.space import Space
from vtune.store import summaries
from vtune.store.queue import Queue
from vtune.store.reader import Reader, open_reader
from vtune.store.records import StudyRecord

ENDED = tuple(state for state in TrialState if state.terminal)

Version = tuple[int, float, int, float]
"""Says of a study that nothing was written since: id, time of birth, clock, time of the last write."""


def store() -> str:
    """The store that the app shows: `$VTUNE_STORE`, else vtune.db in the working folder."""
    return os.environ.get("VTUNE_STORE") or "vtune.db"


def studies() -> list[StudyRecord]:
    """All studies of the store, newest first, at most a second old."""
    return _studies(store())


def progress(study: StudyRecord) -> dict[str, Any]:
    """What `Reader.progress` says, at most a second old."""
    return _progress(store(), study.id)


def space(study: StudyRecord) -> Space | None:
    """What could vary; None for a study that does not say. Constraints are left out: they live in the study's code."""
    return Space.from_json({**study.space, "constraints": []}) if study.space else None


def names(study: StudyRecord) -> list[str]:
    """The hyperparameters, in the order of the space."""
    return [parameter["name"] for parameter in study.space.get("parameters", ())]


def figure(study: StudyRecord, name: str, *args: Any, others: Sequence[StudyRecord] = (), **options: Any) -> go.Figure:
    """A figure of `vtune.plots.Plots`, drawn once for what the store holds now.

    Args:
      study: which study.
      name: which method of `Plots`.
      *args: its arguments.
      others: further studies of the store, handed over as `Plots` before the arguments.
      **options: its other arguments.
    """
    versions = tuple(_version(each) for each in (study, *others))
    return _figure(store(), versions, name, args, tuple(sorted(options.items())))


def best(study: StudyRecord, count: int) -> list[Trial]:
    """The best trials among the complete ones; while there are none, among those that have a score and go on."""
    return _best(store(), _version(study), count)


def trial(study: StudyRecord, number: int) -> Trial | None:
    """One trial; None if there is none of this number."""
    found = _trials(store(), _version(study), number)
    return found[0] if found else None


def curves(study: StudyRecord, trials: Iterable[int]) -> pd.DataFrame:
    """The measurements of these trials."""
    return _curves(store(), _version(study), tuple(sorted({int(trial) for trial in trials})))


def sample(study: StudyRecord, count: int = 4000, best: int = 400) -> pd.DataFrame:
    """Trials drawn at random, and the best ones, as rows of a frame; `.attrs["total"]` says of how many."""
    return _summary(store(), _version(study), "sample", (count,), (("best", best),))


def summary(study: StudyRecord, name: str, *args: Any, **options: Any) -> pd.DataFrame:
    """What one function of `vtune.store.summaries` gives."""
    return _summary(store(), _version(study), name, args, tuple(sorted(options.items())))


def important(study: StudyRecord) -> list[str]:
    """The hyperparameters, the most important first; none while that cannot be told."""
    return _important(store(), _version(study))


def frame(study: StudyRecord) -> pd.DataFrame:
    """One row a trial. Rows of trials that are over are kept; only the others, and new ones, are read again."""
    return _rows(store(), study.id, study.created).at(_reader(store()), study)


def queued(study: StudyRecord) -> list[tuple[int, dict[str, Any]]]:
    """The configurations that wait in the queue and are no trials yet, as (queue id, configuration)."""
    return _queue(store()).take(study.name)


def enqueue(study: StudyRecord, configs: list[dict[str, Any]]) -> None:
    """Puts configurations into the queue: the only thing that the app writes."""
    _queue(store()).put(study.name, configs)


def enqueued(study: StudyRecord, count: int = 100) -> pd.DataFrame:
    """The newest trials that came from the queue: id, state, step, score, queued."""
    return _enqueued(store(), _version(study), count)


def refused(study: StudyRecord) -> dict[int, str]:
    """The configurations of the queue that the study would not train: queue id -> why."""
    return _refused(store(), _version(study))


def troubles(study: StudyRecord) -> list[dict[str, Any]]:
    """When memory ran out, and what was changed then."""
    return _troubles(store(), _version(study))


class Rows:
    """The trials of one study: what is over is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._frame: pd.DataFrame | None = None

    def at(self, reader: Reader, study: StudyRecord) -> pd.DataFrame:
        """The frame as of the study's last commit; to be read, not changed."""
        with self._lock:
            if self._frame is None or not len(self._frame):
                self._frame = reader.frame(study.id)
            elif self._version != _version(study):
                self._frame = self._newer(reader, study, self._frame)
            self._version = _version(study)
            return self._frame

    def _newer(self, reader: Reader, study: StudyRecord, known: pd.DataFrame) -> pd.DataFrame:
        over = known["state"].isin(ENDED)
        new = reader.frame(study.id, trials=known["id"][~over].tolist(), after=int(known["id"].iloc[-1]))
        if list(new.columns) != list(known.columns) or not over.any():
            return reader.frame(study.id)
        if not len(new):
            return known
        return pd.concat([known[over], new], ignore_index=True).sort_values("id", ignore_index=True)


def _version(study: StudyRecord) -> Version:
    return study.id, study.created, study.clock, study.updated


@st.cache_resource(max_entries=4, show_spinner=False)
def _reader(where: str) -> Reader:
    return open_reader(where)


@st.cache_resource(max_entries=4, show_spinner=False)
def _queue(where: str) -> Queue:
    return Queue(where)


@st.cache_resource(max_entries=4, show_spinner=False)
def _rows(where: str, study_id: int, created: float) -> Rows:
    return Rows()


@st.cache_data(ttl=1, show_spinner=False)
def _studies(where: str) -> list[StudyRecord]:
    return _reader(where).studies()[::-1]


@st.cache_data(ttl=1, max_entries=200, show_spinner=False)
def _progress(where: str, study_id: int) -> dict[str, Any]:
    return _reader(where).progress(study_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _figure(where: str, versions: tuple[Version, ...], name: str, args: tuple[Any, ...], options: Any) -> go.Figure:
    first, *others = (Plots(_reader(where), version[0]) for version in versions)
    draw: Callable[..., go.Figure] = getattr(first, name)
    return draw(*others, *args, **dict(options))


@st.cache_data(max_entries=8, show_spinner=False)
def _important(where: str, version: Version) -> list[str]:
    study = _reader(where).study(version[0])
    mode = study.objectives[0][1] if study.objectives else "min"
    frame = summaries.sample(_reader(where), version[0])
    return importance(frame, Space.from_json({**study.space, "constraints": []}), mode)["parameter"].tolist()


@st.cache_data(max_entries=32, show_spinner=False)
def _best(where: str, version: Version, count: int) -> list[Trial]:
    reader, study_id = _reader(where), version[0]
    complete = summaries.best_trials(reader, study_id, count)
    others = (TrialState.RUNNING, TrialState.STOPPED)
    found = complete or reader.trials(study_id, states=others, limit=count, order="score")
    return [trial for trial in found if trial.score is not None]


@st.cache_data(max_entries=32, show_spinner=False)
def _trials(where: str, version: Version, number: int) -> list[Trial]:
    reader = _reader(where)
    return [trial for trial in reader.trials(version[0], after=number - 1, limit=1) if trial.id == number]


@st.cache_data(max_entries=32, show_spinner=False)
def _curves(where: str, version: Version, trials: tuple[int, ...]) -> pd.DataFrame:
    return _reader(where).curves(version[0], trials)


@st.cache_data(max_entries=32, show_spinner=False)
def _summary(where: str, version: Version, name: str, args: tuple[Any, ...], options: Any) -> pd.DataFrame:
    read: Callable[..., pd.DataFrame] = getattr(summaries, name)
    return read(_reader(where), version[0], *args, **dict(options))


@st.cache_data(max_entries=8, show_spinner=False)
def _enqueued(where: str, version: Version, count: int) -> pd.DataFrame:
    return _reader(where).enqueued(version[0], count)


@st.cache_data(max_entries=8, show_spinner=False)
def _refused(where: str, version: Version) -> dict[int, str]:
    events = _reader(where).events(version[0], kind="refused")
    return {event.detail["queued"]: event.detail["why"] for event in events}


@st.cache_data(max_entries=8, show_spinner=False)
def _troubles(where: str, version: Version) -> list[dict[str, Any]]:
    return [dict(event.detail) for event in _reader(where).events(version[0], kind="out of memory")]
