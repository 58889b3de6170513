"""Several objectives: which trials no other beats, and how much of the space they dominate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtune.analysis.scores import check_mode
from vtune.errors import ArgumentError

_TOGETHER = 512
"""So many trials are compared with the front at once; those that it beats need no closer look."""


def non_dominated(values: ArrayLike, modes: Sequence[str]) -> NDArray[np.bool_]:
    """Which trials no other beats: none is as good in every objective and better in one.

    Args:
      values: [trials, objectives]; a trial with a missing value is dominated.
      modes: "min" or "max" for each objective.

    Returns:
      [trials]; of equal trials all are kept.

    Raises:
      ArgumentError: modes that do not fit.

    >>> non_dominated([[1.0, 3.0], [2.0, 2.0], [3.0, 3.0]], ("min", "min")).tolist()
    [True, True, False]
    """
    cost = _costs(values, modes)
    kept = np.zeros(len(cost), bool)
    whole = np.flatnonzero(np.isfinite(cost).all(axis=1))
    rows, same = np.unique(cost[whole], axis=0, return_inverse=True)
    kept[whole] = (_unbeaten_pairs(rows) if rows.shape[1] == 2 else _unbeaten(rows))[same.ravel()]
    return kept


def _unbeaten_pairs(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of unlike rows [n, 2], in ascending order, no other beats."""
    lowest_before = np.r_[np.inf, np.minimum.accumulate(rows[:, 1])[:-1]][: len(rows)]
    return rows[:, 1] < lowest_before


def _unbeaten(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of unlike rows [n, objectives], in ascending order, no other beats."""
    kept = np.zeros(len(rows), bool)
    front = np.empty((0, rows.shape[1]))
    for place, row in enumerate(rows):
        if not (front <= row).all(axis=1).any():
            kept[place] = True
            front = np.concatenate([front, row[None]])
    return kept


def reference_point(values: ArrayLike, modes: Sequence[str]) -> NDArray[np.float64]:
    """The corner from which hypervolumes are measured: a tenth beyond the worst of every objective.

    The worst is that of the trials on the front and of the middle nine tenths of all, so that one wild trial does not
    make the rest look alike.

    Returns:
      [objectives], in the units of the values; NaN where no trial has all of them.
    """
    cost = _costs(values, modes)
    cost = cost[np.isfinite(cost).all(axis=1)]
    if not len(cost):
        return np.full(len(modes), np.nan)
    front = cost[non_dominated(cost, ["min"] * len(modes))]
    worst = np.maximum(front.max(axis=0), np.quantile(cost, 0.95, axis=0))
    extent = worst - cost.min(axis=0)
    return (worst + 0.1 * np.where(extent > 0, extent, np.maximum(np.abs(worst), 1.0))) * _signs(modes)


def hypervolume(values: ArrayLike, modes: Sequence[str], reference: ArrayLike) -> float:
    """The volume that trials dominate, up to a reference point (Zitzler and Thiele, 1998).

    Objectives are sliced one after another, which is exact and quick for two or three of them.

    Args:
      values: [trials, objectives]
      modes: "min" or "max" for each objective.
      reference: [objectives], a point that is worse than what counts.

    Returns:
      The volume, in the product of the objectives' units.

    >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], ("min", "min"), [3.0, 3.0])
    3.0
    """
    corner = np.asarray(reference, np.float64) * _signs(modes)
    cost = _costs(values, modes)
    return _volume(cost[np.isfinite(cost).all(axis=1) & (cost < corner).all(axis=1)], corner)


def hypervolume_over(
    values: ArrayLike, modes: Sequence[str], reference: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The hypervolume of the first n trials, for every n.

    Args:
      values: [trials, objectives], in the order in which trials count.
      modes: "min" or "max" for each objective.
      reference: see `hypervolume`; `reference_point` of all values unless given.

    Returns:
      [trials]

    >>> hypervolume_over([[1.0, 2.0], [2.5, 2.5], [2.0, 1.0]], ("min", "min"), [3.0, 3.0]).tolist()
    [2.0, 2.0, 3.0]
    """
    corner = (reference_point(values, modes) if reference is None else np.asarray(reference)) * _signs(modes)
    cost = _costs(values, modes)
    front = np.empty((0, cost.shape[1]))
    grown = np.zeros(len(cost))
    volume = 0.0
    for begin in range(0, len(cost), _TOGETHER):
        rows = cost[begin : begin + _TOGETHER]
        new = (rows < corner).all(axis=1) & ~np.any(np.all(front <= rows[:, None], axis=2), axis=1)
        for place in np.flatnonzero(new):
            if not (front <= rows[place]).all(axis=1).any():
                front = np.concatenate([front[~(rows[place] <= front).all(axis=1)], rows[place][None]])
                before, volume = volume, _volume(front, corner)
                grown[begin + place] = volume - before
    return np.cumsum(grown)


def _volume(cost: NDArray[np.float64], corner: NDArray[np.float64]) -> float:
    if not len(cost):
        return 0.0
    if cost.shape[1] == 1:
        return float(corner[0] - cost.min())
    if cost.shape[1] == 2:
        ordered = cost[np.lexsort((cost[:, 1], cost[:, 0]))]
        height = np.minimum.accumulate(ordered[:, 1])
        return float((np.r_[ordered[1:, 0], corner[0]] - ordered[:, 0]) @ (corner[1] - height))
    ordered = cost[np.argsort(cost[:, -1], kind="stable")]
    depth = np.diff(np.r_[ordered[:, -1], corner[-1]])
    slices = ((deep, ordered[: i + 1, :-1]) for i, deep in enumerate(depth) if deep > 0)
    return float(sum(deep * _volume(_front(part), corner[:-1]) for deep, part in slices))


def _front(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    return cost[non_dominated(cost, ["min"] * cost.shape[1])]


def _costs(values: ArrayLike, modes: Sequence[str]) -> NDArray[np.float64]:
    signs = _signs(modes)
    return np.asarray(values, np.float64).reshape(-1, len(modes)) * signs


def _signs(modes: Sequence[str]) -> NDArray[np.float64]:
    if not modes:
        raise ArgumentError("there must be at least one objective; got none")
    for mode in modes:
        check_mode(mode)
    return np.array([1.0 if mode == "min" else -1.0 for mode in modes])
