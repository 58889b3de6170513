"""Random search (Bergstra and Bengio, 2012), with a counter in place of a stream."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from vtune.proposers.base import register
from vtune.proposers.walk import Walk
from vtune.records import Config
from vtune.space import Space
from vtune.space.constraints import Misses

_SPAN = 4096
"""Configs drawn at once, which bounds memory; what is drawn does not depend on it."""

_RETRIES = 256
"""Candidates tried at once for those configs that failed a constraint; what is drawn does not depend on it."""


@register
class Random(Walk):
    """Independent draws, even over the unit cube; a config that fails a constraint is drawn again.

    Config i is a function of (seed, i) alone: asking for 256 or for 1 and then 255 gives the same, and a resumed
    study goes on with what it would have proposed. The generator is Philox (Salmon et al., 2011), whose counter makes
    that free.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.

    Example:
      >>> from vtune.space import Float, Space
      >>> space = Space(lr=Float(1e-5, 1e-1, log=True))
      >>> one, two = Random(space, seed=3), Random(space, seed=3)
      >>> one.ask(4) == two.ask(1) + two.ask(3)
      True
    """

    name: ClassVar[str] = "random"

    def __init__(self, space: Space, seed: int = 0) -> None:
        super().__init__(space, seed)
        self._key = np.random.SeedSequence(self.seed).generate_state(2, np.uint64)
        self._words = -(-space.dim // 4)

    def _walk(self, start: int, n: int) -> tuple[list[Config], int]:
        configs: list[Config] = []
        for first in range(start, start + n, _SPAN):
            configs += self._span(first, min(_SPAN, start + n - first))
        return configs, start + n

    def _span(self, first: int, n: int) -> list[Config]:
        configs = self.space.from_unit(self._units(n, first * self._words, 0, 0))
        misses = Misses(self.space.constraints)
        failed = np.flatnonzero(~misses.sieve(self.space.fill(configs))).tolist()
        tried = 0
        while failed:
            depth = -(-_RETRIES // len(failed))
            units = [self._units(depth, tried * self._words, first + i, 1) for i in failed]
            drawn = self.space.from_unit(np.concatenate(units))
            kept = misses.sieve(self.space.fill(drawn)).reshape(len(failed), depth)
            for row, i in enumerate(failed):
                configs[i] = drawn[row * depth + int(np.argmax(kept[row]))]
            failed = [i for row, i in enumerate(failed) if not kept[row].any()]
            tried += depth
        return configs

    def _units(self, n: int, *counter: int) -> np.ndarray:
        """Units [n, dim] from a place in the generator's sequence, which has a counter of three numbers here."""
        generator = np.random.Philox(key=self._key, counter=[*counter, 0])
        words = generator.random_raw(n * 4 * self._words).reshape(n, 4 * self._words)[:, : self.space.dim]
        return (words >> np.uint64(11)) * 2.0**-53
