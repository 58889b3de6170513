"""Bounded reads agree with what the whole study says, and stay bounded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from stored import EVALS, METRICS, store_study

from vtune.errors import ArgumentError, StoreError
from vtune.plots import history
from vtune.store import open_writer, summaries

READS = (
    summaries.sample,
    summaries.records,
    summaries.scatter,
    summaries.measurement_sample,
    summaries.distribution,
    summaries.best_scores,
    summaries.histogram,
    summaries.objectives,
    summaries.placement,
    summaries.busy,
    summaries.proposals,
    summaries.by_origin,
)


@pytest.fixture(scope="module")
def writer():
    with open_writer(None) as writer:
        yield writer


@pytest.fixture(scope="module")
def reader(writer):
    return writer.reader()


@pytest.fixture(scope="module")
def study(writer):
    return store_study(writer, "bowl", 1300).id


@pytest.fixture(scope="module")
def frame(reader, study):
    return reader.frame(study)


@pytest.fixture(scope="module")
def complete(frame):
    return frame[frame["state"] == "complete"]


@pytest.mark.parametrize("read", READS)
def test_a_study_without_trials_gives_no_rows_and_an_unknown_one_an_error(writer, reader, read):
    empty = store_study(writer, f"empty {read.__name__}", 0).id
    assert len(read(reader, empty)) == 0
    with pytest.raises(StoreError, match="has no study 99"):
        read(reader, 99)


def test_a_sample_holds_whole_rows_and_the_best(reader, study, frame, complete):
    found = summaries.sample(reader, study, 100, best=20)
    assert 100 <= len(found) <= 120
    assert found.attrs["total"] == 1300
    assert set(complete.nsmallest(20, "score")["id"]) <= set(found["id"])
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), frame[frame["id"].isin(found["id"])].reset_index(drop=True), check_dtype=False
    )
    assert len(summaries.sample(reader, study, 5000)) == 1300


def test_a_sample_is_the_same_for_the_same_seed_and_even_over_the_study(reader, study):
    first, again, other = (summaries.sample(reader, study, 300, seed=seed)["id"] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()
    assert 500 < first.mean() < 800


@pytest.mark.parametrize("order", ["id", "finished"])
def test_records_are_the_corners_of_the_best_so_far(reader, study, complete, order):
    found = summaries.records(reader, study, order=order)
    best = complete["score"].cummin()
    corners = complete[best < best.shift(fill_value=np.inf)]
    if order == "id":
        assert found["id"].tolist()[:-1] == corners["id"].tolist()
        assert found["score"].tolist()[:-1] == corners["score"].tolist()
    assert found["score"].iloc[-1] == complete["score"].min()
    assert found["trials"].iloc[-1] == len(complete)
    assert found["trials"].is_monotonic_increasing
    assert found["seconds"].min() >= 0


def test_records_of_a_second_objective_follow_its_mode(writer, reader):
    two = store_study(writer, "two", 80, seed=2, objectives=(("loss", "min"), ("size", "max"))).id
    frame = reader.frame(two)
    largest = frame[frame["state"] == "complete"]["size"].max()
    assert summaries.records(reader, two, 1)["score"].iloc[-1] == largest
    with pytest.raises(ArgumentError, match="loss, size"):
        summaries.records(reader, two, 2)
    with pytest.raises(ArgumentError, match="'id' or 'finished'"):
        summaries.records(reader, two, order="score")


def test_a_scatter_holds_all_records_and_counts_what_it_leaves_out(reader, study, frame):
    found = summaries.scatter(reader, study, 100)
    assert set(summaries.records(reader, study)["id"]) <= set(found["id"])
    assert len(found) < 130
    assert found.attrs == {"total": 1300, "unscored": int((frame["state"] == "diverged").sum())}


def test_measurements_are_drawn_evenly(reader, study, frame):
    whole = reader.curves(study)
    found = summaries.measurement_sample(reader, study, 500)
    assert (len(found), found.attrs["total"]) == (500, len(whole))
    assert list(found.columns) == ["trial", "step", *METRICS]
    share = found["step"].value_counts(normalize=True)
    np.testing.assert_allclose(share, whole["step"].value_counts(normalize=True).loc[share.index], atol=0.07)
    pd.testing.assert_frame_equal(summaries.measurement_sample(reader, study, 10**6), whole, check_like=True)


def test_a_distribution_is_exact_where_it_is_given(reader, study, complete):
    found = summaries.distribution(reader, study, 50)
    assert len(found) <= 52
    shares = [(complete["score"] <= score).mean() for score in found["score"]]
    np.testing.assert_allclose(found["share"], shares)
    assert found["score"].iloc[[0, -1]].tolist() == [complete["score"].min(), complete["score"].max()]


def test_a_histogram_counts_every_complete_trial_once(reader, study, complete):
    found = summaries.histogram(reader, study, 13)
    edges = np.r_[found["left"], found["right"].iloc[-1]]
    assert found["trials"].sum() == len(complete)
    assert np.abs(found["trials"] - np.histogram(complete["score"], edges)[0]).max() <= 1


def test_the_best_scores_come_first(reader, study, complete):
    found = summaries.best_scores(reader, study, 7)
    assert found["score"].tolist() == complete["score"].nsmallest(7).tolist()
    assert found.attrs["total"] == len(complete)


def test_objectives_are_the_last_values_of_complete_trials(reader, study, complete):
    found = summaries.objectives(reader, study).set_index("id")["loss"]
    pd.testing.assert_series_equal(found.sort_index(), complete.set_index("id")["loss"])


def test_placement_can_be_narrowed_to_a_span(reader, study, frame):
    found = summaries.placement(reader, study, count=50)
    assert (len(found), found.attrs["total"]) == (50, 1300)
    assert found["started"].iloc[0] == 0.0
    span = summaries.placement(reader, study, 10.0, 20.0)
    assert span["started"].max() <= 20.0
    assert span["finished"].min() >= 10.0
    assert 0 < len(span) < 100


def test_busy_lanes_add_up_to_the_time_that_trials_took(reader, study):
    busy, placed = summaries.busy(reader, study, 77), summaries.placement(reader, study, count=2000)
    width = busy["seconds"].iloc[1] - busy["seconds"].iloc[0]
    end = busy["seconds"].iloc[-1] + width / 2
    took = (placed["finished"].fillna(end) - placed["started"]).sum()
    assert busy["lanes"].sum() * width == pytest.approx(took)
    assert busy["lanes"].max() <= 8 + 1e-9
    assert busy["ended"].sum() * width == pytest.approx(placed["finished"].notna().sum())


def test_proposals_carry_what_was_expected_and_what_came(reader, study, frame):
    found = summaries.proposals(reader, study, 200)
    assert found.attrs["total"] == 1290
    assert 100 < len(found) <= 200
    scores = frame.set_index("id")["score"].loc[found["trial"]]
    np.testing.assert_array_equal(found["score"], scores)
    known = found["score"].notna()
    np.testing.assert_allclose(found["mean"][known], found["score"][known])


def test_origins_count_every_trial_once(reader, study, frame, complete):
    found = summaries.by_origin(reader, study).set_index("origin")
    assert found["trials"].to_dict() == frame["origin"].value_counts().to_dict()
    assert found["complete"].sum() == len(complete)
    assert found["best"].min() == complete["score"].min()


def test_trials_that_break_a_constraint_are_never_the_best(writer, reader):
    name, bound = "constrained", 1500.0
    study = store_study(writer, name, 200, choices={"constraints": [f"size <= {bound}", "gone <= 1"]}).id
    frame = reader.frame(study)
    whole = frame[frame["state"] == "complete"]
    kept = whole[whole["size"] <= bound]
    assert 0 < len(kept) < len(whole)
    assert kept["score"].min() > whole["score"].min()
    found = summaries.scatter(reader, study)
    assert found.set_index("id")["holds"][whole["id"]].tolist() == (whole["size"] <= bound).tolist()
    assert summaries.records(reader, study)["score"].iloc[-1] == kept["score"].min()
    assert summaries.best_scores(reader, study, 3)["id"].tolist() == kept.nsmallest(3, "score")["id"].tolist()
    assert summaries.best_scores(reader, study).attrs["total"] == len(kept)
    trials = summaries.best_trials(reader, study, 3)
    assert [(trial.id, trial.score) for trial in trials] == list(
        kept.nsmallest(3, "score")[["id", "score"]].itertuples(index=False, name=None)
    )
    assert set(summaries.objectives(reader, study)["id"]) == set(kept["id"])
    line = next(part for part in history(found, "min").data if part.name == "best so far")
    assert line.y[-1] == kept["score"].min()


def test_a_trial_was_measured_so_often(reader, study):
    """The study in these tests is as its maker says, so that the tests above are not empty."""
    counts = reader.counts(study)
    assert min(counts.get(state, 0) for state in ("complete", "stopped", "diverged", "running")) >= 3
    assert reader.curves(study, [0])["step"].tolist() == [10 * i for i in range(1, EVALS + 1)]
