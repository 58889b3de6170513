"""The branches of a conditional space, and which of them a search has neglected."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from vtune.space import Space

SHARE = 0.5
"""Of the trials that random search would give to a branch, the share that it gets at least."""

ENOUGH = 16
"""Trials for each active hyperparameter from which on a branch may be given up."""

_DRAWN, _ROUNDS, _KEPT = 4096, 4, 512
"""Random configurations drawn at once, how often at most, and how many must keep to the constraints to tell chances."""

_RARE = 1 / 512
"""Chance of a branch below which nothing is owed to it: so few draws do not tell what it is."""

_SEED = 5


class _Known(NamedTuple):
    """The branches that are not rare.

    Attributes:
      marks: number of the set of active hyperparameters of each, rising, uint64 [branches].
      chances: that random search comes to it [branches].
      enough: trials from which on it may be given up [branches].
    """

    marks: np.ndarray
    chances: np.ndarray
    enough: np.ndarray


class Branches:
    """Sets of hyperparameters that are active together, and how likely random search would come to each.

    What is known of one branch says little of another, so that a model that has seen a few bad trials of a branch would
    never go back to it. `owed` says which picks of a batch belong to neglected branches.

    Args:
      space: where the configurations lie.

    Example:
      >>> from vtune.space import Choice, Float, Space
      >>> branches = Branches(Space(c=Choice("a", "b"), x=Float(0.0, 1.0, when={"c": "b"}), y=Float(0.0, 1.0)))
      >>> tried = branches.of(np.array([[0.25, np.nan, 0.5]] * 6))
      >>> np.unique(tried).tolist(), branches.owed(tried, 4).tolist()
      ([1], [0, 0, -1, -1])
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._optional = [column for column, parameter in enumerate(space.values()) if parameter.when]
        self._weights = np.random.default_rng(_SEED).integers(2**63, size=len(self._optional), dtype=np.uint64)

    def __len__(self) -> int:
        """How many branches are told apart; 1 for a space without conditions."""
        return len(self._known.marks) if self._optional else 1

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The branch of each row of the unit cube [n, dim], NaN where not active -> int [n]; -1 for one too rare."""
        if not self._optional:
            return np.zeros(len(rows), dtype=np.int64)
        known, marks = self._known.marks, self._mark(rows)
        found = np.isin(marks, known)
        return np.where(found, np.searchsorted(known, marks), -1)

    def owed(self, tried: np.ndarray, n: int) -> np.ndarray:
        """The branch that each of the next picks belongs to, neglected ones first and in turn.

        Args:
          tried: branches [k] of what was told or is under way.
          n: picks in the batch.

        Returns:
          Branches [n]; -1 where a pick is free, as at least half of all picks are.
        """
        if len(self) <= 1:
            return np.full(n, -1)
        known, told = self._known, len(tried)
        counts = np.bincount(tried[tried >= 0], minlength=len(self))
        due = np.minimum(SHARE * known.chances * (told + n), known.enough).astype(np.int64)
        missing = np.maximum(due - counts, 0)
        branch = np.repeat(np.arange(len(self)), missing)
        turns = np.concatenate([np.arange(count) for count in missing])
        most = int(SHARE * (told + n)) - int(SHARE * told)
        neglected = branch[np.lexsort([(branch - told) % len(self), turns])][:most]
        return np.append(neglected, np.full(n - len(neglected), -1))

    @cached_property
    def _known(self) -> _Known:
        rng, drawn = np.random.default_rng(_SEED), np.empty((0, self._space.dim))
        for _ in range(_ROUNDS):
            rows = self._space.snap(rng.random((_DRAWN, self._space.dim)))
            if self._space.constraints:
                rows = rows[self._space.satisfies(self._space.from_unit(rows))]
            drawn = np.concatenate([drawn, rows])
            if len(drawn) >= _KEPT:
                break
        else:
            drawn = drawn[:0]
        marks, first, counts = np.unique(self._mark(drawn), return_index=True, return_counts=True)
        common = counts >= _RARE * len(drawn)
        active = ~np.isnan(drawn[first])
        sizes = np.array([parameter.size or np.inf for parameter in self._space.values()])
        held = np.where(active, sizes, 1.0).prod(axis=1)
        enough = np.minimum(ENOUGH * active.sum(axis=1), held)
        return _Known(marks[common], counts[common] / max(len(drawn), 1), enough[common])

    def _mark(self, rows: np.ndarray) -> np.ndarray:
        """A number for the set of active hyperparameters of each row [n]."""
        return (np.isnan(rows[:, self._optional]) * self._weights).sum(axis=1, dtype=np.uint64)
