import math
import time

import numpy as np
import pandas as pd
import pytest

from vtune.errors import ArgumentError, StoreError
from vtune.records import TrialState
from vtune.space import Choice, Float, Int, Space
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_reader, open_writer

SPACE = Space(
    width=Int(8, 64),
    optimizer=Choice("adam", "momentum"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
    kernel=Choice((3, 3), (5, 5)),
)
CONFIGS = [
    {"kernel": (3, 3), "optimizer": "adam", "width": 8},
    {"kernel": (5, 5), "optimizer": "momentum", "width": 16, "momentum": 0.9},
    {"kernel": (3, 3), "optimizer": "adam", "width": 32},
    {"kernel": (3, 3), "optimizer": "adam", "width": 64},
]


@pytest.fixture
def writer(place):
    with open_writer(place) as writer:
        yield writer


@pytest.fixture
def study(writer):
    """Four trials: complete at 0.5, complete at 0.25, diverged at 0.125, waiting; two metrics, mode max."""
    record = StudyRecord(
        name="study",
        state="running",
        space=SPACE.to_json(),
        objectives=(("accuracy", "max"),),
        metrics=("accuracy", "loss"),
        trials=8,
    )
    study = writer.create(record).id
    writer.commit(study, Commit(new_trials=[NewTrial(i, config, "random") for i, config in enumerate(CONFIGS)]))
    for step, states in ((5, ["running"] * 3), (10, ["complete", "complete", "diverged"])):
        scores = np.array([0.5, 0.25, 0.125])
        over = np.full(3, time.time() if step == 10 else math.nan)
        writer.commit(
            study,
            Commit(
                clock=step,
                trial_updates=TrialUpdates([0, 1, 2], states, [step] * 3, scores, finished=over),
                measurements=Measurements([0, 1, 2], [step] * 3, np.stack([scores, scores * step], axis=1)),
                events=[Event(float(step), "chunk", {"step": step})],
            ),
        )
    return study


def test_frame(writer, study):
    frame = writer.reader().frame(study)
    assert list(frame.columns) == [
        *("id", "state", "step", "score", "origin"),
        *("width", "optimizer", "momentum", "kernel"),
        *("accuracy", "loss"),
    ]
    assert frame["state"].tolist() == ["complete", "complete", "diverged", "waiting"]
    assert frame["kernel"].tolist() == [config["kernel"] for config in CONFIGS]
    assert frame["width"].dtype == np.int64
    assert frame["momentum"].isna().tolist() == [True, False, True, True]
    np.testing.assert_array_equal(frame["loss"], [5.0, 2.5, 1.25, math.nan])
    np.testing.assert_array_equal(frame["score"], [0.5, 0.25, 0.125, math.nan])


def test_parts_of_a_frame(writer, study):
    reader = writer.reader()
    whole = reader.frame(study)
    for asked, ids in (
        ({"trials": [2, 0, 2]}, [0, 2]),
        ({"after": 1}, [2, 3]),
        ({"trials": [0, 3], "after": 2}, [0, 3]),
        ({"trials": []}, []),
    ):
        part = reader.frame(study, **asked)
        assert part["id"].tolist() == ids
        assert list(part.columns) == list(whole.columns)
        np.testing.assert_array_equal(part["loss"], whole["loss"][ids])


def test_frame_of_an_empty_study_has_all_columns(writer):
    study = writer.create(StudyRecord(name="empty", space=SPACE.to_json(), metrics=("loss",)))
    reader = writer.reader()
    frame = reader.frame(study.id)
    assert list(frame.columns) == ["id", "state", "step", "score", "origin", *SPACE, "loss"]
    assert len(frame) == len(reader.trials(study.id)) == len(reader.placement(study.id)) == 0
    assert list(reader.curves(study.id).columns) == ["trial", "step", "loss"]
    assert reader.progress(study.id)["done"] == 0


def test_columns_that_the_space_does_not_know_come_last(writer):
    study = writer.create(StudyRecord(name="free")).id
    writer.commit(study, Commit(new_trials=[NewTrial(0, {"b": 1}), NewTrial(1, {"a": "x", "b": 2})]))
    frame = writer.reader().frame(study)
    assert list(frame.columns[5:]) == ["b", "a"]
    assert pd.isna(frame["a"][0])


def test_trials_by_score_state_and_page(writer, study):
    reader = writer.reader()
    assert [t.id for t in reader.trials(study, order="score")] == [0, 1, 2, 3]
    assert [t.id for t in reader.trials(study, order="score", limit=1)] == [0]
    assert [t.id for t in reader.trials(study, states=TrialState.COMPLETE)] == [0, 1]
    assert [t.id for t in reader.trials(study, states=("waiting", "diverged"))] == [2, 3]
    assert [t.id for t in reader.trials(study, after=1, limit=1)] == [2]
    assert reader.trials(study)[1] == reader.trial(study, 1)
    writer.update(study, objectives=(("accuracy", "min"),))
    assert [t.id for t in reader.trials(study, order="score")] == [2, 1, 0, 3]


def test_curves(writer, study):
    reader = writer.reader()
    curves = reader.curves(study)
    assert curves["trial"].tolist() == [0, 0, 1, 1, 2, 2]
    assert curves["step"].tolist() == [5, 10] * 3
    assert curves["loss"].tolist() == [2.5, 5.0, 1.25, 2.5, 0.625, 1.25]
    assert reader.curves(study, [2, 0])["trial"].tolist() == [0, 0, 2, 2]
    assert reader.curves(study, range(1, 5_000))["trial"].tolist() == [1, 1, 2, 2]
    assert len(reader.curves(study, [])) == 0


def test_curves_continue_from_a_cursor(writer, study):
    reader = writer.reader()
    cursor = reader.curves(study).attrs["cursor"]
    assert len(reader.curves(study, after=cursor)) == 0
    assert reader.curves(study, after=cursor).attrs["cursor"] == cursor
    writer.commit(study, Commit(measurements=Measurements([3], [5], [[0.75, 1.0]])))
    more = reader.curves(study, after=cursor)
    assert more.to_dict("records") == [{"trial": 3, "step": 5, "accuracy": 0.75, "loss": 1.0}]
    assert more.attrs["cursor"] > cursor


def test_single_curves_use_the_index_of_a_complete_study(writer, study):
    before = writer.reader().curves(study, [1])
    writer.update(study, state="complete")
    writer.update(study, state="complete")
    pd.testing.assert_frame_equal(writer.reader().curves(study, [1]), before)


def test_events(writer, study):
    reader = writer.reader()
    first, second = reader.events(study)
    assert (first.time, first.kind, first.detail, first.clock) == (5.0, "chunk", {"step": 5}, 5)
    assert reader.events(study, after=first.id) == [second]
    assert reader.events(study, kind=first.kind)[0] == first
    assert reader.events(study, kind="none") == []


def test_counts(writer, study):
    assert writer.reader().counts(study) == {"complete": 2, "diverged": 1, "waiting": 1}


def test_progress_of_a_running_study(writer, study):
    progress = writer.reader().progress(study)
    assert progress["alive"]
    assert (progress["total"], progress["done"], progress["diverged"], progress["waiting"]) == (8, 3, 1, 1)
    assert (progress["best_score"], progress["best_trial"]) == (0.5, 0)
    assert progress["eta"] == pytest.approx(5 / progress["trials_per_second"])


def test_progress_of_a_study_whose_process_died(writer, study):
    writer.update(study, updated=time.time() - 3600)
    progress = writer.reader().progress(study)
    assert (progress["state"], progress["alive"], progress["eta"]) == ("running", False, None)
    assert progress["heartbeat"] >= 3600


def test_the_best_trial_is_complete_and_has_a_score(writer, study):
    writer.update(study, objectives=(("accuracy", "min"),))
    assert writer.reader().progress(study)["best_trial"] == 1


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda r: r.study("stady"), StoreError, "no study 'stady'.*'study'"),
        (lambda r: r.study(9), StoreError, "no study 9"),
        (lambda r: r.frame(9), StoreError, "no study 9"),
        (lambda r: r.trial(1, 9), StoreError, "no trial 9"),
        (lambda r: r.trials(1, order="best"), ArgumentError, "'id' or 'score'"),
        (lambda r: r.trials(1, states="done"), ArgumentError, "must be one of waiting"),
    ],
)
def test_what_is_not_there(writer, study, ask, error, said):
    with pytest.raises(error, match=said):
        ask(writer.reader())


def test_open_reader_takes_a_writer(writer, study):
    with open_reader(writer) as reader:
        assert reader.counts(study)["complete"] == 2
    assert writer.reader().counts(study)["complete"] == 2
