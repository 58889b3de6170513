"""Fronts and hypervolumes agree with their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.analysis import hypervolume, hypervolume_over, non_dominated, reference_point
from vtune.errors import ArgumentError

VALUES = st.integers(1, 4).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 5), min_size=k, max_size=k), min_size=1, max_size=30)
)


@given(VALUES, st.randoms(use_true_random=False))
def test_a_trial_is_on_the_front_exactly_if_no_other_beats_it(values, random):
    rows = np.array(values, float)
    modes = [random.choice(["min", "max"]) for _ in rows[0]]
    cost = rows * [1 if mode == "min" else -1 for mode in modes]
    wanted = [not ((cost <= row).all(axis=1) & (cost < row).any(axis=1)).any() for row in cost]
    assert non_dominated(rows, modes).tolist() == wanted


def test_trials_with_missing_values_are_not_on_the_front():
    assert non_dominated([[np.nan, 0.0], [1.0, 1.0]], ("min", "min")).tolist() == [False, True]


@settings(max_examples=30, deadline=None)
@given(VALUES.filter(lambda rows: len(rows[0]) < 4))
def test_the_hypervolume_is_the_share_of_cells_that_are_dominated(values):
    """On a grid of whole numbers the volume is the number of unit cubes that some trial dominates."""
    rows = np.array(values, float)
    cells = np.stack(np.meshgrid(*[np.arange(6)] * rows.shape[1], indexing="ij"), axis=-1).reshape(-1, rows.shape[1])
    dominated = (cells[:, None] >= rows).all(axis=2).any(axis=1).sum()
    assert hypervolume(rows, ["min"] * rows.shape[1], [6.0] * rows.shape[1]) == pytest.approx(dominated)


def test_the_hypervolume_grows_and_ends_at_that_of_all():
    rows = np.random.default_rng(0).random((80, 3))
    modes, corner = ("min", "max", "min"), (1.1, -0.1, 1.1)
    grown = hypervolume_over(rows, modes, corner)
    assert (np.diff(grown) >= 0).all()
    assert grown[-1] == pytest.approx(hypervolume(rows, modes, corner))
    assert grown[0] == pytest.approx(hypervolume(rows[:1], modes, corner))


def test_the_reference_lies_beyond_the_front_and_heeds_no_single_wild_trial():
    rows = np.random.default_rng(0).random((200, 2))
    rows[3] = 1e9, -1e9
    corner = reference_point(rows, ("min", "max"))
    front = rows[non_dominated(rows, ("min", "max"))]
    assert (front[:, 0] < corner[0]).all()
    assert corner[0] < 2.0
    assert corner[1] < 0.1


def test_no_objectives_are_refused():
    with pytest.raises(ArgumentError, match="at least one objective"):
        non_dominated([], ())
