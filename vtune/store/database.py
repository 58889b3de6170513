"""How a database is found and opened: the only place that knows one dialect from another."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    BindParameter,
    Connection,
    Engine,
    Executable,
    Insert,
    bindparam,
    column,
    create_engine,
    event,
    exc,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import NullPool, StaticPool
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.visitors import replacement_traverse

from vtune.errors import ArgumentError, StoreError, VtuneError

BUSY_SECONDS = 30.0
"""How long a write waits for another process that is writing."""

MANY = 500
"""The most values that one statement lists."""


_C = TypeVar("_C", bound=sqlite3.Connection)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a database lies: a file, memory (both None) or a server.

    Attributes:
      path: the SQLite file; None otherwise.
      url: the server's URL; None otherwise.
    """

    path: Path | None = None
    url: URL | None = None

    @property
    def in_memory(self) -> bool:
        """Whether the database lives and dies with this process."""
        return self.path is None and self.url is None

    def __str__(self) -> str:
        """The place without passwords: a URL's query may hold one too, so it is left out."""
        if self.url is not None:
            return self.url.set(query={}).render_as_string(hide_password=True)
        return "the store in memory" if self.path is None else str(self.path)

    __repr__ = __str__


def locate(where: str | os.PathLike[str] | None) -> Location:
    """Reads a path, an SQLAlchemy URL or None (memory).

    Raises:
      ArgumentError: for anything else.
      StoreError: for a database that vtune does not know.

    >>> locate("sqlite:///vtune.db").path.name
    'vtune.db'
    """
    if where is None:
        return Location()
    if not isinstance(where, str | os.PathLike) or not str(where).strip():
        raise ArgumentError(f"a store must be a path, a database URL, or None for memory; got {where!r}.")
    if not isinstance(where, str) or "://" not in where:
        return Location() if where == ":memory:" else Location(path=Path(where))
    try:
        url = make_url(where)
    except (exc.ArgumentError, ValueError):
        raise ArgumentError(
            "a store URL must read like sqlite:///vtune.db or postgresql+psycopg://user@host/database; "
            "the one given cannot be parsed."
        ) from None
    match url.get_backend_name():
        case "sqlite" if url.database in (None, "", ":memory:"):
            return Location()
        case "sqlite":
            return Location(path=Path(url.database or ""))
        case "postgresql":
            return Location(url=url)
        case other:
            raise StoreError(
                f"a store must be SQLite or PostgreSQL; got a URL for {other!r}. Give a file path instead."
            )


class Database:
    """One opened database: transactions with errors that say what to do.

    Args:
      location: where it lies.
      engine: SQLAlchemy's engine for it.
      only: the one connection on which all transactions run, one after another; None when each has its own.
    """

    def __init__(self, location: Location, engine: Engine, only: _Lasting | None = None) -> None:
        self.location = location
        self._engine: Engine | None = engine
        self._only = only
        self._lock: contextlib.AbstractContextManager[Any] = threading.Lock() if only else contextlib.nullcontext()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection in a transaction, committed at the end or rolled back on any exception.

        Raises:
          StoreError: in place of the database's own errors.
        """
        with self._lock:
            if self._engine is None:
                raise StoreError(f"{self.location} is closed: open it again.")
            with explained(self.location), self._engine.begin() as connection:
                yield connection

    def write_ahead(self) -> None:
        """Puts a SQLite file into WAL mode, so that readers and the writer never wait for each other.

        Raises:
          StoreError: when the file system cannot do that.
        """
        if self._engine is None or self.location.path is None:
            return
        with explained(self.location), contextlib.closing(self._engine.raw_connection()) as connection:
            mode = _ask_for_wal(connection.cursor())
        if mode != "wal":
            raise StoreError(
                f"{self.location} must be in WAL mode, but its file system only allows {mode!r} "
                "(a network drive?): put the store on a local disk."
            )

    def close(self) -> None:
        """Closes all connections. May be called twice."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            if self._only is not None:
                self._only.end()
            self._engine = self._only = None


def open_for_writing(location: Location) -> Database:
    """Opens a database, or makes an empty one.

    Raises:
      StoreError: when it cannot be opened.
    """
    if location.url is not None:
        return Database(location, _server_engine(location.url))
    if location.path is not None:
        check_file(location.path, must_exist=False)
    with explained(location):
        connection = _connect(_Lasting, ":memory:" if location.path is None else os.fspath(location.path))
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    _begin_with(engine, "BEGIN IMMEDIATE")
    return Database(location, engine, connection)


def open_for_reading(location: Location) -> Database:
    """Opens an existing database so that it cannot be written to through this connection.

    Raises:
      StoreError: when there is none.
    """
    if location.url is not None:
        engine = _server_engine(location.url)
        read_only = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return Database(location, read_only)
    path = location.path
    if path is None:
        raise StoreError("a store in memory has no file to open: ask its Writer for a reader().")
    check_file(path, must_exist=True)
    engine = create_engine("sqlite://", creator=lambda: _connect_read_only(path), poolclass=NullPool)
    _begin_with(engine, "BEGIN")
    return Database(location, engine)


@dataclass(frozen=True, slots=True)
class Bulk:
    """One statement for many rows, compiled once; on SQLite the rows go to the driver as plain tuples.

    Attributes:
      statement: an insert or update with one bound parameter a column.
      names: the parameters: the columns of an insert; of an update the columns with `_` behind each.
    """

    statement: UpdateBase
    names: tuple[str, ...]
    _compiled: dict[str, tuple[str, Sequence[str]]]

    @classmethod
    def of(cls, statement: UpdateBase, names: Sequence[str]) -> Bulk:
        """Prepares a statement for rows of the named values."""
        return cls(statement, tuple(names), {})

    def run(self, connection: Connection, columns: Mapping[str, Sequence[Any]]) -> int:
        """Runs it for every row of the columns; returns how many rows it touched."""
        if not columns[self.names[0]]:
            return 0
        if connection.dialect.name != "sqlite":
            return self._run_on_server(connection, columns)
        if "sqlite" not in self._compiled:
            compiled = self.statement.compile(dialect=connection.dialect, column_keys=self.names)
            self._compiled["sqlite"] = (str(compiled), tuple(compiled.positiontup or ()))
        sql, order = self._compiled["sqlite"]
        tuples = list(zip(*(columns[name] for name in order), strict=True))
        return connection.exec_driver_sql(sql, tuples).rowcount

    def _run_on_server(self, connection: Connection, columns: Mapping[str, Sequence[Any]]) -> int:
        """Sends whole columns as arrays, which is several times as fast as row by row."""
        if "server" not in self._compiled:
            arrays = _with_arrays(self.statement, self.names).compile(dialect=connection.dialect)
            self._compiled["server"] = (str(arrays), ())
        sql, _ = self._compiled["server"]
        return connection.exec_driver_sql(sql, {name: list(columns[name]) for name in self.names}).rowcount


def _with_arrays(statement: Any, names: Sequence[str]) -> Any:
    """The same insert or update with one array a column in place of one value."""
    table = statement.table
    types = {name: table.c[name.removesuffix("_")].type for name in names}
    arrays = [bindparam(name, type_=postgresql.ARRAY(type_)) for name, type_ in types.items()]
    rows = func.unnest(*arrays).table_valued(*(column(name, type_) for name, type_ in types.items()))
    rows = rows.render_derived(name="rows")
    if isinstance(statement, Insert):
        return insert(table).from_select(list(names), select(*rows.c))

    def bound(element: Any, **_: Any) -> Any:
        return rows.c[element.key] if isinstance(element, BindParameter) and element.key in types else None

    return replacement_traverse(statement, {}, bound)


def fetch(connection: Connection, statement: Executable) -> Iterator[Sequence[Any]]:
    """The rows of a query in batches, as the driver gives them."""
    result = connection.execute(statement)
    while rows := result.cursor.fetchmany(20_000):
        yield rows


@contextlib.contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turns the driver's errors into `StoreError`s that say what to do."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
        said = str(error.orig if isinstance(error, exc.DBAPIError) else error).strip()
        remedy = next((remedy for word, remedy in _REMEDIES.items() if word in said), "")
        raise StoreError(f"{location}: the database says {said!r}. {remedy}".strip()) from error


@contextlib.contextmanager
def understanding(location: Location) -> Iterator[None]:
    """What is in a store and cannot be understood becomes a `StoreError`, whatever Python says of it."""
    try:
        yield
    except VtuneError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StoreError(
            f"{location} holds what vtune cannot have written ({type(error).__name__}: {error}). The store is damaged: "
            "`vtune check` says where, and `vtune salvage` copies what can be read."
        ) from error


_REMEDIES = {
    "locked": f"Another process has been writing to it for over {BUSY_SECONDS:.0f} seconds: end that process first.",
    "not a database": "This is not a vtune store, or its first bytes are damaged: see `vtune check`, or take another.",
    "malformed": "The file is damaged: `vtune check` says where, and `vtune salvage` copies what can be read.",
    "decode": "The file is damaged: `vtune check` says where, and `vtune salvage` copies what can be read.",
    "full": "The disk is full: make room. What was committed before is kept.",
    "readonly": "It cannot be written: check the permissions of the file and of its folder.",
    "unable to open": "It cannot be opened: check the permissions of the file and of its folder.",
    "No space left": "The server's disk is full: make room. What was committed before is kept.",
    "password authentication failed": "Check the name and the password in the URL, or in ~/.pgpass.",
    "onnection refused": "No server answers there: check the host and the port, and that it runs.",
    "disk I/O": "The disk failed to read or write: check it. What was committed before is kept.",
}


def _server_engine(url: URL) -> Engine:
    try:
        return create_engine(url, pool_pre_ping=True)
    except (exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"the URL asks for the driver {url.drivername!r}, which is not installed ({error}): "
            "use postgresql+psycopg://... and `pip install 'psycopg[binary]'`."
        ) from None


def _begin_with(engine: Engine, sql: str) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(sql)


def _ask_for_wal(cursor: Any) -> str:
    """Sets the journal mode, and tries again while others open the same new file: SQLite itself does not wait here."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return cursor.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class _Lasting(sqlite3.Connection):
    """A connection that only `end` closes.

    SQLAlchemy drops a connection when Ctrl-C hits one of its calls. With it would go a store in memory; in a file, a
    statement that Ctrl-C left unfinished would keep the lock, and the next connection wait for it.
    """

    def close(self) -> None:
        self.rollback()

    def end(self) -> None:
        """Closes it."""
        super().close()

    def create_function(self, *_: Any, **__: Any) -> None:
        """Leaves out the REGEXP that SQLAlchemy adds when it connects: SQLite refuses it beside an open cursor."""


def check_file(path: Path, must_exist: bool) -> None:
    if path.is_dir():
        raise StoreError(f"a store must be a file; {path} is a folder. Give a file in it, such as {path / 'vtune.db'}.")
    if must_exist and not path.exists():
        raise StoreError(f"there is no store at {path}: check the path, or run a study with store={str(path)!r} first.")
    if not path.parent.is_dir():
        raise StoreError(
            f"the folder of the store must exist; {path.parent} does not. Create it, or give another path."
        )


def _connect(kind: type[_C], name: str, uri: bool = False) -> _C:
    connection = kind(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    check_file(path, must_exist=True)
    uri = path.absolute().as_uri()
    try:
        return _connect_uri(f"{uri}?mode=ro")
    except sqlite3.OperationalError:
        # Without write access to the folder SQLite cannot make the -shm file that WAL needs. Where nobody has left a
        # -wal file either, nobody is writing, and the file may be read as it is.
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        return _connect_uri(f"{uri}?mode=ro&immutable=1")


def _connect_uri(uri: str) -> sqlite3.Connection:
    connection = _connect(sqlite3.Connection, uri, uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
