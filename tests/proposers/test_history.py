import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import spaces

from vtune.errors import ArgumentError, ConfigError, ProposerError
from vtune.proposers.history import SMALLEST, History, rung
from vtune.space import Choice, Float, Int, Space

SPACE = Space(c=Choice("a", "b"), x=Float(0.0, 2.0, when={"c": "a"}), n=Int(1, 4))


def told(count, seed=0, objectives=1):
    history, rng = History(SPACE), np.random.default_rng(seed)
    configs, scores = SPACE.sample(count, rng), rng.normal(size=(count, objectives))
    history.tell(configs, scores)
    return history, configs, scores


def test_rows_are_units_and_scores_in_the_order_of_telling():
    history, configs, scores = told(300, objectives=2)
    np.testing.assert_array_equal(history.unit, SPACE.to_unit(configs))
    np.testing.assert_array_equal(history.scores, scores)
    assert (len(history), history.objectives) == (300, 2)
    assert np.isnan(history.steps).all()


@settings(max_examples=30, deadline=None)
@given(spaces(most=4, count=6), st.integers(0, 20), st.integers(0, 99))
def test_what_was_told_is_known_and_nothing_else(space, count, seed):
    rng = np.random.default_rng(seed)
    configs, others = space.sample(count, rng), space.sample(20, rng)
    history = History(space)
    history.tell(configs, np.zeros(count))
    assert history.knows(history.encode(configs)).all()
    assert history.knows(space.snap(space.to_unit(configs))).all()
    assert history.knows(history.encode(others)).tolist() == [config in configs for config in others]


def test_a_trial_that_diverged_has_the_worst_of_the_other_scores():
    history = History(SPACE)
    history.tell([{"c": "b", "n": n} for n in (1, 2, 3, 4)], [0.5, np.nan, np.inf, 3.0])
    assert history.diverged.tolist() == [False, True, True, False]
    assert history.losses[:, 0].tolist() == [0.5, 3.0, 3.0, 3.0]
    assert np.isnan(history.scores[1, 0])


def test_a_trial_that_lacks_one_of_its_scores_has_the_worst_of_all():
    history = History(SPACE)
    history.tell([{"c": "b", "n": n} for n in (1, 2, 3)], [[0.1, 9.0], [0.0, np.nan], [0.4, 2.0]])
    assert history.losses.tolist() == [[0.1, 9.0], [0.4, 9.0], [0.4, 2.0]]


def test_without_a_single_score_all_are_equal():
    history = History(SPACE)
    history.tell([{"c": "b", "n": 1}, {"c": "b", "n": 2}], [np.nan, -np.inf])
    assert history.losses.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("count", [0, 1, SMALLEST, SMALLEST + 1, 1500])
def test_padding_goes_up_to_a_rung_and_says_what_is_real(count):
    history, _, scores = told(count)
    padded = history.padded()
    assert len(padded.real) == rung(count) == len(padded.unit) == len(padded.losses) == len(padded.steps)
    np.testing.assert_array_equal(padded.unit[padded.real], history.unit)
    np.testing.assert_array_equal(padded.losses[padded.real], scores)
    assert np.isnan(padded.unit[~padded.real]).all()
    assert (padded.losses[~padded.real] == 0).all()


def test_padding_takes_the_rows_that_it_is_given():
    history, _, scores = told(100)
    padded = history.padded(np.array([7, 3]))
    assert padded.losses[padded.real, 0].tolist() == [scores[7, 0], scores[3, 0]]
    assert len(padded.real) == SMALLEST


@pytest.mark.parametrize("count", [0, 3, 1024, 2500])
def test_a_state_holds_every_bit(count):
    history, configs, _ = told(count, objectives=2)
    history.tell(configs[:1], np.full((len(configs[:1]), 2), np.nan), steps=np.full(len(configs[:1]), 30))
    other = History(SPACE)
    other.tell(configs[:2], np.zeros(len(configs[:2])))
    other.restore(json.loads(json.dumps(history.state(), allow_nan=False)))
    for name in ("unit", "scores", "steps"):
        np.testing.assert_array_equal(getattr(other, name), getattr(history, name))
    assert other.knows(other.encode(configs)).all()
    assert other.state() == history.state()


def test_a_state_is_that_of_its_time():
    history, configs, _ = told(1500)
    before = json.dumps(history.state())
    history.tell(configs, np.zeros(1500))
    after = json.dumps(history.state())
    history.restore(json.loads(before))
    assert (len(history), json.dumps(history.state())) == (1500, before)
    assert after != before


@pytest.mark.parametrize(
    "state", [None, {}, {"names": ["c", "x", "n"]}, {"names": ["c", "x", "n"], "objectives": 1, "rows": ["no"]}]
)
def test_what_is_no_state_is_refused(state):
    history, _, _ = told(5)
    with pytest.raises(ProposerError, match="a state's history must have the hyperparameters c, x, n"):
        history.restore(state)
    assert len(history) == 5


def test_misuse_is_refused_and_changes_nothing():
    history, configs, _ = told(2)
    with pytest.raises(ArgumentError, match="scores must have 1 objectives, as those told before; got 2"):
        history.tell(configs, np.zeros((2, 2)))
    for steps in ([1], [1, np.nan], [1, -1], "no", [[1, 2]]):
        with pytest.raises(ArgumentError, match="steps must be"):
            history.tell(configs, [1, 2], steps)
    with pytest.raises(ConfigError, match="'n' must be a whole number from 1 to 4; got 9"):
        history.tell([{"c": "b", "n": 9}], [1.0])
    assert len(history) == 2
    with pytest.raises(ValueError, match="read-only"):
        history.unit[0, 0] = 0.5
