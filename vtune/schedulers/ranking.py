"""Which of some trials are the best, by one score or by several."""

from __future__ import annotations

import numpy as np

_ROWS = 256
"""Rows that are compared with all others at once, which bounds memory."""


def comparable(score: np.ndarray) -> np.ndarray:
    """Scores [n] or [n, objectives] as float64 [n, objectives], infinite throughout where one is missing.

    Example:
      >>> comparable(np.array([0.5, float("nan")])).tolist()
      [[0.5], [inf]]
    """
    table = np.asarray(score, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    return np.where(np.isfinite(table).all(axis=1, keepdims=True), table, np.inf)


def leaders(scores: np.ndarray, trial: np.ndarray, count: int) -> np.ndarray:
    """The best trials, whatever their order.

    Several objectives are compared by non-dominated rank and, within the last rank that has room, by crowding distance
    (Deb et al., 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II"). Ties go to the smaller id.

    Args:
      scores: float64 [n, objectives], lower is better; trials with an infinite score never lead.
      trial: ids, int64 [n].
      count: how many at most.

    Returns:
      bool [n], true for the best `count` of the finite ones.

    Example:
      >>> leaders(np.array([[0.3], [0.1], [0.3], [np.inf]]), np.array([7, 8, 5, 6]), 2).tolist()
      [False, True, True, False]
      >>> leaders(np.array([[0.0, 9.0], [1.0, 1.0], [2.0, 2.0]]), np.arange(3), 2).tolist()
      [True, True, False]
    """
    finite = np.isfinite(scores).all(axis=1)
    rows = np.flatnonzero(finite)
    if count <= 0 or not len(rows):
        return np.zeros(len(scores), bool)
    if count >= len(rows):
        return finite
    lead = np.zeros(len(scores), bool)
    chosen = _lowest if scores.shape[1] == 1 else _first_fronts
    lead[rows[chosen(scores[rows], trial[rows], count)]] = True
    return lead


def _lowest(scores: np.ndarray, trial: np.ndarray, count: int) -> np.ndarray:
    column = scores[:, 0]
    bound = np.partition(column, count - 1)[count - 1]
    below = np.flatnonzero(column < bound)
    equal = np.flatnonzero(column == bound)
    return np.concatenate([below, equal[np.argsort(trial[equal])][: count - len(below)]])


def _first_fronts(scores: np.ndarray, trial: np.ndarray, count: int) -> np.ndarray:
    points, point_of = np.unique(scores, axis=0, return_inverse=True)
    point_of = point_of.reshape(-1)
    trials_at = np.bincount(point_of)
    left = np.arange(len(points))
    taken = np.zeros(len(points), bool)
    while True:
        front = _non_dominated(points[left])
        room = count - trials_at[taken].sum()
        if trials_at[left[front]].sum() > room:
            break
        taken[left[front]] = True
        left = left[~front]
    crowding = np.full(len(points), -1.0)
    crowding[left[front]] = _crowding(points[left[front]])
    last = np.flatnonzero(crowding[point_of] >= 0)
    last = last[np.lexsort((trial[last], -crowding[point_of[last]]))][:room]
    return np.concatenate([np.flatnonzero(taken[point_of]), last])


def _non_dominated(points: np.ndarray) -> np.ndarray:
    """Which of different points [m, objectives], in lexicographic order, none is as good as throughout, bool [m]."""
    if points.shape[1] == 2:
        before = np.minimum.accumulate(points[:, 1])[:-1]
        return np.concatenate([[True], points[1:, 1] < before])
    dominated = np.zeros(len(points), bool)
    for start in range(0, len(points), _ROWS):
        some = points[start : start + _ROWS]
        as_good = (points[None, :, :] <= some[:, None, :]).all(axis=2).sum(axis=1)
        dominated[start : start + _ROWS] = as_good > 1
    return ~dominated


def _crowding(points: np.ndarray) -> np.ndarray:
    """How far the neighbours of each point of a front lie apart, [m]; infinite at the ends."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        sorted_ = column[order]
        extent = sorted_[-1] - sorted_[0]
        if extent > 0:
            distance[order[1:-1]] += (sorted_[2:] - sorted_[:-2]) / extent
        distance[order[[0, -1]]] = np.inf
    return distance
