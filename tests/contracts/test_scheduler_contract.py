"""What must hold for every scheduler; each one that is registered is tested here by itself."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedulers.driver import SPACE, case, decisions, play

from vtune import schedulers
from vtune.errors import ArgumentError
from vtune.schedulers import Scheduler, StudyInfo

NEEDS_NUMBERS = {"threshold": schedulers.Threshold("loss", upper=2.0, step=6)}
VARIANTS = {
    **{name: NEEDS_NUMBERS.get(name) or schedulers.make(name) for name in schedulers.names()},
    "asha, promoting": schedulers.ASHA(variant="promoting", reduction=2),
    "pbt, drawn anew": schedulers.PBT(interval=2, quantile=0.5, resample=1.0),
    "halving, cohorts": schedulers.SuccessiveHalving(reduction=2, cohort=4),
}
SYNCHRONOUS = ["successive-halving", "halving, cohorts", "hyperband", "pbt", "pbt, drawn anew"]
STUDY = StudyInfo(steps=54, trials=9, eval_every=9, space=SPACE)

every_scheduler = pytest.mark.parametrize("name", VARIANTS)
few = settings(max_examples=12, deadline=None)
numbers = st.integers(0, 2**30)


@every_scheduler
@few
@given(number=numbers)
def test_every_trial_that_is_offered_ends_once(name, number):
    played = case(number, space=SPACE)
    out = play(VARIANTS[name], played)
    assert sorted(out.ends) == list(range(min(played.offered, played.study.trials)))
    for trial, end in out.ends.items():
        assert end != "complete" or out.steps[trial] == played.study.steps or name == "patience"


@every_scheduler
@few
@given(number=numbers)
def test_decisions_do_not_depend_on_the_order_inside_a_report(name, number):
    played = case(number, space=SPACE)
    assert_same(play(VARIANTS[name], played), play(VARIANTS[name], played, shuffled=True))


@every_scheduler
@few
@given(number=numbers)
def test_a_state_goes_through_json_and_is_not_changed_in_place(name, number):
    played = case(number, space=SPACE)
    assert_same(play(VARIANTS[name], played), play(VARIANTS[name], played, stored=True))


@pytest.mark.parametrize("name", SYNCHRONOUS)
@few
@given(number=numbers, lanes=st.integers(1, 20))
def test_who_waits_for_all_does_not_care_for_lanes_and_the_order_of_arrival(name, number, lanes):
    played = case(number, space=SPACE)
    one = play(VARIANTS[name], played)
    two = play(VARIANTS[name], dataclasses.replace(played, lanes=lanes, seed=played.seed + 1, together=False))
    assert one.ends == two.ends
    assert one.configs == two.configs


@every_scheduler
@few
@given(number=numbers)
def test_a_study_of_finite_trials_ends_with_a_complete_one(name, number):
    played = case(number, space=SPACE)
    played = dataclasses.replace(played, curves=np.nan_to_num(played.curves, nan=1.0))
    out = play(VARIANTS[name], played)
    assert "complete" in out.ends.values() or name == "threshold"
    assert "diverged" not in out.ends.values()


@every_scheduler
def test_a_study_in_which_every_trial_diverges_ends(name):
    played = case(3, space=SPACE)
    played.curves[:, played.study.steps // 2 :] = np.nan
    played.curves[:, : played.study.steps // 2] = 0.0
    assert set(play(VARIANTS[name], played).ends.values()) <= {"diverged", "stopped"}


@every_scheduler
def test_it_is_a_scheduler_that_describes_itself_and_is_told_of_a_study(name):
    scheduler = VARIANTS[name]
    assert isinstance(scheduler, Scheduler)
    told = scheduler.for_study(STUDY)
    assert told == scheduler
    assert told is not scheduler
    assert json.loads(json.dumps(told.describe())) == scheduler.describe()
    assert type(scheduler)(**scheduler.describe()) == scheduler
    assert all(0 < step < STUDY.steps for step in schedulers.marks(told))
    with pytest.raises(ArgumentError, match=r"must be told of the study first"):
        scheduler.study


@every_scheduler
def test_a_report_of_a_hundred_thousandth_trial_is_taken(name):
    told = VARIANTS[name].for_study(dataclasses.replace(STUDY, trials=100_000))
    report = schedulers.Report(
        np.array([7, 99_999]), np.array([2, 2]), np.array([0.1, 0.2]), np.zeros(2, bool),
        metrics={"loss": np.array([0.1, 0.2])}, configs={}, asked=100_000, closed=True,
    )  # fmt: skip
    _, verdict = told.decide(told.init(), report)
    assert schedulers.checked(verdict, report, paused=[]).action.shape == (2,)


def test_every_registered_scheduler_is_tested_here():
    assert {scheduler.name for scheduler in VARIANTS.values()} == set(schedulers.names())
    public = [getattr(schedulers, name) for name in schedulers.__all__]
    assert {kind.name for kind in public if hasattr(kind, "decide") and hasattr(kind, "for_study")} == set(
        schedulers.names()
    )


def assert_same(one, two):
    assert one.ends == two.ends
    assert one.saved == two.saved
    assert one.configs == two.configs
    assert [decisions(*pair) for pair in one.reports] == [decisions(*pair) for pair in two.reports]
