"""What a module keeps of hyperparameters: values that nobody may ask for when definitions of modules are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vtune.hyper import Size, packed_size


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Something that equals only itself, so that comparing or hashing a module's definition does not look into it.

    Attributes:
      value: a Hyper or a tracer.
    """

    value: Any


def held(value: Any) -> Any:
    """A plain number or truth value as it is, and anything else as a `Held`."""
    return value if isinstance(value, bool | int | float) else Held(value)


def released(kept: Any) -> Any:
    """What `held` was given.

    >>> released(held(0.5))
    0.5
    """
    return kept.value if isinstance(kept, Held) else kept


def size_of(value: Any) -> Size:
    """A size that one module hands to another, or that of an int or a Hyper."""
    return value if isinstance(value, Size) else packed_size(value)


def kept(size: Size) -> Any:
    """What a module keeps of a size, for `size_of`: the length where it is plain, so that equal modules are equal."""
    return size if size.packed else size.cap
