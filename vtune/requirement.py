"""Constraints on results, as text: "latency <= 3"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.errors import ArgumentError

_FORM = re.compile(r"\s*(?P<metric>\w+)\s*(?P<sense><=|>=)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A metric that must not be above, or below, a bound.

    Attributes:
      metric: its name.
      sense: "<=" or ">=".
      bound: a finite number.

    Example:
      >>> slow = Requirement.parse("latency <= 3")
      >>> slow.excess(6.0), slow.excess(1.5), slow.holds({"latency": 3.0}), str(slow)
      (1.0, -0.5, True, 'latency <= 3')
    """

    metric: str
    sense: str
    bound: float

    @classmethod
    def parse(cls, text: Any) -> Requirement:
        """Reads "metric <= number" or "metric >= number".

        Raises:
          ArgumentError: anything else.
        """
        found = _FORM.fullmatch(text) if isinstance(text, str) else None
        if found is None or not math.isfinite(float(found["bound"])):
            raise ArgumentError(
                f'constraint must be "metric <= number" or "metric >= number", as "latency <= 3" is; got {text!r}'
            )
        return cls(found["metric"], found["sense"], float(found["bound"]))

    def excess(self, value: Any) -> Any:
        """By how much a value, or each of an array, exceeds the bound, as a share of it; at most 0 where it holds."""
        over = value - self.bound if self.sense == "<=" else self.bound - value
        return over / (abs(self.bound) or 1.0)

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Whether measurements keep to it; a metric that is missing does not."""
        value = metrics.get(self.metric, math.nan)
        return bool(self.excess(value) <= 0)

    def __str__(self) -> str:
        return f"{self.metric} {self.sense} {self.bound:g}"


def requirements(constraint: Any) -> tuple[Requirement, ...]:
    """Constraints as given: a text, several, or None.

    Raises:
      ArgumentError: a text that is no constraint, or two alike.

    Example:
      >>> [str(each) for each in requirements(["latency <= 3", "accuracy >= .9"])]
      ['latency <= 3', 'accuracy >= 0.9']
    """
    texts = () if constraint is None else (constraint,) if isinstance(constraint, str) else constraint
    if not isinstance(texts, Sequence):
        raise ArgumentError(f'constraint must be a text as "latency <= 3", or a list of such; got {constraint!r}')
    found = tuple(map(Requirement.parse, texts))
    alike = [(one.metric, one.sense) for one in found]
    if len(set(alike)) < len(alike):
        raise ArgumentError(f"constraint bounds a metric twice on one side: {', '.join(map(str, found))}")
    return found


def worst(found: Sequence[Requirement], values: np.ndarray) -> np.ndarray:
    """By how much rows exceed the constraint that they exceed most, float64 [n]; NaN without constraints or values.

    Args:
      found: constraints [k].
      values: of their metrics, float64 [n, k].

    Example:
      >>> worst(requirements(["latency <= 4", "size <= 10"]), np.array([[3.0, 5.0], [8.0, 11.0]])).tolist()
      [-0.25, 1.0]
    """
    over = [each.excess(column) for each, column in zip(found, values.T, strict=True)]
    return np.max(over, axis=0) if over else np.full(len(values), np.nan)


def exceeding(found: Sequence[Requirement], metrics: Sequence[Mapping[str, float]]) -> np.ndarray:
    """What `worst` gives for metrics by name, float64 [n]."""
    values = [[each.get(rule.metric, np.nan) for rule in found] for each in metrics]
    return worst(found, np.array(values, dtype=np.float64).reshape(len(metrics), len(found)))
