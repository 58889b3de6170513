"""From best to worst: the order of told trials, with several objectives and with trials that were stopped early.

Several objectives are sorted by fronts and crowding distance (NSGA-II, Deb et al., 2002), as the good ones of
multi-objective TPE are (Ozaki et al., 2020).
"""

from __future__ import annotations

import numpy as np

from vtune.proposers.history import History, keys

_SORTED = 256
"""Rows up to which several objectives are sorted by fronts: more than are ever called good."""


def standing(history: History) -> np.ndarray:
    """Rows of a history from best to worst, one for each trial: the one with its latest score.

    A trial that was stopped at a step keeps the place that it held at that step among all that came so far. Those that
    went on share the places that they held there, in the order of what they did later; of a trial without a score at
    that step it is only known that it was kept, so it stands before those stopped. So scores are compared at equal
    steps only, and every trial has its say, where BOHB (Falkner et al., 2018) keeps to the scores of one step.
    Trials that exceed what is allowed follow those that keep to it, by how much (Deb, 2000); those that diverged come
    last.

    Args:
      history: what was told.

    Returns:
      Row numbers, int64 [trials]. Where steps were told, the rows of one config are one trial, and rows without steps
      had the full budget; without any steps every row is a trial of its own.

    Example:
      >>> from vtune.space import Int, Space
      >>> history = History(Space(a=Int(0, 9)))
      >>> history.tell([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}], [0.5, 0.1, 0.3, 0.2], steps=[10, 10, 10, 10])
      >>> history.tell([{"a": 2}, {"a": 4}], [0.09, 0.05], steps=[30, 30])
      >>> [int(history.unit[row, 0] * 10) for row in standing(history)]
      [4, 2, 3, 1]
    """
    rows = by_scores(history)
    over = np.where(history.diverged, np.inf, history.excess)[rows]
    exceeding = np.flatnonzero(over > 0)
    exceeding = exceeding[np.argsort(over[exceeding], kind="stable")]
    return np.concatenate([rows[~(over > 0)], rows[exceeding]])


def by_scores(history: History) -> np.ndarray:
    """The rows of `standing` from best to worst whatever is allowed."""
    losses, broken = history.losses, np.flatnonzero(history.diverged)
    steps = np.where(np.isnan(history.steps), np.inf, history.steps)
    if (steps == np.inf).all():
        return np.concatenate([_without(ranking(losses), broken), broken])
    trial = trials(history)
    last = np.full(int(trial.max()) + 1, -1)
    by_step = np.argsort(steps, kind="stable")
    last[trial[by_step]] = by_step
    order = np.empty(0, dtype=np.int64)
    for step in np.unique(steps)[::-1]:
        here = np.flatnonzero(steps == step)
        here = here[np.argsort(trial[here], kind="stable")]
        here = here[np.append(trial[here][1:] != trial[here][:-1], True)]
        order = _merged(trial[here[ranking(losses[here])]], order)
    rows = last[order]
    lost = np.isin(trial[rows], trial[broken])
    return np.concatenate([rows[~lost], rows[lost]])


def trials(history: History) -> np.ndarray:
    """Number of the trial that each row belongs to where steps were told, int64 [n]: rows of one config are one."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys(history.unit)], dtype=np.int64)


def _merged(here: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Trials by their order at a step [m], and those that went on by their order later [k] -> all, in one order."""
    place = dict(zip(here.tolist(), range(len(here)), strict=True))
    held = sorted(place[trial] for trial in later.tolist() if trial in place)
    own = np.full(len(later), -1.0)
    known = np.array([trial in place for trial in later.tolist()], dtype=bool)
    own[known] = held
    if known.any():
        following = np.minimum.accumulate(np.where(known, own, np.inf)[::-1])[::-1]
        own = np.where(known, own, np.where(np.isinf(following), held[-1] + 0.5, following - 0.5))
    stopped = here[~np.isin(here, later)]
    places = np.concatenate([own, np.array([place[trial] for trial in stopped.tolist()], dtype=np.float64)])
    return np.concatenate([later, stopped])[np.argsort(places, kind="stable")]


def _without(order: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return order[~np.isin(order, rows)]


def ranking(losses: np.ndarray) -> np.ndarray:
    """Rows [n, objectives] from best to worst: by front, and within a front the loneliest first.

    Beyond the fronts that hold the best 256, rows follow by the sum of their ranks, which takes no sorting by fronts.

    Example:
      >>> ranking(np.array([[3.0, 3.0], [1.0, 2.0], [2.0, 1.0], [4.0, 0.5]])).tolist()
      [1, 3, 2, 0]
    """
    if losses.shape[1] == 1:
        return np.argsort(losses[:, 0], kind="stable")
    order = [np.empty(0, dtype=np.int64)]
    left = np.argsort(np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0).sum(axis=1), kind="stable")
    while len(left) and sum(map(len, order)) < _SORTED:
        first = front(losses[left])
        members = np.sort(left[first])
        order.append(members[np.argsort(-_crowding(losses[members]), kind="stable")])
        left = left[~first]
    return np.concatenate([*order, left])


def front(losses: np.ndarray) -> np.ndarray:
    """Which rows [n, objectives] no other row is better than in one objective and as good in all -> bool [n].

    Example:
      >>> front(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])).tolist()
      [True, True, False, True]
    """
    left = np.lexsort(losses.T[::-1])
    found = np.zeros(len(losses), dtype=bool)
    while len(left):
        point = losses[left[0]]
        equal = (losses[left] == point).all(axis=1)
        found[left[equal]] = True
        left = left[(losses[left] < point).any(axis=1)]
    return found


def _crowding(losses: np.ndarray) -> np.ndarray:
    """How far apart the neighbours of each row of a front are, in shares of the front; infinite at its ends [n]."""
    lonely = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        width = column[order[-1]] - column[order[0]]
        if width > 0:
            lonely[order[[0, -1]]] = np.inf
            lonely[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / width
    return lonely
