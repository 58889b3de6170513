"""How trials end, from what was measured and what the scheduler said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune.driver.measured import Measured
from vtune.records import Decision, TrialState
from vtune.schedulers import Verdict


def ends_of(
    rows: Measured, verdict: Verdict, diverged: np.ndarray, complete: np.ndarray, paused: Sequence[int], idle: bool
) -> dict[int, TrialState]:
    """The trials that end now, by id, ascending.

    Args:
      rows: what was measured, n trials.
      verdict: on these, and on trials that were paused.
      diverged: which of them are no longer finite, bool [n].
      complete: which have done all their steps, bool [n].
      paused: ids of trials that were paused before.
      idle: whether nothing trains: then paused trials that the verdict does not mention are stopped.
    """
    ends = {}
    for trial, bad, good, action in zip(rows.trial.tolist(), diverged, complete, verdict.action, strict=True):
        if bad:
            ends[trial] = TrialState.DIVERGED
        elif good or action == Decision.FINISH:
            ends[trial] = TrialState.COMPLETE
        elif action == Decision.STOP:
            ends[trial] = TrialState.STOPPED
    recall = verdict.recall
    recalled = {} if recall is None else dict(zip(recall.trial.tolist(), recall.action.tolist(), strict=True))
    for trial in paused:
        action = recalled.get(trial)
        if action == Decision.FINISH:
            ends[trial] = TrialState.COMPLETE
        elif action == Decision.STOP or (action is None and idle):
            ends[trial] = TrialState.STOPPED
    return dict(sorted(ends.items()))
