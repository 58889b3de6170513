"""Hyperparameters that are numbers between two bounds: Float and Int."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ConfigError, SpaceError
from vtune.space.axes import Cells, Line
from vtune.space.parameter import Parameter, Where, condition, show

LARGEST = 2**40
"""Up to this many steps from zero, a discrete value finds its cell of the unit interval again in float64."""


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
        self._set(low=low, high=high, step=step, when=condition("Float", self.when))
        _check_range("Float", low, high, self.log, step)
        self._set(default=self._natural if self.default is None else self._checked_default())

    @cached_property
    def axis(self) -> Line | Cells:
        if self.step is None:
            return Line(self.low, self.high, self.log)
        return Cells(self.low, self.step, _steps(self.low, self.high, self.step) + 1, self.log)

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
        return np.minimum(points if digits is None else np.round(points, digits), self.high)

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
        self._set(low=low, high=high, step=step, when=condition("Int", self.when))
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
    if low < high < low + step and (kind == "Int" or _steps(low, high, step) < 1):
        raise SpaceError(f"{kind}: step must be at most high - low; {given}")
    if max(abs(low), abs(high), high - low) > LARGEST * step:
        raise SpaceError(f"{kind}: bounds must lie within 2**40 steps of zero and of each other; {given}")


def _steps(low: float, high: float, step: float) -> int:
    """Whole steps between the bounds, read as the decimals that they were written as.

    >>> _steps(0.2, 0.3, 0.1)
    1
    """
    return math.floor((high - low) / step * (1 + 1e-12))


def _range_arguments(low: float, high: float, log: bool, step: float | None) -> list[str]:
    return [repr(low), repr(high), *(["log=True"] if log else []), *([f"step={step!r}"] if step is not None else [])]


def _column(values: Sequence[Any], where: Where, must: str, low: float, high: float) -> np.ndarray:
    """Numbers [n] as float64 [n], all between the bounds."""
    if not set(map(type, values)) <= {float, int}:
        for row, value in enumerate(values):
            if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
                raise ConfigError(f"{where(row)} must be {must}; got {show(value)} ({type(value).__name__})")
    try:
        column = np.array([float(value) for value in values], dtype=np.float64)
    except OverflowError:
        column = np.array([float(value) if abs(value) < 2**1000 else np.inf for value in values])
    outside = ~((column >= low) & (column <= high))
    if outside.any():
        row = int(np.argmax(outside))
        raise ConfigError(f"{where(row)} must be {must}; got {values[row]!r}")
    return column
