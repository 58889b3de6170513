"""From trials to programs: each config goes to the program whose guards it satisfies, or asks for a new one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.engine.program import Program, Traced
from vtune.hyper import Guard, matches, outcomes

UNPLACED = -1
"""The program number of a config that no program serves yet."""


class Planner:
    """The programs of a study, in the order in which they were needed.

    Args:
      specialise: traces the program that serves a filled config.
    """

    def __init__(self, specialise: Callable[[Mapping[str, Any]], Traced]):
        self.specialise = specialise
        self.traced: list[Traced] = []
        self.compiled: dict[int, Program] = {}

    def place(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Finds the program of each filled config among those traced: int64[n], `UNPLACED` where there is none."""
        program = np.full(len(configs), UNPLACED, np.int64)
        for number, traced in enumerate(self.traced):
            rest = np.flatnonzero(program == UNPLACED)
            if not len(rest):
                break
            program[rest[matches(traced.guards, [configs[i] for i in rest.tolist()])]] = number
        return program

    def extend(self, config: Mapping[str, Any]) -> int:
        """Traces the program that a filled config needs; returns its number."""
        self.traced.append(self.specialise(config))
        return len(self.traced) - 1

    def possible(self, configs: Sequence[Mapping[str, Any]]) -> int:
        """Estimates how many programs a sample of filled configs needs, from the questions known so far.

        Guards of different programs may ask about different things; every question is put to every config, and
        distinct sets of answers are counted. More configs and more traced programs sharpen the estimate.
        """
        questions: dict[tuple[Any, ...], Guard] = {}
        for traced in self.traced:
            for guard in traced.guards:
                questions.setdefault((guard.kind, guard.question), guard)
        if not configs:
            return len(self.traced)
        return max(len(self.traced), len(np.unique(outcomes(tuple(questions.values()), configs))))
