"""Who writes a study: one process at a time, and after its death the next.

A lease is a row that names its holder. Whether a holder of this machine lives is asked of the system, which no clock
can mislead. A holder elsewhere is watched: its heartbeat must change within `PATIENCE` seconds of the watcher's own
steady clock; what time it states does not matter. Every commit checks in its own transaction that the lease is still
its writer's (a fence), so that a holder that was taken for dead, as one that slept, can write nothing more.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from vtune.errors import StoreError
from vtune.store import schema
from vtune.store.database import Database, Location

PATIENCE = 60.0
"""Seconds without a heartbeat after which a holder on another machine is taken for dead."""
BEAT_SECONDS = 10.0
"""How often a holder shows that it lives while it writes nothing."""
POLL_SECONDS = 1.0

_L, _S = schema.leases.c, schema.studies.c
_held_here: set[str] = set()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lease.

    Attributes:
      host: name of its machine.
      pid: its number there.
      since: epoch seconds at which it took the lease; only shown.
      system: what tells apart machines, boots and containers in which process numbers count anew; "" if unknown.
      began: when the process began, by the system's count since boot: numbers of processes are used again.
    """

    host: str
    pid: int
    since: float = 0.0
    system: str = ""
    began: str = ""

    @classmethod
    def of_this_process(cls) -> Holder:
        """This very process."""
        pid = os.getpid()
        return cls(platform.node(), pid, time.time(), _system(), _began(pid) or "")

    @classmethod
    def from_json(cls, text: str) -> Holder:
        """Reads what a lease says; unknown where it is damaged."""
        try:
            fields = json.loads(text)
            return cls(
                str(fields["host"]), int(fields["pid"]), float(fields["since"]), str(fields["system"]),
                str(fields["began"]),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return cls("an unknown machine", 0)

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    def lives(self) -> bool | None:
        """Whether the process lives; None if that cannot be told from here."""
        if not self.system or self.system != _system():
            return None
        return _began(self.pid) == self.began

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def acquire(database: Database, study: int, say: Callable[[str], object], check: Callable[[], object]) -> str:
    """Takes the lease of a study, from nobody or from a dead holder.

    Args:
      database: of the store.
      study: its id.
      say: told that a holder elsewhere is being watched.
      check: called every second meanwhile; what it raises ends the wait.

    Returns:
      The token that `fence` and `release` ask for.

    Raises:
      StoreError: somebody else writes the study: who, and what to do.
    """
    token = secrets.token_hex(16)
    seen: tuple[str, float] | None = None
    watched = time.monotonic()
    while True:
        with database.transaction() as connection:
            row = connection.execute(select(_S.name, _S.updated).where(_S.id == study).with_for_update()).first()
            if row is None:
                raise StoreError(f"{database.location} has no study with id {study}: create it first.")
            lease = _lease(connection, study)
            holder = Holder.from_json(lease[1]) if lease is not None else None
            lives = _lives(lease)
            now = (lease[0], row.updated) if lease is not None else None
            beaten = seen is not None and now is not None and seen[0] == now[0] and seen != now
            if holder is not None and (lives or beaten):
                raise StoreError(_taken(database.location, row.name, holder))
            patience_ended = seen is not None and seen == now and time.monotonic() - watched > PATIENCE
            if holder is None or lives is False or patience_ended:
                connection.execute(delete(schema.leases).where(_L.study == study))
                mine = Holder.of_this_process().to_json()
                connection.execute(insert(schema.leases), {"study": study, "token": token, "holder": mine})
                _held_here.add(token)
                return token
        if seen != now:
            seen, watched = now, time.monotonic()
        say(f"waiting up to {PATIENCE:.0f} s to see whether {holder}, which holds the study, still lives")
        check()
        time.sleep(POLL_SECONDS)


def release(database: Database, study: int, token: str) -> None:
    """Gives a lease back. Where the store cannot be written, the lease ends with the process."""
    _held_here.discard(token)
    with contextlib.suppress(StoreError), database.transaction() as connection:
        connection.execute(delete(schema.leases).where(_L.study == study, _L.token == token))


def fence(connection: Connection, location: Location, study: int, token: str | None) -> None:
    """Refuses a write to a study that somebody else holds; clears the lease of a holder that is known to be dead.

    Args:
      connection: in a transaction that has locked the study's row.
      location: how errors name the store.
      study: its id.
      token: of the lease that the writer holds; None if it holds none.

    Raises:
      StoreError: the study is somebody else's.
    """
    lease = _lease(connection, study)
    if token is None:
        if lease is None:
            return
        if _lives(lease) is False:
            connection.execute(delete(schema.leases).where(_L.study == study))
            return
    elif lease is not None and lease[0] == token:
        return
    name = connection.execute(select(_S.name).where(_S.id == study)).scalar_one()
    if token is None and lease is not None:
        raise StoreError(_taken(location, name, Holder.from_json(lease[1])))
    by = Holder.from_json(lease[1]) if lease is not None else "another process, which is done with it,"
    raise StoreError(
        f"study {name!r} in {location} was taken over: this process had given no sign of life for over {PATIENCE:.0f} "
        f"seconds, and {by} writes it in its place. What is in the store is whole; end this process."
    )


@contextlib.contextmanager
def beating(beat: Callable[[], object]) -> Iterator[None]:
    """Calls `beat` every `BEAT_SECONDS` from a thread of its own, so that a long compilation looks alive."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(BEAT_SECONDS):
            with contextlib.suppress(StoreError):
                beat()

    thread = threading.Thread(target=run, name="vtune-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _lease(connection: Connection, study: int) -> tuple[str, str] | None:
    row = connection.execute(select(_L.token, _L.holder).where(_L.study == study)).first()
    return None if row is None else (row.token, row.holder)


def _lives(lease: tuple[str, str] | None) -> bool | None:
    """Whether a lease is held; one that this process has let go of without the store's knowing is not."""
    if lease is None:
        return False
    holder = Holder.from_json(lease[1])
    lives = holder.lives()
    return lease[0] in _held_here if lives and holder.pid == os.getpid() else lives


def _taken(location: Location, name: str, holder: Holder) -> str:
    since = f" since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(holder.since))}" if holder.since > 0 else ""
    return (
        f"one process at a time may write a study; {name!r} in {location} is held by {holder}{since}. "
        "Wait until it is done, or end it and try again; to watch it, use `vtune app` or vtune.load."
    )


def _system() -> str:
    """Boot of this machine and namespace of process numbers, where the system tells."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str | None:
    """When a process of this system began; None if there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
