import numpy as np
import pytest

from vtune import schedulers
from vtune.errors import ArgumentError
from vtune.records import Decision
from vtune.schedulers import (
    ASHA,
    PBT,
    Hyperband,
    Median,
    Patience,
    Report,
    Scheduler,
    StudyInfo,
    SuccessiveHalving,
    Threshold,
    Verdict,
)
from vtune.space import Float, Space

STUDY = StudyInfo(steps=20, trials=8, eval_every=5)


class Worst:
    """A scheduler as a user would write it: stops the worst trial of each report."""

    name = "worst"

    def init(self):
        return {"stopped": 0}

    def decide(self, state, report):
        verdict = Verdict.going_on(len(report.trial))
        verdict.action[np.argmax(report.score)] = Decision.STOP
        return {"stopped": state["stopped"] + 1}, verdict


def test_none_and_a_scheduler_of_the_users_are_taken_as_they_are():
    worst = Worst()
    assert schedulers.make(None) is None
    assert schedulers.make(worst) is worst
    assert schedulers.prepared(worst, STUDY) is worst
    assert schedulers.marks(worst) == ()
    assert isinstance(worst, Scheduler)


def test_a_scheduler_sees_whole_arrays_and_gives_a_verdict_on_each_trial():
    report = Report(
        trial=np.array([3, 5, 8]),
        step=np.array([10, 10, 20]),
        score=np.array([0.2, 0.9, 0.1]),
        finished=np.zeros(3, bool),
    )
    state, verdict = Worst().decide(Worst().init(), report)
    assert state == {"stopped": 1}
    assert verdict.action.tolist() == [Decision.CONTINUE, Decision.STOP, Decision.CONTINUE]
    assert verdict.source.tolist() == [-1, -1, -1]
    assert verdict.action.dtype == np.int8
    assert verdict.source.dtype == np.int64


def test_a_name_gives_the_scheduler_with_its_default_settings():
    assert schedulers.names() == (
        "asha", "hyperband", "median", "patience", "pbt", "successive-halving", "threshold",
    )  # fmt: skip
    assert schedulers.make("asha") == ASHA()
    assert schedulers.make("successive-halving") == SuccessiveHalving()
    with pytest.raises(ArgumentError, match=r"Threshold needs a bound, .*: write Threshold\(\"loss\", upper=10.0\)"):
        schedulers.make("threshold")


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("ashe", r"scheduler must be None, one of 'asha', .*got 'ashe'"),
        (Worst, r"got the class Worst. Write Worst\(...\)"),
        (object(), "object lacks name, init, decide"),
        (3, "int lacks name, init, decide"),
    ],
)
def test_what_is_no_scheduler_is_refused(scheduler, message):
    with pytest.raises(ArgumentError, match=message):
        schedulers.make(scheduler)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ASHA(0), "min_steps must be a whole number of at least 1, not 0"),
        (lambda: ASHA(10, 1), "reduction must be a whole number of at least 2, not 1"),
        (lambda: ASHA(10, 2.5), "reduction must be a whole number of at least 2, not 2.5"),
        (lambda: ASHA(True), "min_steps must be a whole number of at least 1, not True"),
        (lambda: ASHA(10, variant="stop"), "variant must be one of 'stopping', 'promoting', not 'stop'"),
        (lambda: SuccessiveHalving(10, cohort=0), "cohort must be a whole number of at least 1, not 0"),
        (lambda: Hyperband(reduction="3"), "reduction must be a whole number of at least 2, not '3'"),
        (lambda: Median(min_trials=0), "min_trials must be a whole number of at least 1, not 0"),
        (lambda: Patience(0), "patience must be a whole number of at least 1, not 0"),
        (lambda: Patience(min_delta=-0.1), "min_delta must be a finite number of at least 0, not -0.1"),
        (lambda: Threshold("loss", upper="1"), "upper must be a number or None, not '1'"),
        (lambda: Threshold("loss", lower=2.0, upper=1.0), "lower must be at most upper, .* got lower=2.0, upper=1.0"),
        (lambda: PBT(quantile=0.6), "quantile must be a number from 0 to 0.5, not 0.6"),
        (lambda: PBT(resample=-1), "resample must be a number from 0 to 1, not -1"),
        (lambda: PBT(perturb=(0.8,)), r"perturb must be two positive factors, as \(0.8, 1.2\), not \(0.8,\)"),
        (lambda: PBT(names="lr"), "names must be a list of names, not the one string 'lr'"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


SPACE = Space(lr=Float(0.0, 1.0))
TWO = StudyInfo(steps=20, trials=8, eval_every=5, objectives=(("loss", "min"), ("size", "min")), space=SPACE)


@pytest.mark.parametrize(
    ("scheduler", "study", "message"),
    [
        (ASHA(20), STUDY, "ASHA: the first rung, min_steps=20, must be below the study's steps=20"),
        (ASHA(10, max_steps=5), STUDY, "min_steps=10, must be below the study's steps=20 and at most max_steps=5"),
        (SuccessiveHalving(30), STUDY, "SuccessiveHalving: the first rung, min_steps=30, must be below"),
        (Hyperband(7), STUDY, r"Hyperband: min_steps must be at most steps // reduction = 6, .*; got 7"),
        (Median(), TWO, "Median compares one score; this study has several: loss, size"),
        (Patience(), TWO, "Patience compares one score"),
        (Threshold("gain", upper=1.0), StudyInfo(20, 8, 5, metrics=("loss", "acc")), "measures acc, loss"),
        (Threshold("loss", upper=1.0, step=21), STUDY, "step must be at most the study's steps=20, not 21"),
        (PBT(), STUDY, "StudyInfo.space must be the study's space, not None"),
        (PBT(names=("lr", "wd")), TWO, r"PBT: names must be of the space \(lr\); got wd"),
        (PBT(interval=20), TWO, "PBT: interval=20 must be below the study's steps=20"),
    ],
)
def test_a_study_that_does_not_fit_the_settings_is_refused(scheduler, study, message):
    with pytest.raises(ArgumentError, match=message):
        scheduler.for_study(study)


def test_a_metric_that_is_not_reported_is_refused():
    rule = Threshold("gain", upper=1.0)
    report = Report(np.array([0]), np.array([5]), np.array([0.5]), np.array([False]), {"loss": np.array([0.5])})
    with pytest.raises(ArgumentError, match="metric='gain' is not measured by the task; it measures loss"):
        rule.decide(rule.init(), report)
