"""What a study's numbers say: best so far, bands, readings of curves, where to look next."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune import analysis
from vtune.errors import ArgumentError
from vtune.space import Choice, Float, Int, Space

SCORES = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), max_size=50)
STEPS = np.arange(100, 2100, 100)


def frame_of(scores, states=None, **columns):
    count = len(scores)
    data = {"id": range(count), "state": states or ["complete"] * count, "score": np.array(scores, float)}
    return pd.DataFrame(data | columns)


def curve_of(**columns):
    return pd.DataFrame({"step": STEPS, **columns})


@given(SCORES)
def test_best_so_far_is_the_best_of_every_prefix(scores):
    for mode, best in (("min", min), ("max", max)):
        line = analysis.best_so_far(scores, mode)
        for i, value in enumerate(line):
            seen = [score for score in scores[: i + 1] if not math.isnan(score)]
            assert value == best(seen) if seen else math.isnan(value)


@given(SCORES)
def test_best_trials_are_sorted_and_have_scores(scores):
    for mode, sign in (("min", 1), ("max", -1)):
        best = sign * analysis.best_trials(frame_of(scores), mode, 7)["score"].to_numpy()
        assert len(best) == min(7, sum(not math.isnan(score) for score in scores))
        assert (np.diff(best) >= 0).all()


def test_only_complete_trials_are_ranked_once_there_are_any():
    states = ["running", "complete", "diverged", "stopped"]
    scores = [0.1, 0.5, 0.0, 0.2]
    assert analysis.ranked(frame_of(scores, states)).tolist() == [False, True, False, False]
    assert analysis.ranked(frame_of([0.1, math.nan, 0.0, 0.2], states)).tolist() == [True, False, False, True]


@pytest.mark.parametrize("call", [analysis.best_so_far, lambda _, mode: analysis.best_trials(frame_of([1.0]), mode)])
def test_an_unknown_mode_is_refused(call):
    with pytest.raises(ArgumentError, match=r"'min', 'max'.*'lowest'"):
        call([1.0], "lowest")


@given(st.integers(1, 20), st.integers(1, 12))
def test_bands_are_the_quantiles_at_each_step(trials, evals):
    values = np.random.default_rng(trials).standard_normal((trials, evals))
    curves = pd.DataFrame(
        {"trial": np.repeat(range(trials), evals), "step": np.tile(range(evals), trials), "loss": values.ravel()}
    )
    table = analysis.bands(curves, "loss", [0.25, 0.5])
    np.testing.assert_allclose(table[0.25], np.quantile(values, 0.25, axis=0))
    np.testing.assert_allclose(table[0.5], np.median(values, axis=0))
    assert (table["trials"] == trials).all()


def test_bands_leave_out_what_is_not_finite_and_merge_steps():
    curves = pd.DataFrame({"trial": 0, "step": range(1000), "loss": np.r_[math.nan, math.inf, np.ones(998)]})
    table = analysis.bands(curves, "loss", max_steps=10)
    assert len(table) == 10
    assert (table[0.9] == 1.0).all()
    assert analysis.bands(curves[:1], "loss").empty


def test_bands_of_an_unknown_metric_name_those_that_there_are():
    with pytest.raises(ArgumentError, match=r"'lost'.*\['loss'\]"):
        analysis.bands(pd.DataFrame({"trial": [0], "step": [0], "loss": [1.0]}), "lost")


FALLING = 2.0 * np.exp(-STEPS / 300)
READINGS = {
    "converged": curve_of(loss=FALLING + 0.11, train_loss=FALLING + 0.1, grad_norm=1 + FALLING),
    "overfitting": curve_of(loss=FALLING + 0.1 + np.clip(STEPS - 900, 0, None) / 1500, train_loss=FALLING),
    "underfitting": curve_of(loss=2.3 - STEPS * 1e-6, train_loss=2.3 - STEPS * 1e-6),
    "still improving": curve_of(loss=2.3 - STEPS / 1000, train_loss=2.3 - STEPS / 1000),
    "unstable": curve_of(loss=0.2 + np.abs(STEPS - 1000) / 1000, train_loss=0.2 + np.abs(STEPS - 1000) / 1000),
}


@pytest.mark.parametrize("verdict", READINGS)
def test_a_curve_is_read_as_a_person_would(verdict):
    assert analysis.read_curve(READINGS[verdict]).verdict == verdict


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize("verdict", READINGS)
def test_the_verdict_does_not_depend_on_the_scale_of_the_loss(verdict, scale):
    curve = READINGS[verdict].copy()
    curve[["loss", "train_loss"]] *= scale
    assert analysis.read_curve(curve).verdict == verdict


def test_a_gap_without_a_rise_is_overfitting_too():
    wide = analysis.read_curve(curve_of(loss=0.5 * FALLING + 1.0, train_loss=FALLING))
    assert wide.verdict == "overfitting"
    assert wide.gap == pytest.approx(1.0, abs=0.01)


def test_gradients_are_read():
    vanishing = curve_of(loss=2.3 - STEPS * 1e-6, grad_norm=np.exp(-STEPS / 100))
    reading = analysis.read_curve(vanishing)
    assert (reading.verdict, reading.gradients) == ("underfitting", "vanishing")
    assert "gradients vanish" in reading.why
    exploding = curve_of(loss=FALLING + np.where(STEPS > 1500, 1e3, 0.0), grad_norm=np.where(STEPS > 1500, 1e5, 1.0))
    reading = analysis.read_curve(exploding)
    assert (reading.verdict, reading.gradients) == ("diverged", "exploding")


def test_little_data_is_no_verdict():
    assert analysis.read_curve(READINGS["converged"][:3]).verdict == "too short"
    assert analysis.read_curve(pd.DataFrame({"step": STEPS, "reward": FALLING})).verdict == "too short"
    assert analysis.read_curve(READINGS["converged"][:0], state="diverged").verdict == "diverged"


SPACE = Space(
    lr=Float(1e-5, 1e-1, log=True),
    depth=Int(1, 8),
    noise=Float(0.0, 1.0),
    optimizer=Choice("sgd", "adam"),
    momentum=Float(0.5, 0.99, when={"optimizer": "sgd"}),
)


def look_at(score_of, mode="min", trials=400):
    frame = pd.DataFrame(SPACE.sample(trials, np.random.default_rng(0)))
    frame = frame.assign(id=range(trials), state="complete", score=score_of(frame))
    return analysis.where_to_look(frame, SPACE, mode).set_index("parameter")


@pytest.mark.parametrize("mode", ["min", "max"])
def test_where_to_look_finds_the_end_the_middle_and_what_does_not_matter(mode):
    sign = 1 if mode == "min" else -1

    def score(frame):
        adam = (frame["optimizer"] == "adam").astype(float)
        return sign * (3 * np.abs(np.log10(frame["lr"]) + 3) - 3 * adam - 0.5 * frame["depth"])

    table = look_at(score, mode)
    assert table.loc["lr", "end"] == "middle"
    assert "narrow" in table.loc["lr", "hint"]
    assert table.loc["depth", "end"] == "high"
    assert table.loc["noise", "end"] == "all over"
    assert table.loc["optimizer", "end"] == "adam"
    assert table.loc["momentum", "hint"] == "too few trials to say"


def test_a_crowd_at_a_bound_says_on_which_side_to_go_on():
    table = look_at(lambda frame: np.log10(frame["lr"]))
    assert table.loc["lr", "end"] == "low"
    assert "below 1e-5" in table.loc["lr", "hint"]


@pytest.mark.parametrize("share", [0.0, 1.5, math.nan])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ArgumentError, match=r"\(0, 1\]"):
        analysis.where_to_look(frame_of([1.0]), SPACE, share=share)


def test_a_study_without_scores_has_nothing_to_look_at():
    frame = pd.DataFrame(SPACE.sample(3, np.random.default_rng(0))).assign(id=range(3), state="running", score=math.nan)
    assert (analysis.where_to_look(frame, SPACE)["end"] == "all over").all()
