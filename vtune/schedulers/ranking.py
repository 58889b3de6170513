"""Which of some trials are the best, by one score or by several."""

from __future__ import annotations

import numpy as np

_ROWS = 128
"""Rows that are compared with all before them at once, which bounds memory."""


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


def first_in_each(score: np.ndarray, trial: np.ndarray, race: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The best trials of several races, by one score.

    Args:
      score: float64 [n], lower is better; trials with an infinite score never lead. Ties go to the smaller id.
      trial: ids, int64 [n].
      race: which race each trial is in, int64 [n].
      places: how many of each race at most, int64 [races].

    Returns:
      bool [n].

    Example:
      >>> first_in_each(np.array([0.3, 0.1, 0.2]), np.arange(3), np.array([0, 0, 1]), np.array([1, 1])).tolist()
      [False, True, True]
    """
    order = np.lexsort((trial, score, race))
    sorted_ = race[order]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(sorted_, sorted_)
    return (rank < places[race]) & np.isfinite(score)


def _lowest(scores: np.ndarray, trial: np.ndarray, count: int) -> np.ndarray:
    column = scores[:, 0]
    bound = np.partition(column, count - 1)[count - 1]
    below = np.flatnonzero(column < bound)
    equal = np.flatnonzero(column == bound)
    return np.concatenate([below, equal[np.argsort(trial[equal])][: count - len(below)]])


def _first_fronts(scores: np.ndarray, trial: np.ndarray, count: int) -> np.ndarray:
    order = np.lexsort(scores.T[::-1])
    new = np.ones(len(order), bool)
    new[1:] = (scores[order[1:]] != scores[order[:-1]]).any(axis=1)
    points = scores[order[new]]
    point_of = np.empty(len(order), np.int64)
    point_of[order] = np.cumsum(new) - 1
    trials_at = np.bincount(point_of)
    front = (_fronts_of_two if points.shape[1] == 2 else _fronts)(points, trials_at, count)
    up_to = np.cumsum(np.bincount(front, weights=trials_at))
    last = int(np.searchsorted(up_to, count, side="right"))
    taken = front < last
    crowding = np.full(len(points), -1.0)
    crowding[front == last] = _crowding(points[front == last])
    rest = np.flatnonzero(crowding[point_of] >= 0)
    rest = rest[np.lexsort((trial[rest], -crowding[point_of[rest]]))][: count - trials_at[taken].sum()]
    return np.concatenate([np.flatnonzero(taken[point_of]), rest])


def _fronts_of_two(points: np.ndarray, trials_at: np.ndarray, count: int) -> np.ndarray:
    """The fronts of different points [m, 2] in lexicographic order, int64 [m]: 0 for those that none dominates.

    Fronts are told apart until they hold more than `count` trials; all other points are in the one behind.
    """
    front, left, second = np.full(len(points), -1), np.arange(len(points)), points[:, 1]
    number, held = 0, 0
    while len(left) and held <= count:
        least = np.minimum.accumulate(second)
        first = np.ones(len(left), bool)
        first[1:] = second[1:] < least[:-1]
        front[left[first]] = number
        held += trials_at[left[first]].sum()
        left, second, number = left[~first], second[~first], number + 1
    front[left] = number
    return front


def _fronts(points: np.ndarray, trials_at: np.ndarray, count: int) -> np.ndarray:
    """The fronts of different points [m, objectives] in lexicographic order, int64 [m]; of any number of objectives.

    A point's front is one more than the last front of those that dominate it, all of which are before it.
    """
    narrow = np.dtype(np.int16 if len(points) < 2**15 else np.int32)
    columns = [np.searchsorted(np.sort(column), column).astype(narrow) for column in points[:, 1:].T]
    front = np.zeros(len(points), narrow)
    for start in range(0, len(points), _ROWS):
        here = [column[start : start + _ROWS, None] for column in columns]
        last_first = np.argsort(-front[:start], kind="stable")
        before = _front_behind(_as_good([column[last_first] for column in columns], here), front[last_first])
        among = np.tril(_as_good([column[:, 0] for column in here], here), -1)
        own = before
        while True:
            front[start : start + _ROWS] = own
            own = np.maximum(before, (among * (own + narrow.type(1))).max(axis=1, initial=0))
            if (own == front[start : start + _ROWS]).all():
                break
    return front.astype(np.int64)


def _as_good(columns: list[np.ndarray], here: list[np.ndarray]) -> np.ndarray:
    """Which points, by columns [n], are as good as some others, by columns [m, 1], in all of them: bool [m, n]."""
    found: np.ndarray = columns[0] <= here[0]
    for column, own in zip(columns[1:], here[1:], strict=True):
        found &= column <= own
    return found


def _front_behind(dominated: np.ndarray, front: np.ndarray) -> np.ndarray:
    """The front behind the first of those that dominate, [m]; 0 where none does.

    Args:
      dominated: whether each of m points is dominated by each of n, bool [m, n].
      front: of those, [n].
    """
    if not len(front):
        return np.zeros(len(dominated), front.dtype)
    first = dominated.argmax(axis=1)
    return np.where(dominated[np.arange(len(first)), first], front[first] + front.dtype.type(1), 0).astype(front.dtype)


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
