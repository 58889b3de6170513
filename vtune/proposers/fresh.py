"""Configurations for one batch that nobody has tried: told before, under way, or in the batch already."""

from __future__ import annotations

import numpy as np

from vtune.proposers.grid import Grid
from vtune.proposers.history import History, keys
from vtune.space.constraints import MISSES_BEFORE_GIVING_UP, Misses

_ENUMERATED = 2**16
"""Spaces up to this size are searched whole for what is left once draws find too little."""

_ROUND = 4096
"""Rows drawn at once when the first draws were not enough."""


class Fresh:
    """Sieves rows of the unit cube, and draws new ones, for one batch.

    Args:
      history: what was told.
      pending: rows [m, dim] of configurations that are under way.
      rng: where draws come from.

    Example:
      >>> from vtune.space import Int, Space
      >>> history = History(Space(a=Int(0, 3)))
      >>> history.tell([{"a": 0}, {"a": 3}], [0.5, 0.1])
      >>> fresh = Fresh(history, history.encode([{"a": 1}]), np.random.default_rng(0))
      >>> fresh.sieve(history.encode([{"a": 0}, {"a": 2}, {"a": 2}])).tolist()
      [False, True, False]
      >>> history.space.from_unit(fresh.rest(8))
      [{'a': 2}]
    """

    def __init__(self, history: History, pending: np.ndarray, rng: np.random.Generator) -> None:
        self._history = history
        self._space = history.space
        self._taken = set(keys(pending))
        self._rng = rng

    def take(self, rows: np.ndarray) -> None:
        """Notes rows [m, dim] that are in the batch now."""
        self._taken.update(keys(rows))

    def sieve(self, rows: np.ndarray, met: set[bytes] | None = None) -> np.ndarray:
        """Which rows [m, dim] may be taken: new, the first of their kind here, within the constraints -> bool [m].

        Args:
          rows: what may be chosen.
          met: what was sieved before for the same choice, and no row may repeat; grows by the rows.
        """
        kept = self._new(rows, set() if met is None else met)
        if self._space.constraints:
            chosen = np.flatnonzero(kept)
            kept[chosen] = self._space.satisfies(self._space.from_unit(rows[chosen]))
        return kept

    def rest(self, n: int) -> np.ndarray:
        """Takes new rows, even over the space: n of them, or as many as there are.

        Raises:
          SpaceError: nothing in the space satisfies its constraints.
        """
        found = np.empty((0, self._space.dim))
        misses = Misses(self._space.constraints)
        draws, barren = n, 0
        while len(found) < n and barren < MISSES_BEFORE_GIVING_UP:
            rows = self._space.snap(self._rng.random((draws, self._space.dim)))
            rows = rows[self._new(rows, set())]
            if len(self._history) or self._taken:
                rows = rows[self._space.satisfies(self._space.from_unit(rows))]
            else:
                rows = rows[misses.sieve(self._space.fill(self._space.from_unit(rows)))]
            barren = 0 if len(rows) else barren + draws
            found = np.concatenate([found, self._taking(rows[: n - len(found)])])
            if len(found) < n and (self._space.size or np.inf) <= _ENUMERATED:
                left = self._every()
                left = left[self._new(left, set())]
                chosen = self._rng.permutation(len(left))[: n - len(found)]
                return np.concatenate([found, self._taking(left[chosen])])
            draws = max(_ROUND, n - len(found))
        return found

    def _new(self, rows: np.ndarray, met: set[bytes]) -> np.ndarray:
        """Which rows are neither told, taken nor met; all are met then."""
        new = ~self._history.knows(rows)
        for place, key in enumerate(keys(rows)):
            new[place] &= key not in met and key not in self._taken
            met.add(key)
        return new

    def _taking(self, rows: np.ndarray) -> np.ndarray:
        self.take(rows)
        return rows

    def _every(self) -> np.ndarray:
        grid = Grid(self._space)
        return self._history.encode(grid.ask(len(grid)))
