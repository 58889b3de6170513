import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from schedulers.reference import dominates, ranked

from vtune.schedulers.ranking import comparable, first_in_each, leaders

values = st.sampled_from([0.0, 1.0, 2.0, 3.5, 5.0, np.inf])
tables = st.integers(1, 4).flatmap(
    lambda k: hnp.arrays(np.float64, st.tuples(st.integers(0, 25), st.just(k)), elements=values)
)


@settings(max_examples=200, deadline=None)
@given(scores=tables, count=st.integers(-1, 30), seed=st.integers(0, 99))
def test_the_leaders_are_the_first_of_the_plain_ranking_whatever_the_order(scores, count, seed):
    trial = np.random.default_rng(seed).permutation(len(scores)) * 3
    wanted = ranked(list(zip(map(tuple, scores.tolist()), trial.tolist(), strict=True)))[: max(0, count)]
    assert sorted(trial[leaders(scores, trial, count)].tolist()) == sorted(wanted)


@settings(max_examples=100, deadline=None)
@given(scores=tables, count=st.integers(1, 30))
def test_no_leader_is_dominated_by_one_that_is_left_out(scores, count):
    lead = leaders(scores, np.arange(len(scores)), count)
    for out in np.flatnonzero(~lead & np.isfinite(scores).all(axis=1)):
        assert not any(dominates(tuple(scores[out]), tuple(scores[best])) for best in np.flatnonzero(lead))


def test_many_objectives_are_compared_in_parts():
    points = np.random.default_rng(0).normal(size=(700, 3))
    first = leaders(points, np.arange(700), 700 // 3)
    front = np.array([not any((q <= p).all() and (q < p).any() for q in points) for p in points])
    assert first[front].all()
    assert first.sum() == 700 // 3


def test_a_score_that_is_missing_in_part_is_missing():
    table = comparable(np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, np.inf]]))
    assert np.isinf(table[1:]).all()
    assert np.isfinite(table[0]).all()
    assert comparable(np.empty(0)).shape == (0, 1)


@settings(max_examples=100, deadline=None)
@given(scores=tables, places=hnp.arrays(np.int64, 3, elements=st.integers(-1, 9)), seed=st.integers(0, 99))
def test_races_are_decided_each_alone(scores, places, seed):
    rng = np.random.default_rng(seed)
    trial, race = rng.permutation(len(scores)), rng.integers(0, 3, len(scores))
    lead = first_in_each(scores[:, 0], trial, race, places)
    for number, most in enumerate(places.tolist()):
        rows = race == number
        np.testing.assert_array_equal(lead[rows], leaders(scores[rows, :1], trial[rows], most))
