"""Scrambled Sobol points (Sobol, 1967; scrambling by Matousek, 1998; points by SciPy)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.walk import Walk
from vtune.records import Config
from vtune.space import Space
from vtune.space.constraints import Misses

if TYPE_CHECKING:
    from scipy.stats.qmc import Sobol as Engine

_POINTS = 2**30
"""Length of SciPy's sequence, and with it the most that can be asked for."""

_LOOK_AHEAD = 256
"""Points drawn at once in search of those that satisfy the constraints; what is found does not depend on it."""

_DIMENSIONS = 21_201
"""Dimensions for which SciPy has direction numbers."""


@register
class Sobol(Walk):
    """A low-discrepancy sequence: covers the space more evenly than random search with the same number of trials.

    Every hyperparameter has its own dimension, which goes unused where the hyperparameter is not active. Points that
    fail a constraint are skipped. Configs of discrete spaces may repeat.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0, for the scrambling.

    Raises:
      ArgumentError: a space of more than 21,201 hyperparameters.

    Example:
      >>> from vtune.space import Int, Space
      >>> sorted(config["depth"] for config in Sobol(Space(depth=Int(1, 4)), seed=0).ask(8))
      [1, 1, 2, 2, 3, 3, 4, 4]
    """

    name: ClassVar[str] = "sobol"

    def __init__(self, space: Space, seed: int = 0) -> None:
        super().__init__(space, seed)
        if space.dim > _DIMENSIONS:
            raise ArgumentError(f"Sobol: a space may have up to {_DIMENSIONS} hyperparameters; got {space.dim}")

    def _walk(self, start: int, n: int) -> tuple[list[Config], int]:
        misses = Misses(self.space.constraints)
        configs: list[Config] = []
        while len(configs) < n and start < _POINTS:
            missing = n - len(configs)
            ahead = max(missing, _LOOK_AHEAD) if self.space.constraints else missing
            drawn = self.space.from_unit(self.points(start, min(ahead, _POINTS - start)))
            kept = np.flatnonzero(misses.sieve(self.space.fill(drawn)))[:missing].tolist()
            configs += [drawn[place] for place in kept]
            start += kept[-1] + 1 if len(kept) == missing else len(drawn)
        return configs, start

    def points(self, start: int, n: int) -> np.ndarray:
        """Points of the unit cube [n, dim] from position `start` of the sequence on."""
        if start == 0 and n > 1:  # SciPy warns when the first draw is not a power of two
            return np.concatenate([self.points(0, 1), self.points(1, n - 1)])
        if self._engine.num_generated != start:
            self._engine.reset()
            if start:
                self._engine.fast_forward(start)
        return self._engine.random(n)

    @cached_property
    def _engine(self) -> Engine:
        from scipy.stats import qmc  # half a second to import, and only this proposer needs it

        engine = qmc.Sobol(self.space.dim, scramble=True, rng=self.seed)
        first, second = engine.random(2)
        if (first == second).all():  # SciPy drops what is raised while it reads them, Ctrl-C too
            raise ProposerError("SciPy could not read the direction numbers of Sobol points: ask again")
        return engine.reset()
