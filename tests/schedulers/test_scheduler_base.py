import numpy as np
import pytest

from vtune import schedulers
from vtune.errors import ArgumentError
from vtune.records import Decision
from vtune.schedulers import Report, Scheduler, Verdict


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


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("ashe", r"scheduler must be None, one of 'asha', .*got 'ashe'"),
        (Worst, "got the class Worst. Write Worst"),
        (object(), "object lacks name, init, decide"),
        (3, "int lacks name, init, decide"),
    ],
)
def test_what_is_no_scheduler_is_refused(scheduler, message):
    with pytest.raises(ArgumentError, match=message):
        schedulers.make(scheduler)
