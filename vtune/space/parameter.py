"""What every kind of hyperparameter can do.

Inside, the values of one hyperparameter over many configurations are a *column*: float64 values for a continuous Float,
int64 indices of its values for everything else. `encode` and `decode` go between Python values and columns.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ConfigError, SpaceError
from vtune.space.axes import Cells, Line

Where = Callable[[int], str]
"""Says in words where the value at a row of a column came from, for errors."""


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
            arguments.append(f"default={show(self.default)}")
        if self.when:
            arguments.append(f"when={dict(self.when)!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


def condition(kind: str, when: Any) -> Mapping[str, Any] | None:
    """`when` as it was given, once it is sure to map names to something."""
    if when is None:
        return None
    if not isinstance(when, Mapping) or not when or not all(isinstance(name, str) for name in when):
        raise SpaceError(f"{kind}: when must map names of parents to their values; got {when!r}")
    return dict(when)


def show(value: Any) -> str:
    """A value as errors and reprs show it: what can be typed as it is, other objects by their label."""
    return repr(value) if is_plain(value) else label(value)


def label(value: Any) -> str:
    """What stands for an object that cannot be stored: its name, else its repr without the address."""
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def is_plain(value: Any) -> bool:
    """Whether a value can be stored as it is: strings, numbers, bools, None, and tuples of these."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)
