"""How many rows of the batch that a network is applied to are true, while the batch size is packed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from vtune.hyper import Size

_rows: ContextVar[Size | None] = ContextVar("rows", default=None)


def current() -> Size | None:
    """Returns the size of the leading axis of what the network is applied to; None if all of it is true."""
    return _rows.get()


@contextmanager
def packed(size: Size) -> Iterator[None]:
    """Says how many rows are true while a network is applied inside.

    Args:
      size: of the leading axis of the batch.

    Example:
      >>> from vtune.hyper import packed_size
      >>> with packed(packed_size(32)):
      ...     current().value
      32
      >>> current() is None
      True
    """
    token = _rows.set(size)
    try:
        yield
    finally:
        _rows.reset(token)
