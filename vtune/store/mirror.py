"""A copy of a store where it outlives the machine: on a drive on which the store itself must not lie.

Notebooks in the cloud lose their disk with the session and offer a mounted drive, mostly through FUSE, on which SQLite
cannot rely on locks. So the study writes to the local disk, and whole copies of one moment go to the drive.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import threading
import warnings
from pathlib import Path

from vtune.errors import ArgumentError, StoreError
from vtune.store.database import locate

SECONDS = 60.0
"""How often a store is copied."""
PART = ".part"
"""Ends the names of files that are not whole yet."""


class Mirror:
    """Copies a store to a folder now and then while a block of code runs, and brings it back if it is lost.

    On entering, a store that is not there is brought back from the folder, so that a study goes on with `resume=True`
    in a new session. What was trained since the last copy is trained again, to the same bits on the same kind of
    machine.

    Args:
      store: path of the store, on a local disk.
      folder: where its copy is kept; made if it is not there.
      every: seconds between two copies; a last one is made when the block ends, however it ends.

    Raises:
      ArgumentError: a store that is no file, or a folder in which the store itself lies.
      StoreError: on entering, store and copy are both there and are not of each other.

    Example:
      >>> import tempfile
      >>> from vtune.store import StudyRecord, open_reader, open_writer
      >>> local, drive = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
      >>> with Mirror(local / "vtune.db", drive), open_writer(local / "vtune.db") as writer:
      ...     study = writer.create(StudyRecord("digits"))
      >>> with open_reader(drive / "vtune.db") as reader:
      ...     reader.study("digits").state
      'created'
    """

    def __init__(self, store: str | os.PathLike[str], folder: str | os.PathLike[str], every: float = SECONDS):
        path = locate(store).path
        if path is None:
            raise ArgumentError(f"only a store that is a file can be copied to a folder; got {store!r}")
        self.store, self.folder = path, Path(folder)
        self.copied = self.folder / path.name
        if self.folder.resolve() == path.parent.resolve():
            raise ArgumentError(f"the copy must lie in another folder than the store, which is {path}")
        self._every = every
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vtune-mirror", daemon=True)

    def __enter__(self) -> Mirror:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.copied.exists():
            _mark(self.store).unlink(missing_ok=True)
        elif not self.store.exists():
            self._bring_back()
        elif _token(self.store) is None or _token(self.store) != _token(self.copied):
            raise StoreError(
                f"{self.copied} must be a copy of {self.store}, and it is another store's: enter Mirror before the "
                "store is made, so that it is brought back, or give another folder."
            )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.copy()

    def copy(self) -> None:
        """Makes a copy now: of one moment, and in place of the last one only when it is whole.

        Raises:
          StoreError: the folder cannot be written.
        """
        if not self.store.exists():
            return
        local = self.store.with_name(self.store.name + ".copy")
        try:
            _copy_of_now(self.store, local)
            _update(_files(self.store), _files(self.copied))
            _share_token(self.store, self.copied)
            _publish(local, self.copied)
        except OSError as error:
            raise StoreError(
                f"the copy of {self.store} must be written to {self.folder}, and the system says: {error.strerror}. "
                "The store itself is whole; look whether the drive is still mounted and has room."
            ) from error
        finally:
            local.unlink(missing_ok=True)

    def _bring_back(self) -> None:
        _update(_files(self.copied), _files(self.store))
        _share_token(self.copied, self.store)
        _publish(self.copied, self.store)

    def _run(self) -> None:
        while not self._done.wait(self._every):
            try:
                self.copy()
            except (StoreError, sqlite3.Error) as error:
                warnings.warn(f"{error} Another try follows in {self._every:g} s.", stacklevel=2)


def _copy_of_now(store: Path, target: Path) -> None:
    """Copies a database that may be written meanwhile, without its lease: nobody writes the copy."""
    target.unlink(missing_ok=True)
    source = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("DELETE FROM leases")
        copy.commit()
        copy.execute("PRAGMA journal_mode=DELETE")


def _files(store: Path) -> Path:
    """Where the trained variables and snapshots of a store's studies lie."""
    return store.with_name(store.name + ".files")


def _update(source: Path, target: Path) -> None:
    """Makes a folder of files as another is: such files are written once and never changed."""
    there = {path.relative_to(source) for path in source.rglob("*") if path.is_file() and path.suffix != PART}
    for name in sorted(there):
        with contextlib.suppress(FileNotFoundError):  # a snapshot that is thrown away meanwhile
            if not (target / name).exists():
                _publish(source / name, target / name)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target) not in there:
            path.unlink()


def _publish(source: Path, target: Path) -> None:
    """Copies a file, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + PART)
    shutil.copyfile(source, unfinished)
    os.replace(unfinished, target)


def _mark(store: Path) -> Path:
    return store.with_name(store.name + ".mirror")


def _token(store: Path) -> str | None:
    """What a store and its copy have in common."""
    mark = _mark(store)
    return mark.read_text() if mark.exists() else None


def _share_token(one: Path, other: Path) -> None:
    token = _token(one) or secrets.token_hex(16)
    for store in (one, other):
        if _token(store) != token:
            _mark(store).write_text(token)
