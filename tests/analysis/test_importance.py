"""Importance finds what matters, says how sure it is, and agrees with what is known of the function."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.analysis import importance, interactions, positions
from vtune.analysis.importance import METHODS
from vtune.errors import ArgumentError
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    strong=Float(1e-4, 1.0, log=True),
    weak=Float(-1.0, 1.0),
    kind=Choice("a", "b", "c"),
    count=Int(1, 8),
    child=Float(0.0, 1.0, when={"kind": "a"}),
    idle=Float(0.0, 1.0),
)
both = pytest.mark.parametrize("method", METHODS)


def trials(count=400, seed=0, **columns):
    frame = pd.DataFrame(SPACE.sample(count, np.random.default_rng(seed))).assign(id=range(count), state="complete")
    place = positions(frame, SPACE)
    score = 4 * (place["strong"] - 0.3) ** 2 + 0.5 * (place["weak"] - 0.8) ** 2 + 0.3 * (frame["kind"] == "b")
    return frame.assign(score=score).assign(**columns)


@both
def test_what_matters_comes_first_and_shares_sum_to_one(method):
    table = importance(trials(), SPACE, method=method)
    assert table["parameter"].iloc[0] == "strong"
    assert set(table["parameter"].iloc[1:3]) == {"weak", "kind"}
    assert table["importance"].sum() == pytest.approx(1.0)
    assert ((table["low"] <= table["importance"]) & (table["importance"] <= table["high"])).all()
    assert table.set_index("parameter")["active"]["child"] == pytest.approx(1 / 3, abs=0.1)


@both
def test_the_mode_turns_the_question_round(method):
    frame = trials()
    turned = importance(frame.assign(score=-frame["score"]), SPACE, "max", method=method)
    pd.testing.assert_frame_equal(turned, importance(frame, SPACE, "min", method=method))


@both
def test_more_trials_make_it_surer(method):
    few, many = (importance(trials(count), SPACE, method=method).set_index("parameter") for count in (60, 2000))
    assert (many["high"] - many["low"])["strong"] < (few["high"] - few["low"])["strong"]


@both
def test_a_score_that_nothing_explains_gives_no_confident_answer(method):
    noise = np.random.default_rng(1).random(300)
    table = importance(trials(300).assign(score=noise), SPACE, method=method)
    assert table["low"].max() < 0.35


@both
def test_a_constant_score_has_no_importance(method):
    table = importance(trials(50).assign(score=1.0), SPACE, method=method)
    assert (table[["importance", "low", "high"]].to_numpy() == 0).all()


def test_equal_trials_count_alike():
    """Of a score with two values the better half is among the best to the same share, in whatever order it comes."""
    frame = trials(300).assign(score=lambda rows: (rows["strong"] > 0.05).astype(float))
    mixed = frame.sample(frac=1.0, random_state=0)
    one, other = (importance(rows, SPACE).set_index("parameter")["importance"] for rows in (frame, mixed))
    assert one.idxmax() == "strong"
    assert abs(one - other).max() < 0.1


@both
@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_trials_say_nothing(method, count):
    assert importance(trials(30).head(count), SPACE, method=method).empty
    assert interactions(trials(30).head(count), SPACE).empty


@both
def test_trials_that_diverged_tell_what_makes_trials_bad(method):
    """Half of the space diverges and the other half scores alike: only the hyperparameter that divides them matters."""
    frame = trials(300, score=1.0 + 1e-6 * np.arange(300))
    bad = frame["strong"] > 0.01
    frame = frame.assign(state=np.where(bad, "diverged", "complete"), score=frame["score"].where(~bad))
    assert importance(frame, SPACE, method=method)["parameter"].iloc[0] == "strong"


def test_one_wild_score_does_not_decide():
    frame = trials()
    frame.loc[5, "score"] = 1e12
    assert importance(frame, SPACE, method="fanova")["parameter"].iloc[0] == "strong"


def test_ped_anova_only_ranks():
    frame = trials()
    stretched = frame.assign(score=np.exp(20 * frame["score"]))
    pd.testing.assert_frame_equal(importance(frame, SPACE), importance(stretched, SPACE))


def test_shares_of_variance_are_those_of_the_function():
    """f = x + 2 z on the unit square has variances 1/12 and 4/12; y adds nothing."""
    space = Space(x=Float(0, 1), y=Float(0, 1), z=Float(0, 1))
    frame = pd.DataFrame(space.sample(1500, np.random.default_rng(0))).assign(state="complete")
    table = importance(frame.assign(score=frame["x"] + 2 * frame["z"]), space, method="fanova")
    shares = table.set_index("parameter")["importance"]
    np.testing.assert_allclose(shares[["x", "y", "z"]], [0.2, 0.0, 0.8], atol=0.03)


def test_an_interaction_is_told_from_two_effects():
    space = Space(x=Float(-1, 1), y=Float(-1, 1), z=Float(-1, 1))
    frame = pd.DataFrame(space.sample(1500, np.random.default_rng(0))).assign(state="complete")
    table = interactions(frame.assign(score=frame["x"] * frame["y"] + 0.3 * frame["z"]), space)
    share = table.set_index(["first", "second"])["importance"]
    assert share["x", "y"] > 0.5 > share["z", "z"] > 0.1
    assert max(share["x", "x"], share["y", "y"], share["x", "z"], share["y", "z"]) < 0.05
    assert share.sum() <= 1.0 + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 60), st.sampled_from(METHODS))
def test_any_scores_give_finite_shares(seed, count, method):
    rng = np.random.default_rng(seed)
    states = rng.choice(["complete", "stopped", "diverged", "running"], count)
    scores = np.where(rng.random(count) < 0.2, np.nan, np.round(rng.standard_normal(count), 1))
    table = importance(trials(count, seed, state=states, score=scores), SPACE, method=method, seed=seed)
    values = table[["importance", "low", "high"]].to_numpy(float)
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (values <= 1 + 1e-9).all()


def test_unknown_methods_and_modes_are_refused():
    with pytest.raises(ArgumentError, match=r"ped-anova, fanova.*'shap'"):
        importance(trials(20), SPACE, method="shap")
    with pytest.raises(ArgumentError, match="mode must be one of"):
        interactions(trials(20), SPACE, "lowest")


def test_positions_follow_the_axes_of_the_space():
    space = Space(a=Float(1e-4, 1.0, log=True), b=Int(1, 5), c=Choice("x", None), d=Choice(1, 2, when={"c": "x"}))
    frame = pd.DataFrame({"a": [1e-4, 1e-2, 7.0], "b": [1, 5, 3], "c": ["x", None, "x"], "d": [2, None, 1]})
    np.testing.assert_allclose(
        positions(frame, space), [[0.0, 0.1, 0.25, 0.75], [0.5, 0.9, 0.75, np.nan], [1.0, 0.5, 0.25, 0.25]]
    )
