import numpy as np
import pytest

from vtune.errors import SchedulerError
from vtune.records import Decision
from vtune.schedulers import Recall, Report, Verdict, checked

REPORT = Report(np.array([3, 5]), np.array([10, 10]), np.array([0.1, 0.2]), np.zeros(2, bool))
GO, STOP, COPY, PAUSE = Decision.CONTINUE, Decision.STOP, Decision.COPY, Decision.PAUSE


def test_a_verdict_that_can_be_carried_out_is_given_in_full():
    verdict = Verdict([GO, COPY], [-1, 8], configs={5: {"lr": 0.1}}, recall=Recall.of([8, 1], [COPY, STOP], [3, -1]))
    plain = checked(verdict, REPORT, paused=[1, 2, 8])
    assert plain.action.tolist() == [GO, COPY]
    assert plain.action.dtype == np.int8
    assert plain.save.tolist() == [False, False]
    assert plain.recall.trial.tolist() == [8, 1]
    assert len(checked(Verdict.going_on(2), REPORT, paused=[]).recall.trial) == 0


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (Verdict.of([GO]), r"action must have shape \[2\], as the report; got \[1\]"),
        (Verdict.of([GO, GO], save=np.array([True])), r"save must have shape \[2\]"),
        (Verdict.of([GO, 9]), "action on trial 5 must be one of CONTINUE, STOP, COPY, PAUSE, FINISH; got 9"),
        (
            Verdict.of([GO, GO], recall=Recall.of([1], PAUSE)),
            "trial 1 must be one of CONTINUE, STOP, COPY, FINISH; got 3",
        ),
        (Verdict.of([GO, GO], recall=Recall.of([3])), r"recalled trials must be paused.* got \[3\] where \[1, 8\] are"),
        (Verdict.of([GO, GO], recall=Recall.of([1, 1])), r"each named once; got \[1, 1\]"),
        (Verdict.of([GO, GO], recall=Recall(np.array([1]), np.array([0, 0]), np.array([-1]))), "of one length"),
        (Verdict.of([GO, COPY]), "source must be in the report or paused; trial 5 was to copy -1"),
        (Verdict.of([GO, COPY], source=np.array([-1, 4])), "trial 5 was to copy 4"),
        (Verdict.of([GO, GO], configs={3: {}}), r"only trials that copy may have new configs; got some for \[3\]"),
    ],
)
def test_a_verdict_that_cannot_be_carried_out_is_refused(verdict, message):
    with pytest.raises(SchedulerError, match=message) as error:
        checked(verdict, REPORT, paused=[1, 8], scheduler="mine")
    assert str(error.value).startswith("mine: ")
