"""What the model learns in place of scores: what each trial would have come to with its full budget."""

from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from vtune.proposers.history import History
from vtune.proposers.standing import trials


def full(history: History, order: np.ndarray) -> np.ndarray:
    """Scores of trials as if each had had its full budget.

    Only trials that had the most steps say what scores look like. Of one that was stopped before, a score is expected
    by what it had at its last step, as `expected` learns from those that went on from there; from the last step down,
    so that trials stopped late help with those stopped early.

    Args:
      history: what was told, also of trials that went on at a step at which others were stopped.
      order: the last row of each trial, as `standing` gives them.

    Returns:
      Finite scores of these rows, [len(order), objectives]; one that diverged has the worst.
    """
    steps, lost = np.where(np.isnan(history.steps), np.inf, history.steps), history.diverged
    if lost.all() or (steps[order] == steps[~lost].max())[~lost[order]].all():
        return history.losses[order]
    trial, last = trials(history), order[~lost[order]]
    found = np.full((int(trial.max()) + 1, history.objectives), np.nan)
    for step in np.unique(steps[last])[::-1]:
        ended = last[steps[last] == step]
        on = np.flatnonzero((steps == step) & ~lost)
        on = on[~np.isnan(found[trial[on], 0])]
        for column, scores in enumerate(history.scores.T):
            worst = np.nanmax(found[:, column], initial=-np.inf)
            found[trial[ended], column] = expected(scores[ended], scores[on], found[trial[on], column], worst)
    values = found[trial[order]]
    values[lost[order]] = np.nanmax(values, axis=0)
    return values


def expected(now: np.ndarray, before: np.ndarray, after: np.ndarray, worst: float) -> np.ndarray:
    """Later scores of trials, by those of others.

    The rising function that fits best (isotonic regression, Barlow et al., 1972), straight between the middles of its
    steps. Beyond the others, curves are taken to be parallel.

    Args:
      now: scores of those that were stopped, [n].
      before: of others at the same step, [m].
      after: of these later, [m].
      worst: where no others are known, what the best of those stopped is taken to come to; not finite for what it has.

    Example:
      >>> expected(np.array([0.9, 0.75, 2.0]), np.array([0.7, 0.8, 1.0]), np.array([0.3, 0.5, 0.4]), 0.5).tolist()
      [0.45, 0.3375, 1.45]
    """
    if not len(before):
        return now - now.min() + worst if np.isfinite(worst) else now
    by = np.argsort(before, kind="stable")
    fitted = isotonic_regression(after[by])
    middles = [before[by][start:end].mean() for start, end in zip(fitted.blocks, fitted.blocks[1:], strict=False)]
    ends = before[by][[0, -1]]
    at = np.unique([ends[0], *middles, ends[1]])
    value = np.interp(at, middles, fitted.x[fitted.blocks[:-1]])
    return np.interp(now, at, value) + np.minimum(now - ends[0], 0.0) + np.maximum(now - ends[1], 0.0)
