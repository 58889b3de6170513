"""Which hyperparameters packed code may trace, and in which bucket of values a program pads them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.errors import ArgumentError
from vtune.hyper.expressions import Expression, Raised, as_raised, evaluate

if TYPE_CHECKING:
    from vtune.space import Parameter, Space

_MOST_COMBINATIONS = 4096
_MOST_VALUES = 2**16


@dataclass(frozen=True, slots=True)
class Packing:
    """What one program packs.

    Attributes:
      names: hyperparameters that packed code may trace; None for all. The others are guarded by equality.
      intervals: name -> (lowest, highest) value that the program is for; the whole range where a name is missing.

    >>> from vtune.space import Int
    >>> Packing(intervals={"width": (17, 64)}).bounds("width", Int(8, 128))
    (17, 64)
    """

    names: frozenset[str] | None = None
    intervals: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def packs(self, name: str) -> bool:
        """Whether packed code may trace the hyperparameter."""
        return self.names is None or name in self.names

    def bounds(self, name: str, parameter: Parameter) -> tuple[int | None, int]:
        """The lowest value (None: that of the space) and the highest value of a program's configs."""
        if name in self.intervals:
            low, high = self.intervals[name]
            return (low if low > whole_values(parameter)[0] else None), high
        return None, whole_values(parameter)[-1]


def whole_values(parameter: Parameter) -> tuple[int, ...]:
    """The whole numbers that a hyperparameter can be, in rising order; at most 65,536 of them, both ends included.

    Raises:
      ArgumentError: it has other values too.

    >>> from vtune.space import Choice, Int
    >>> whole_values(Int(8, 32, step=8)), whole_values(Choice(64, 16))
    ((8, 16, 24, 32), (16, 64))
    """
    listed = getattr(parameter, "values", None)
    if listed is None:
        low, high, step = (getattr(parameter, part, None) for part in ("low", "high", "step"))
        if isinstance(low, int) and isinstance(high, int):
            stride = (step or 1) * max(1, (high - low) // (step or 1) // _MOST_VALUES)
            last = low + (high - low) // (step or 1) * (step or 1)
            listed = (*range(low, last, stride), last)
    if not listed or not all(isinstance(value, int) and not isinstance(value, bool) for value in listed):
        raise ArgumentError(f"packed sizes need hyperparameters whose values are all whole numbers; one is {parameter}")
    return tuple(sorted(listed))


def largest(part: Expression, space: Space, exemplar: Mapping[str, Any], packing: Packing) -> tuple[int, bool]:
    """The largest value of a whole expression over the configs of a program.

    Args:
      part: the expression.
      space: where its hyperparameters come from.
      exemplar: a config of the program.
      packing: the program's bounds.

    Returns:
      The value, and whether it is sure: every combination of values was looked at. Else only evenly spaced ones were,
      both ends among them, and the program must guard that no config exceeds it.
    """
    names = sorted(part.names)
    values = []
    for name in names:
        low, high = packing.intervals.get(name, (-math.inf, math.inf))
        values.append([value for value in whole_values(space[name]) if low <= value <= high])
    sure = math.prod(map(len, values)) <= _MOST_COMBINATIONS
    if not sure:
        most = max(2, int(_MOST_COMBINATIONS ** (1 / len(names))))
        values = [_spread(each, most) for each in values]
    configs = [dict(zip(names, row, strict=True)) for row in itertools.product(*values)] + [exemplar]
    found = evaluate([part], configs, as_raised)[0]
    return max(int(value) for value in found if not isinstance(value, Raised)), sure


def _spread(values: list[int], most: int) -> list[int]:
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[place] for place in places.tolist()]
