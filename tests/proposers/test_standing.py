import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.proposers.history import History
from vtune.proposers.standing import front, ranking, standing
from vtune.space import Int, Space

SPACE = Space(number=Int(0, 999))


def history(rows):
    """A history of (number, score or scores, step or None)."""
    made = History(SPACE)
    for number, score, step in rows:
        made.tell([{"number": number}], [score], None if step is None else [step])
    return made


def numbers(made):
    return [config["number"] for config in SPACE.from_unit(made.unit[standing(made)])]


def test_one_objective_is_ordered_by_score_and_what_diverged_is_last():
    assert numbers(history([(1, 0.3, None), (2, np.nan, None), (3, 0.1, None), (4, 0.3, None), (5, np.inf, None)])) == [
        3, 1, 4, 2, 5,
    ]  # fmt: skip


def test_without_steps_a_config_told_twice_is_two_trials():
    assert numbers(history([(1, 0.3, None), (2, 0.2, None), (1, 0.1, None)])) == [1, 2, 1]


def test_scores_are_compared_at_equal_steps_only():
    made = history([(1, 0.9, 10), (2, 0.8, 10), (3, 0.7, 10), (4, 0.6, 10), (2, 0.5, 30), (4, 0.65, 30)])
    assert numbers(made) == [2, 3, 4, 1], "2 and 4 share the places that 4 and 2 held at step 10"


def test_a_trial_of_which_only_the_end_is_known_stands_before_those_stopped():
    made = history([(1, 0.4, 10), (2, 0.9, 100), (3, 0.1, 10), (4, 0.8, None), (5, 0.2, 30)])
    assert numbers(made) == [4, 2, 5, 3, 1]


def test_a_trial_between_known_ones_stands_with_them():
    made = history([(1, 0.1, 10), (2, 0.2, 10), (3, 0.3, 10), (1, 0.5, 20), (3, 0.1, 20), (9, 0.3, 20)])
    assert numbers(made) == [3, 2, 9, 1]


def test_a_trial_that_diverges_late_is_last():
    assert numbers(history([(1, 0.1, 10), (2, 0.2, 10), (1, np.nan, 20)])) == [2, 1]


def test_of_two_scores_at_a_step_the_later_counts():
    assert numbers(history([(1, 0.1, 10), (2, 0.2, 10), (1, 0.3, 10)])) == [2, 1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-1, 1), st.sampled_from([1, 3, 9])), max_size=30))
def test_every_trial_stands_once_with_its_latest_row(rows):
    made = history(rows)
    order = standing(made)
    assert sorted(numbers(made)) == sorted({number for number, _, _ in rows})
    latest = {}
    for row, (number, _, step) in enumerate(rows):
        if number not in latest or step >= rows[latest[number]][2]:
            latest[number] = row
    assert set(order.tolist()) == set(latest.values())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.integers(0, 5))
def test_when_better_trials_go_on_and_stay_better_the_order_is_that_of_scores(scores, kept):
    scores = sorted(set(scores))
    rows = [(n, score, 10) for n, score in enumerate(scores)]
    rows += [(n, score - 5, 30) for n, score in enumerate(scores[:kept])]
    assert numbers(history(rows)) == list(range(len(scores)))


def dominated(losses, row):
    return any((losses[row] >= other).all() and (losses[row] > other).any() for other in losses)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(0, 40), st.integers(2, 8), st.integers(0, 99))
def test_a_front_is_what_nothing_dominates(objectives, count, levels, seed):
    losses = np.random.default_rng(seed).integers(levels, size=(count, objectives)).astype(float)
    assert front(losses).tolist() == [not dominated(losses, row) for row in range(count)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(0, 60), st.integers(0, 99))
def test_nobody_stands_behind_what_it_dominates(objectives, count, seed):
    losses = np.random.default_rng(seed).normal(size=(count, objectives)).round(1)
    order = ranking(losses)
    assert sorted(order.tolist()) == list(range(count))
    for place, row in enumerate(order):
        for worse in order[:place]:
            assert not ((losses[row] <= losses[worse]).all() and (losses[row] < losses[worse]).any())


def test_the_ends_of_a_front_come_before_its_crowd():
    losses = np.array([[0.5, 0.5], [0.0, 1.0], [0.51, 0.49], [1.0, 0.0], [0.52, 0.48]])
    assert set(ranking(losses)[:2].tolist()) == {1, 3}


@pytest.mark.parametrize("objectives", [2, 3])
def test_many_rows_are_ranked_without_sorting_all_into_fronts(objectives):
    losses = np.random.default_rng(0).random((20_000, objectives))
    order = ranking(losses)
    assert sorted(order.tolist()) == list(range(20_000))
    assert front(losses)[order[: front(losses).sum()]].all()
