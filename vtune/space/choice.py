"""Hyperparameters that are one of a few values: Choice."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ConfigError, SpaceError
from vtune.space.axes import Cells
from vtune.space.parameter import Parameter, Where, condition, is_plain, label, show


@dataclass(frozen=True, repr=False, init=False)
class Choice(Parameter):
    """One of the values listed, all equally likely, in no order.

    Strings, numbers, bools, None and tuples of these are stored as they are. Any other object (a function, a class) is
    stored by a label, its name or its repr, and a space that is read back from a store has the label in its place.

    Args:
      *values: what it may be; all different.
      default: what it reads as while it is not active; the first value unless given.
      when: parents and their values under which it is active; see `Float`.

    Raises:
      SpaceError: no values, equal values, a NaN, or a default or condition that cannot be.

    Example:
      >>> Choice("relu", "gelu", when={"depth": (2, 3)})
      Choice('relu', 'gelu', when={'depth': (2, 3)})
      >>> Choice(len, max).labels
      ('len', 'max')
    """

    kind: ClassVar[str] = "choice"

    values: tuple[Any, ...]
    default: Any
    when: Mapping[str, Any] | None = field(hash=False)

    def __init__(self, *values: Any, default: Any = ..., when: Mapping[str, Any] | None = None) -> None:
        if not values:
            raise SpaceError("Choice: there must be at least one value; got none")
        if len(values) == 1 and isinstance(values[0], list | set | frozenset | dict | range):
            raise SpaceError(f"Choice: takes its values one by one; got one {show(values[0])}. Write Choice(*values)")
        values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
        for position, value in enumerate(values):
            _check_finite(value)
            for earlier in values[:position]:
                if _same(value, earlier):
                    raise SpaceError(
                        f"Choice: values must differ; got {show(earlier)} and {show(value)}, which are equal"
                    )
        self._set(values=values, default=default, when=condition("Choice", when))
        first = default is ... or (default is None and self.index(None) is None)
        self._set(default=values[0] if first else self._checked_default())

    @cached_property
    def axis(self) -> Cells:
        return Cells(0, 1, len(self.values))

    @cached_property
    def labels(self) -> tuple[Any, ...]:
        """The values as JSON values [values]: tuples as lists, other objects by their label."""
        labels: list[Any] = []
        taken = {json.dumps(_plain(value)) for value in self.values if is_plain(value)}
        for value in self.values:
            if is_plain(value):
                labels.append(_plain(value))
                continue
            candidates = (label(value) + (f"#{count}" if count > 1 else "") for count in itertools.count(1))
            labels.append(next(name for name in candidates if json.dumps(name) not in taken))
            taken.add(json.dumps(labels[-1]))
        return tuple(labels)

    def index(self, value: Any) -> int | None:
        """Position of a value, or of the JSON value that stands for it; None if it is not among the values."""
        try:
            return self._positions[_key(value)]
        except (KeyError, TypeError):
            pass
        same = (i for i, known in enumerate(self.values) if _key(known)[0] == _key(value)[0] and _same(known, value))
        stands = (i for i, name in enumerate(self.labels) if type(name) is type(value) and name == value)
        return next(same, next(stands, None))

    def encode(self, values: Sequence[Any], where: Where) -> np.ndarray:
        try:
            return np.array([self._positions[_key(value)] for value in values], dtype=np.int64)
        except (KeyError, TypeError):
            pass
        column = [self.index(value) for value in values]
        if None in column:
            row = column.index(None)
            known = ", ".join(map(show, self.values))
            raise ConfigError(f"{where(row)} must be one of {known}; got {show(values[row])}")
        return np.array(column, dtype=np.int64)

    def decode(self, column: np.ndarray) -> list[Any]:
        return [self.values[i] for i in column.tolist()]

    def fields(self) -> dict[str, Any]:
        return {"values": list(self.labels), "default": self.labels[self.index(self.default) or 0]}

    def __repr__(self) -> str:
        return self._call([show(value) for value in self.values], self.values[0])

    @cached_property
    def _positions(self) -> dict[Any, int]:
        positions = {}
        for position, value in enumerate(self.values):
            try:
                positions[_key(value)] = position
            except TypeError:  # unhashable: `index` finds it by comparison
                continue
        return positions


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    base = next(kind for kind in (str, int, float) if isinstance(value, kind))
    return str.__str__(value) if base is str else base(value)


def _key(value: Any) -> tuple[bool, Any]:
    """Equality as configurations need it: True is not 1."""
    return isinstance(value, bool | np.bool_), value


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    equal = one == other
    return isinstance(equal, bool | np.bool_) and bool(equal)


def _check_finite(value: Any) -> None:
    if isinstance(value, tuple):
        for item in value:
            _check_finite(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"Choice: numbers must be finite; got {value!r}. Use None to say that there is no limit")
