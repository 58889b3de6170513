"""The three kinds of hyperparameter: Float, Int and Choice.

Inside, the values of one hyperparameter over many configurations are a *column*: float64 values for a continuous Float,
int64 indices of its values for everything else. `encode` and `decode` go between Python values and columns.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ConfigError, SpaceError
from vtune.space.axes import Cells, Line

Where = Callable[[int], str]
"""Says in words where the value at a row of a column came from, for errors."""

LARGEST = 2**40
"""Up to this many steps from zero, a discrete value finds its cell of the unit interval again in float64."""


class Parameter(ABC):
    """One hyperparameter: what it may be, what it reads as when it is not active, and when it is active."""

    kind: ClassVar[str]
    default: Any
    when: Mapping[str, Any] | None

    @property
    @abstractmethod
    def axis(self) -> Line | Cells:
        """How its values lie on the unit interval."""

    @abstractmethod
    def encode(self, values: Sequence[Any], where: Where) -> np.ndarray:
        """Python values [n] -> column [n]; for one that it cannot take, a ConfigError that begins with `where`."""

    @abstractmethod
    def decode(self, column: np.ndarray) -> list[Any]:
        """Column [n] -> Python values [n]."""

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """What the constructor was given, as JSON values, without `when`."""

    @property
    def size(self) -> int | None:
        """How many values it can take; None for a continuous range."""
        if isinstance(self.axis, Cells):
            return self.axis.count
        return 1 if self.axis.low == self.axis.high else None

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _checked_default(self) -> Any:
        try:
            column = self.encode([self.default], lambda _: f"{type(self).__name__}: default")
        except ConfigError as error:
            raise SpaceError(str(error)) from None
        return self.decode(column)[0]

    def _call(self, arguments: list[str], natural: Any) -> str:
        if self.default is not natural and self.default != natural:
            arguments.append(f"default={self.default!r}")
        if self.when:
            arguments.append(f"when={dict(self.when)!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


@dataclass(frozen=True, repr=False)
class Float(Parameter):
    """A real number between two bounds.

    With a step it is one of low, low + step, ... up to high, and reads as decimals do (0.3, not 0.30000000000000004).

    Args:
      low: smallest value.
      high: largest value; equal to `low` for a single value.
      log: evenly on a logarithmic scale; needs low > 0.
      step: distance between values; None for a continuous range.
      default: what it reads as while it is not active; the middle (geometric if `log`) unless given.
      when: parents and their values under which it is active: {"optimizer": "momentum"}, or
        {"optimizer": ("momentum", "nesterov")} for any of several; with several parents, all must hold.

    Raises:
      SpaceError: bounds, step, default or condition that cannot be.

    Example:
      >>> Float(1e-5, 1e-1, log=True).default
      0.001
      >>> Float(0.0, 0.5, step=0.1)
      Float(0.0, 0.5, step=0.1)
    """

    kind: ClassVar[str] = "float"

    low: float
    high: float
    log: bool = field(default=False, kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    default: float = field(default=None, kw_only=True)  # type: ignore[assignment]
    when: Mapping[str, Any] | None = field(default=None, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        low, high = _real("Float", "low", self.low), _real("Float", "high", self.high)
        step = None if self.step is None else _real("Float", "step", self.step)
        self._set(low=low, high=high, step=step, when=_condition("Float", self.when))
        _check_range("Float", low, high, self.log, step)
        self._set(default=self._natural if self.default is None else self._checked_default())

    @cached_property
    def axis(self) -> Line | Cells:
        if self.step is None:
            return Line(self.low, self.high, self.log)
        return Cells(self.low, self.step, math.floor((self.high - self.low) / self.step * (1 + 1e-12)) + 1, self.log)

    def encode(self, values: Sequence[Any], where: Where) -> np.ndarray:
        column = _column(values, where, f"a number from {self.low!r} to {self.high!r}", self.low, self.high)
        if self.step is None:
            return column
        index = np.clip(np.rint((column - self.low) / self.step), 0, self.axis.count - 1)  # type: ignore[union-attr]
        off = np.abs(self._points(index) - column) > 1e-6 * self.step
        if off.any():
            row = int(np.argmax(off))
            raise ConfigError(
                f"{where(row)} must be {self.low!r} plus a multiple of {self.step!r}; got {values[row]!r}"
            )
        return index.astype(np.int64)

    def decode(self, column: np.ndarray) -> list[float]:
        return (column if self.step is None else self._points(column)).tolist()

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("low", "high", "log", "step", "default")}

    def __repr__(self) -> str:
        return self._call(_range_arguments(self.low, self.high, self.log, self.step), self._natural)

    @property
    def _natural(self) -> float:
        middle = self.axis.from_unit(np.array([0.5]))
        if isinstance(self.axis, Cells) and not self.log:
            middle = np.array([(self.axis.count - 1) // 2])
        return self.decode(middle)[0]

    def _points(self, index: np.ndarray) -> np.ndarray:
        points = self.low + index * self.step
        digits = self._digits
        return points if digits is None else np.round(points, digits)

    @cached_property
    def _digits(self) -> int | None:
        """Decimals that every value has when low and step are read as decimals; None if float64 cannot hold them."""
        digits = max(0, *(-int(Decimal(repr(v)).as_tuple().exponent) for v in (self.low, self.step)))
        return digits if max(abs(self.low), abs(self.high)) * 10.0**digits < 2**52 else None


@dataclass(frozen=True, repr=False)
class Int(Parameter):
    """A whole number between two bounds, both included.

    Args:
      low: smallest value.
      high: largest value; equal to `low` for a single value.
      log: small values as likely as large ones by the factor, not by the difference; needs low >= 1.
      step: distance between values; 1 unless given.
      default: what it reads as while it is not active; the middle (geometric if `log`) unless given.
      when: parents and their values under which it is active; see `Float`.

    Raises:
      SpaceError: bounds, step, default or condition that cannot be.

    Example:
      >>> Int(16, 256, log=True).default
      64
      >>> Int(32, 128, step=32)
      Int(32, 128, step=32)
    """

    kind: ClassVar[str] = "int"

    low: int
    high: int
    log: bool = field(default=False, kw_only=True)
    step: int | None = field(default=None, kw_only=True)
    default: int = field(default=None, kw_only=True)  # type: ignore[assignment]
    when: Mapping[str, Any] | None = field(default=None, kw_only=True, hash=False)

    def __post_init__(self) -> None:
        low, high = _whole("Int", "low", self.low), _whole("Int", "high", self.high)
        step = None if self.step is None else _whole("Int", "step", self.step)
        self._set(low=low, high=high, step=step, when=_condition("Int", self.when))
        _check_range("Int", low, high, self.log, 1 if step is None else step)
        self._set(default=self._natural if self.default is None else self._checked_default())

    @cached_property
    def axis(self) -> Cells:
        return Cells(self.low, self._step, (self.high - self.low) // self._step + 1, self.log)

    def encode(self, values: Sequence[Any], where: Where) -> np.ndarray:
        column = _column(values, where, f"a whole number from {self.low} to {self.high}", self.low, self.high)
        index = (column - self.low) / self._step
        off = index != np.floor(index)
        if off.any():
            row = int(np.argmax(off))
            must = "a whole number" if self._step == 1 else f"{self.low} plus a multiple of {self._step}"
            raise ConfigError(f"{where(row)} must be {must}; got {values[row]!r}")
        return index.astype(np.int64)

    def decode(self, column: np.ndarray) -> list[int]:
        return (self.low + column * self._step).tolist()

    def fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("low", "high", "log", "step", "default")}

    def __repr__(self) -> str:
        return self._call(_range_arguments(self.low, self.high, self.log, self.step), self._natural)

    @property
    def _step(self) -> int:
        return 1 if self.step is None else self.step

    @property
    def _natural(self) -> int:
        if not self.log:
            return self.low + (self.axis.count - 1) // 2 * self._step
        middle = math.sqrt(self.low * self.high)
        index = min(max(round((middle - self.low) / self._step), 0), self.axis.count - 1)
        return self.low + index * self._step


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
            raise SpaceError(f"Choice: takes its values one by one; got one {_show(values[0])}. Write Choice(*values)")
        values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
        for position, value in enumerate(values):
            _check_finite(value)
            for earlier in values[:position]:
                if _same(value, earlier):
                    raise SpaceError(
                        f"Choice: values must differ; got {_show(earlier)} and {_show(value)}, which are equal"
                    )
        self._set(values=values, default=default, when=_condition("Choice", when))
        first = default is ... or (default is None and self.index(None) is None)
        self._set(default=values[0] if first else self._checked_default())

    @cached_property
    def axis(self) -> Cells:
        return Cells(0, 1, len(self.values))

    @cached_property
    def labels(self) -> tuple[Any, ...]:
        """The values as JSON values [values]: tuples as lists, other objects by their label."""
        labels: list[Any] = []
        taken = {json.dumps(_plain(value)) for value in self.values if _is_plain(value)}
        for value in self.values:
            if _is_plain(value):
                labels.append(_plain(value))
                continue
            name = label = _label(value)
            count = 1
            while json.dumps(label) in taken:
                count += 1
                label = f"{name}#{count}"
            taken.add(json.dumps(label))
            labels.append(label)
        return tuple(labels)

    def index(self, value: Any) -> int | None:
        """Position of a value, or of the JSON value that stands for it; None if it is not among the values."""
        try:
            return self._positions[_key(value)]
        except (KeyError, TypeError):
            pass
        same = (i for i, known in enumerate(self.values) if _same(known, value))
        stands = (i for i, label in enumerate(self.labels) if type(label) is type(value) and label == value)
        return next(same, next(stands, None))

    def encode(self, values: Sequence[Any], where: Where) -> np.ndarray:
        try:
            return np.array([self._positions[_key(value)] for value in values], dtype=np.int64)
        except (KeyError, TypeError):
            pass
        column = [self.index(value) for value in values]
        if None in column:
            row = column.index(None)
            known = ", ".join(map(_show, self.values))
            raise ConfigError(f"{where(row)} must be one of {known}; got {_show(values[row])}")
        return np.array(column, dtype=np.int64)

    def decode(self, column: np.ndarray) -> list[Any]:
        return [self.values[i] for i in column.tolist()]

    def fields(self) -> dict[str, Any]:
        return {"values": list(self.labels), "default": self.labels[self.index(self.default) or 0]}

    def __repr__(self) -> str:
        return self._call([_show(value) for value in self.values], self.values[0])

    @cached_property
    def _positions(self) -> dict[Any, int]:
        positions = {}
        for position, value in enumerate(self.values):
            try:
                positions[_key(value)] = position
            except TypeError:  # unhashable: `index` finds it by comparison
                continue
        return positions


def _show(value: Any) -> str:
    """A value as errors and reprs show it: what can be typed as it is, other objects by their label."""
    return repr(value) if _is_plain(value) else _label(value)


def _label(value: Any) -> str:
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


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


def _real(kind: str, name: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise SpaceError(f"{kind}: {name} must be a number; got {value!r} ({type(value).__name__})")
    number = float(value)
    if not math.isfinite(number):
        raise SpaceError(f"{kind}: {name} must be finite; got {value!r}")
    return number


def _whole(kind: str, name: str, value: Any) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise SpaceError(f"{kind}: {name} must be a whole number; got {value!r} ({type(value).__name__})")
    return int(value)


def _condition(kind: str, when: Any) -> Mapping[str, Any] | None:
    if when is None:
        return None
    if not isinstance(when, Mapping) or not when or not all(isinstance(name, str) for name in when):
        raise SpaceError(f"{kind}: when must map names of parents to their values; got {when!r}")
    return dict(when)


def _check_range(kind: str, low: float, high: float, log: Any, step: float | None) -> None:
    given = f"got low={low!r}, high={high!r}" + ("" if step in (None, 1) else f", step={step!r}")
    if not isinstance(log, bool):
        raise SpaceError(f"{kind}: log must be True or False; got {log!r}")
    if low > high:
        raise SpaceError(f"{kind}: low must be at most high; {given}")
    if not math.isfinite(high - low):
        raise SpaceError(f"{kind}: high - low must be a finite number; {given}")
    if log and low <= 0:
        raise SpaceError(f"{kind}: log needs low > 0; {given}")
    if step is None:
        return
    if step <= 0:
        raise SpaceError(f"{kind}: step must be positive; got step={step!r}")
    if low < high < low + step:
        raise SpaceError(f"{kind}: step must be at most high - low; {given}")
    if max(abs(low), abs(high), high - low) > LARGEST * step:
        raise SpaceError(f"{kind}: bounds must lie within 2**40 steps of zero and of each other; {given}")


def _range_arguments(low: float, high: float, log: bool, step: float | None) -> list[str]:
    return [repr(low), repr(high), *(["log=True"] if log else []), *([f"step={step!r}"] if step is not None else [])]


def _column(values: Sequence[Any], where: Where, must: str, low: float, high: float) -> np.ndarray:
    """Numbers [n] as float64 [n], all between the bounds."""
    if not set(map(type, values)) <= {float, int}:
        for row, value in enumerate(values):
            if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
                raise ConfigError(f"{where(row)} must be {must}; got {_show(value)} ({type(value).__name__})")
    try:
        column = np.array([float(value) for value in values], dtype=np.float64)
    except OverflowError:
        column = np.array([float(value) if abs(value) < 2**1000 else np.inf for value in values])
    outside = ~((column >= low) & (column <= high))
    if outside.any():
        row = int(np.argmax(outside))
        raise ConfigError(f"{where(row)} must be {must}; got {values[row]!r}")
    return column
