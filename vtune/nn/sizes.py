"""What of an array is padding: which params are packed, and how long the axes are that layers hand to one another."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax.numpy as jnp

from vtune.hyper import Size, packed_size


class Ledger:
    """The packed params that were made while it was open, found by the array itself."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Any, tuple[Size, ...]]] = {}

    def note(self, array: Any, sizes: Sequence[Size]) -> None:
        """Remember the sizes of an array's axes."""
        self._entries[id(array)] = (array, tuple(sizes))

    def sizes(self, array: Any) -> tuple[Size, ...]:
        """The sizes of an array's axes, `[ndim]`: plain ones for an array that was not noted."""
        noted = self._entries.get(id(array))
        return tuple(Size(length, length) for length in jnp.shape(array)) if noted is None else noted[1]


_ledger: ContextVar[Ledger | None] = ContextVar("ledger", default=None)
_produced: weakref.WeakKeyDictionary[Any, list[Size]] = weakref.WeakKeyDictionary()


@contextmanager
def ledger() -> Iterator[Ledger]:
    """Collects the packed params that are made inside, within one trace.

    >>> with ledger() as made:
    ...     kernel = param(jnp.zeros((3, 4)), (packed_size(3), packed_size(4)))
    >>> [size.packed for size in made.sizes(kernel)]
    [False, False]
    """
    opened = Ledger()
    token = _ledger.set(opened)
    try:
        yield opened
    finally:
        _ledger.reset(token)


def param(array: Any, sizes: Sequence[Size]) -> Any:
    """Tells the open ledger, if there is one, that a param is padded.

    Args:
      array: a param that was just made, of the caps' shape.
      sizes: the size of each of its axes.

    Returns:
      The array.
    """
    open_ledger = _ledger.get()
    if open_ledger is not None and any(size.packed for size in sizes):
        open_ledger.note(array, sizes)
    return array


def mask_of(sizes: Sequence[Size]) -> Any:
    """True for what is not padding, bool `[caps]` with length 1 for axes that are not packed; None for no padding."""
    mask = None
    for axis, size in enumerate(sizes):
        if size.packed:
            along = size.mask.reshape([-1 if other == axis else 1 for other in range(len(sizes))])
            mask = along if mask is None else mask & along
    return mask


def masked(array: Any, sizes: Sequence[Size]) -> Any:
    """An array with zeros for its padding; sizes are those of its last axes.

    >>> masked(jnp.ones((2, 3)), (packed_size(3),)).shape
    (2, 3)
    """
    mask = mask_of(sizes)
    return array if mask is None else jnp.where(mask, array, jnp.zeros((), array.dtype))


def count(sizes: Sequence[Size]) -> Any:
    """How many entries an array truly has: an int, or an int32 tracer."""
    return math.prod(size.value for size in sizes)


def produced(scope: Any, size: Size) -> None:
    """Notes the size of the last axis of what a linen module returns, for the module that takes it.

    Args:
      scope: the module's `scope.root`: one for each `init` or `apply`.
      size: of the features.
    """
    _produced.setdefault(scope, []).append(size)


def inputs_of(scope: Any, length: int, given: Any = None) -> Size:
    """The size of the last axis of what a linen module is called with.

    Args:
      scope: the module's `scope.root`.
      length: of the axis as it is.
      given: what the user said: an int or a Hyper; None if nothing.

    Returns:
      The given size; else that of the latest packed output of this length in the same call of the network; else the
      plain length.
    """
    if given is not None:
        return packed_size(given)
    for size in reversed(_produced.get(scope, [])):
        if size.cap == length:
            return size
    return Size(length, length)
