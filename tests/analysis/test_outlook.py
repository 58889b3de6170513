"""What more trials gain is forecast without bias, and predictions are judged by what came."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from vtune.analysis import calibration, guards, programs, read_curves, room_left, time_to_target
from vtune.errors import ArgumentError

DRAWS = {
    "uniform": lambda rng, n: rng.random(n),
    "crowded at the end": lambda rng, n: rng.random(n) ** 2,
    "normal": lambda rng, n: rng.standard_normal(n),
    "exponential": lambda rng, n: -rng.exponential(size=n),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_forecasts_hold_for_trials_that_are_then_drawn(kind):
    """Of 60 studies of 150 trials, half end below the promised middle after 600 more, and most in the promised span."""
    inside, below = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores, further = (DRAWS[kind](rng, n) for n in (150, 600))
        room = room_left(scores, "min", 600)
        best = min(scores.min(), further.min())
        inside.append(room.low <= best <= room.high)
        below.append(best <= room.expected)
    assert np.mean(inside) > 0.75
    assert 0.25 < np.mean(below) < 0.75


def test_the_chance_of_something_better_is_that_of_the_best_lying_among_the_new():
    assert room_left(np.random.default_rng(0).random(100), "max", 300).chance == 0.75


def test_the_best_of_many_tells_as_much_as_all():
    scores = np.sort(np.random.default_rng(0).standard_normal(20_000))
    whole, tail = room_left(scores, "min", 1000), room_left(scores[:4000], "min", 1000, total=20_000)
    assert tail.chance == whole.chance
    assert tail.expected == pytest.approx(whole.expected, abs=0.1)


def test_modes_mirror_each_other():
    scores = np.random.default_rng(0).random(100)
    low, high = room_left(scores, "min"), room_left(-scores, "max")
    assert (low.best, low.expected) == (-high.best, -high.expected)
    assert (low.low, low.high) == (-high.high, -high.low)


@pytest.mark.parametrize("scores", [[1.0] * 40, [0.0, 1.0] * 30, list(range(25))])
def test_scores_that_repeat_are_no_trouble(scores):
    room = room_left(scores, "min", 10)
    assert np.isfinite([room.expected, room.low, room.high]).all()
    assert room.low <= room.expected <= room.high == room.best or room.expected == room.best


def test_few_trials_say_nothing():
    assert room_left([1.0, 2.0, math.nan], "min") is None
    with pytest.raises(ArgumentError):
        room_left([1.0] * 30, "lowest")


def test_a_prediction_is_judged_by_rank_distance_and_deviation():
    rng = np.random.default_rng(0)
    expected = rng.random(500)
    came = expected + 0.1 * rng.standard_normal(500)
    right, timid = calibration(expected, np.full(500, 0.1), came), calibration(expected, np.full(500, 0.02), came)
    assert right.covered == pytest.approx(0.95, abs=0.03)
    assert timid.covered < 0.5
    assert right.rank == timid.rank > 0.9
    assert calibration([1.0], [math.nan], [math.nan]).trials == 0
    assert math.isnan(calibration([1.0, 2.0], [math.nan] * 2, [1.0, 2.0]).covered)


def test_targets_are_reached_at_the_first_trial_that_is_as_good():
    records = pd.DataFrame({"score": [0.5, 0.7, 0.9], "trials": [1, 4, 30], "seconds": [1.0, 2.0, 9.0]})
    assert time_to_target(records, 0.7, "max") == (4, 2.0)
    assert time_to_target(records, 0.95, "max") is None
    assert time_to_target(records, 0.6, "min") == (1, 1.0)


def test_curves_are_read_by_trial():
    steps = np.arange(10, 110, 10)
    lines = pd.concat(
        [
            pd.DataFrame({"trial": 3, "step": steps, "loss": 1 / steps, "train_loss": 1 / steps}),
            pd.DataFrame({"trial": 5, "step": steps, "loss": 2.3, "train_loss": 2.3}),
        ]
    )
    table = read_curves(lines, pd.DataFrame({"id": [5, 3, 9], "state": ["complete", "complete", "diverged"]}))
    assert table["trial"].tolist() == [5, 3, 9]
    assert table["verdict"].tolist()[0] == "underfitting"
    assert table["verdict"].tolist()[2] == "diverged"


def test_programs_and_questions_are_told_from_the_report():
    guard = {"question": "hp.n > 2", "outcome": "True", "place": "model.py:9", "names": ["n"]}
    program = {
        "guards": [guard],
        "lanes": 8,
        "trials": 5,
        "trace_seconds": 0.1,
        "compile_seconds": None,
        "step_seconds": 0.008,
    }
    report = {"kinds": {"lr": "traced", "n": "guarded"}, "programs": [program, program]}
    table, asked = programs(report), guards(report)
    assert table["step"].tolist() == [1.0, 1.0]
    assert table["compile"].isna().all()
    assert asked[["hyperparameter", "question", "place", "answers"]].to_numpy().tolist() == [
        ["lr", "", "", ""],
        ["n", "hp.n > 2", "model.py:9", "True in 2"],
    ]
    assert programs({}).empty
    assert guards({}).empty
