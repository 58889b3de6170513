"""Rows of a damaged database, with what cannot be read left out."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

from vtune.store.pages import UNREADABLE

FIRST = -(2**63)
LAST = 2**62
ATTEMPTS = 10_000
"""How many unreadable places of one table are stepped over."""


def is_id(value: Any, least: int = 0) -> bool:
    """Whether a value is a number that an id may be."""
    return type(value) is int and least <= value < LAST


class Rows:
    """Rows of tables, by ascending id, with what cannot be read left out.

    Args:
      connection: to the copy.
      limit: more rows than this are not in the file: it leads in a circle.

    Attributes:
      lost: of the table that was read last, how many ids lie where nothing could be read.
      ended: whether that table was read to its end; what is lost behind it is not counted.
    """

    def __init__(self, connection: sqlite3.Connection, limit: int) -> None:
        self._connection = connection
        self._left = limit
        self.lost = 0
        self.ended = True

    def numbers_of_curves(self) -> list[int]:
        """The studies that have a table of measurements."""
        numbers = []
        with contextlib.suppress(*UNREADABLE):
            for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                digits = str(name).removeprefix("curves_")
                if f"curves_{digits}" == name and digits.isascii() and digits.isdecimal() and 0 < int(digits) < 2**62:
                    numbers.append(int(digits))
        return numbers

    def width(self, table: str) -> int:
        """How many columns a table has; 0 where there is none."""
        try:
            return len(self._connection.execute(f"PRAGMA table_info({table})").fetchall())
        except UNREADABLE:
            return 0

    def rows(
        self, table: str, columns: tuple[str, ...], where: str = "", end: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rows as dicts; `end` is an id that is known to have been there."""
        self.lost, self.ended = 0, False
        number = columns.index("id")
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE {where}id >= ? ORDER BY id"
        start = FIRST
        for _ in range(ATTEMPTS):
            try:
                for row in self._connection.execute(query, (start,)):
                    self._check(row, number, start)
                    start = row[number] + 1
                    yield dict(zip(columns, row, strict=True))
                self.ended = True
                break
            except UNREADABLE:
                # A row that was read just before the error is not handed out by the driver, so the next one may well
                # be at `start` itself; with each attempt there is one row less before it.
                row = self._next(f"{query} LIMIT 1", start, number)
                if row is None or self._left < 0:
                    break
                self.lost += row[number] - max(start, 0)
                start = row[number] + 1
                yield dict(zip(columns, row, strict=True))
        if not self.ended and end is not None:
            self.lost += max(0, end + 1 - max(start, 0))

    def _check(self, row: tuple[Any, ...], number: int, start: int) -> None:
        """Raises where rows do not ascend, or are more than the file can hold."""
        self._left -= 1
        if not is_id(row[number], least=start) or self._left < 0:
            raise sqlite3.DatabaseError("rows out of order")

    def _next(self, query: str, start: int, number: int) -> tuple[Any, ...] | None:
        """The first row from id `start` on that can be read; None if there is none."""

        def found(id: int) -> tuple[Any, ...] | None:
            """The next row from an id on; empty if there is no more, None if it cannot be read."""
            try:
                row = self._connection.execute(query, (id,)).fetchone() or ()
            except UNREADABLE:
                return None
            return row if not row or is_id(row[number], least=id) else None

        start = max(start, 0)
        stride = 1
        while (row := found(start + stride - 1)) is None:
            if start + stride > LAST:
                return None
            stride *= 2
        low, high = start + stride // 2 - 1, start + stride - 1
        while high - low > 1:
            middle = (low + high) // 2
            there = found(middle)
            low, high, row = (middle, high, row) if there is None else (low, middle, there)
        return row or None
