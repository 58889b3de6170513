"""The branches of a conditional space, and which of them a search has neglected."""

from __future__ import annotations

import numpy as np

from vtune.space import Space

SHARE = 0.5
"""Of the trials that random search would give to a branch, the share that it gets at least."""

ENOUGH = 16
"""Trials for each active hyperparameter from which on a branch may be given up."""

_DRAWN = 4096
"""Random configurations by which the chances of branches are known."""

_SEED = 5


class Branches:
    """Sets of hyperparameters that are active together, and how likely random search would come to each.

    What is known of one branch says little of another, so that a model that has seen a few bad trials of a branch would
    never go back to it. `owed` says which picks of a batch belong to neglected branches.

    Args:
      space: where the configurations lie.

    Example:
      >>> from vtune.space import Choice, Float, Space
      >>> branches = Branches(Space(c=Choice("a", "b"), x=Float(0.0, 1.0, when={"c": "a"})))
      >>> tried = branches.of(np.array([[0.25, 0.5]] * 6))
      >>> branches.owed(tried, 4).tolist()
      [1, 1, -1, -1]
    """

    def __init__(self, space: Space) -> None:
        rng = np.random.default_rng(_SEED)
        drawn = space.snap(rng.random((_DRAWN, space.dim)))
        if space.constraints:
            kept = space.satisfies(space.from_unit(drawn))
            drawn = drawn[kept] if kept.any() else drawn
        self._optional = np.flatnonzero(np.isnan(drawn).any(axis=0))
        self._weights = rng.integers(2**63, size=len(self._optional), dtype=np.uint64)
        self._marks, first, counts = np.unique(self._mark(drawn), return_index=True, return_counts=True)
        self._chances = counts / len(drawn)
        self._enough = ENOUGH * (~np.isnan(drawn[first])).sum(axis=1)

    def __len__(self) -> int:
        return len(self._marks)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The branch of each row of the unit cube [n, dim], NaN where not active -> int [n]; -1 for one too rare."""
        marks = self._mark(rows)
        places = np.minimum(np.searchsorted(self._marks, marks), len(self) - 1)
        return np.where(self._marks[places] == marks, places, -1)

    def owed(self, tried: np.ndarray, n: int) -> np.ndarray:
        """The branch that each of the next picks belongs to, neglected ones first.

        Args:
          tried: branches [k] of what was told or is under way.
          n: picks in the batch.

        Returns:
          Branches [n]; -1 where a pick is free, as half of all picks are.
        """
        if len(self) == 1:
            return np.full(n, -1)
        counts = np.bincount(tried[tried >= 0], minlength=len(self))
        due = np.minimum(SHARE * self._chances * (len(tried) + n), self._enough).astype(np.int64)
        missing = np.maximum(due - counts, 0)
        most = int(SHARE * (len(tried) + n)) - int(SHARE * len(tried))
        turns = np.concatenate([np.arange(count) for count in missing])
        neglected = np.repeat(np.arange(len(self)), missing)[np.argsort(turns, kind="stable")][:most]
        return np.append(neglected, np.full(n - len(neglected), -1))

    def _mark(self, rows: np.ndarray) -> np.ndarray:
        """A number for the set of active hyperparameters of each row [n]."""
        return (np.isnan(rows[:, self._optional]) * self._weights).sum(axis=1, dtype=np.uint64)
