"""Constraints: functions of a whole configuration that must hold, told apart by name in errors and stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.errors import SpaceError
from vtune.records import Config

MISSES_BEFORE_GIVING_UP = 100_000
"""A search for configurations gives up when this many in a row fail their constraints."""


@dataclass(frozen=True)
class Constraint:
    """A condition on whole configurations.

    Attributes:
      name: name of the function, "#2" and so on appended where names repeat.
      function: filled config -> bool; None in a space that was read back, since functions cannot be stored.
    """

    name: str
    function: Callable[[Config], Any] | None

    def __str__(self) -> str:
        code = getattr(self.function, "__code__", None)
        return f"{self.name!r} ({code.co_filename}:{code.co_firstlineno})" if code else repr(self.name)

    def holds(self, filled: Sequence[Config]) -> np.ndarray:
        """Whether it holds for each filled config [n] -> bool [n]."""
        if self.function is None:
            raise SpaceError(
                f"constraint {self.name!r} was stored by its name only: functions cannot be stored. "
                "Give it again: Space.from_json(stored, constraints=[...])"
            )
        return np.fromiter((self._answer(config) for config in filled), dtype=bool, count=len(filled))

    def _answer(self, config: Config) -> bool:
        try:
            answer = self.function(dict(config))  # type: ignore[misc]
        except Exception as error:
            raise SpaceError(
                f"constraint {self} must answer for every configuration; "
                f"it raised {type(error).__name__}: {error} for {config!r}"
            ) from error
        if not isinstance(answer, bool | np.bool_):
            raise SpaceError(f"constraint {self} must return True or False; got {answer!r} for {config!r}")
        return bool(answer)


def named(functions: Any) -> tuple[Constraint, ...]:
    """Functions of a config -> constraints with names that differ."""
    given = (functions,) if callable(functions) else functions
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise SpaceError(f"constraints must be functions of a config; got {functions!r}")
    seen: Counter[str] = Counter()
    constraints = []
    for function in given:
        if not callable(function):
            raise SpaceError(f"constraints must be functions of a config; got {function!r}")
        name = getattr(function, "__name__", type(function).__name__)
        seen[name] += 1
        constraints.append(Constraint(name if seen[name] == 1 else f"{name}#{seen[name]}", function))
    return tuple(constraints)


class Misses:
    """Counts configurations that fail their constraints, to end a search that finds nothing, and to say why.

    Args:
      constraints: those of the space.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self._constraints = constraints
        self._in_a_row = 0
        self._failed = [0] * len(constraints)

    def sieve(self, filled: Sequence[Config]) -> np.ndarray:
        """Whether each filled config [n] satisfies all constraints -> bool [n].

        Raises:
          SpaceError: too many in a row did not; names each constraint with its share of the failures.
        """
        kept = np.ones(len(filled), dtype=bool)
        for position, constraint in enumerate(self._constraints):
            rows = np.flatnonzero(kept).tolist()
            kept[rows] = constraint.holds([filled[row] for row in rows])
            self._failed[position] += len(rows) - int(kept[rows].sum())
        if kept.any():
            self._in_a_row = int(np.argmax(kept[::-1]))
            self._failed = [0] * len(self._constraints)
        else:
            self._in_a_row += len(filled)
        if self._in_a_row >= MISSES_BEFORE_GIVING_UP:
            counts = zip(self._constraints, self._failed, strict=True)
            blame = ", ".join(f"{constraint} failed for {count:,}" for constraint, count in counts if count)
            raise SpaceError(
                f"constraints must leave something to find: none of {self._in_a_row:,} configurations in a row "
                f"satisfied them ({blame}). Loosen the constraint, or narrow the ranges to where it holds"
            )
        return kept
