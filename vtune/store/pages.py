"""The outermost layer of a SQLite file: its first hundred bytes and its length."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

MAGIC = b"SQLite format 3\0"
PAGE = 4096
"""Bytes of a page in the files that vtune writes: SQLite's own choice."""
HEADER = 100
UNREADABLE = (sqlite3.Error, OverflowError, UnicodeDecodeError)
"""What the driver raises of a damaged file; its own messages may hold damaged text."""


def page_size(header: bytes) -> int | None:
    """What a header says of the size of pages; None where that cannot be.

    Source: "Database File Format", sqlite.org/fileformat.html.
    """
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else None


def outer_damage(path: Path) -> list[str]:
    """What is wrong with a file before its pages are read.

    A file whose last changes lie in a `-wal` file beside it may well be shorter than it says.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER)
    if not length:
        return ["the file is empty"]
    if header[:16] != MAGIC:
        return ["the file does not begin as a SQLite database does: it is none, or its first bytes are damaged"]
    size = page_size(header)
    if size is None or length < HEADER:
        return ["the header of the file is damaged"]
    said = int.from_bytes(header[28:32], "big")
    log = path.with_name(path.name + "-wal")
    if length < said * size and not (log.exists() and log.stat().st_size):
        return [f"the file ends early: {length // size:,} of {said:,} pages are there"]
    return []


def readable_copies(path: Path, folder: Path) -> Iterator[Path]:
    """Copies a database, with what its `-wal` file holds, so that SQLite opens the copy whatever the header says.

    Args:
      path: the file; it is not changed.
      folder: where copies are made.

    Yields:
      A copy; if that does not do, another one for the usual size of pages. Each replaces the one before.

    Raises:
      OSError: the file cannot be read, or the copy not be written.
    """
    copy = folder / "copy.sqlite"
    log, logged = path.with_name(path.name + "-wal"), copy.with_name(copy.name + "-wal")
    with path.open("rb") as file:
        said = page_size(file.read(HEADER).ljust(HEADER, b"\0"))
    for size in dict.fromkeys((said or PAGE, PAGE)):
        if not _backed_up(path, copy):
            shutil.copyfile(path, copy)
            if log.is_file() and log.stat().st_size:
                shutil.copyfile(log, logged)
                _write_header(copy, size, version=2)
                with contextlib.suppress(*UNREADABLE), contextlib.closing(sqlite3.connect(copy)) as connection:
                    connection.execute("PRAGMA writable_schema=ON")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        logged.unlink(missing_ok=True)
        copy.with_name(copy.name + "-shm").unlink(missing_ok=True)
        _write_header(copy, size, version=1)
        yield copy


def _backed_up(path: Path, copy: Path) -> bool:
    """Copies page by page as they are, of one moment even while somebody writes; False where SQLite will not."""
    copy.unlink(missing_ok=True)
    try:
        source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        with contextlib.closing(source), contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except UNREADABLE:
        return False
    return True


def _write_header(path: Path, size: int, version: int) -> None:
    """Writes what a header must say of a file that is only read: no free pages, all pages there, UTF-8.

    Args:
      path: the file; a last page that is not whole is cut off.
      size: of its pages.
      version: 2 where a `-wal` file is to be read, else 1.
    """
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER).ljust(HEADER, b"\0"))
        pages = max(1, path.stat().st_size // size)
        file.truncate(pages * size)
        header[:16] = MAGIC
        header[16:18] = (1 if size == 65536 else size).to_bytes(2, "big")
        header[18:24] = bytes((version, version, 0, 64, 32, 32))
        header[28:32] = pages.to_bytes(4, "big")
        header[32:40] = bytes(8)
        header[44:48] = (4).to_bytes(4, "big")
        header[52:56] = bytes(4)
        header[56:60] = (1).to_bytes(4, "big")
        header[64:68] = bytes(4)
        header[92:96] = header[24:28]
        file.seek(0)
        file.write(header)
