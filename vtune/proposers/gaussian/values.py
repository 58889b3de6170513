"""What the model learns in place of scores: their warped values, for trials that were stopped early too."""

from __future__ import annotations

import numpy as np

from vtune.proposers.history import History


def full(history: History, order: np.ndarray) -> np.ndarray:
    """Scores of trials as if each had had its full budget.

    A trial that was stopped early has the score that its standing among the others says: between those of the trials
    next to it that were not. Where none had its full budget, scores are places in the order.

    Args:
      history: what was told.
      order: rows from best to worst, as `standing` gives them.

    Returns:
      Finite scores of these rows, [len(order), objectives].
    """
    losses = history.losses[order]
    done = np.where(np.isnan(history.steps[order]), np.inf, history.steps[order])
    complete = (done == done.max(initial=0.0)) & ~history.diverged[order]
    lost = history.diverged[order]
    if complete[~lost].all() or losses.shape[1] > 1:
        return losses
    place = np.arange(len(order), dtype=np.float64)
    known = np.flatnonzero(complete)
    if not len(known):
        return np.where(lost, place[~lost].max(initial=0.0), place)[:, None]
    return np.interp(place, place[known], np.maximum.accumulate(losses[known, 0]))[:, None]
