"""The tables of a store. Every change here raises `VERSION`, adds a migration and keeps a file of the old version.

`trials` holds what changes with every chunk, `configs` what never does: rewriting rows that carry a configuration
would halve the speed of a commit. Measurements lie in one wide table a study, appended in the order of arrival; its
index on (trial, step) is made when the study is complete.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
)

from vtune.errors import StoreError

VERSION = 2
"""Of stores. Version 1 had no leases."""

QUEUE_VERSION = 1

_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()
queue_metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("space", Text, nullable=False),
    Column("objectives", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("trials", BigInteger, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("eval_every", BigInteger, nullable=False),
    Column("seed", Text, nullable=False),
    Column("rng", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("scheduler", Text),
    Column("task", Text, nullable=False),
    Column("choices", Text, nullable=False),
    Column("report", Text, nullable=False),
    Column("error", Text),
    Column("clock", BigInteger, nullable=False),
    UniqueConstraint("name").ddl_if(dialect="sqlite"),
    Index("studies_name", text("md5(name)"), unique=True).ddl_if(dialect="postgresql"),
    sqlite_autoincrement=True,
)
"""One row a study. The columns of `JSON_FIELDS` hold JSON text; the seed is text because it may exceed 64 bits.

Names are unique; on PostgreSQL by their hash, since an index there holds no long texts.
"""

JSON_FIELDS = frozenset({"space", "objectives", "metrics", "choices", "report", "seed"})

trials = Table(
    "trials",
    metadata,
    Column("study", _Id, ForeignKey("studies.id"), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("score", Double),
    Column("last", BigInteger),
    Column("program", BigInteger),
    Column("block", BigInteger),
    Column("lane", BigInteger),
    Column("started", Double),
    Column("finished", Double),
    Column("error", Text),
    sqlite_with_rowid=False,
)
"""What changes as a trial trains. `last` is the id of its last row in the study's curves."""

configs = Table(
    "configs",
    metadata,
    Column("study", _Id, ForeignKey("studies.id"), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("config", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("clock", BigInteger, nullable=False),
    Column("queued", BigInteger),
    sqlite_with_rowid=False,
)
"""What is known of a trial when it is admitted, and the logical clock of that moment."""

events = Table(
    "events",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study", _Id, ForeignKey("studies.id"), nullable=False, index=True),
    Column("clock", BigInteger, nullable=False),
    Column("time", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("study", _Id, ForeignKey("studies.id"), primary_key=True, autoincrement=False),
    Column("token", Text, nullable=False),
    Column("holder", Text, nullable=False),
)
"""Who writes a study now, as JSON text; see `vtune.store.lease`. A study that nobody writes has no row."""

queue = Table(
    "queue",
    queue_metadata,
    Column("id", _Id, primary_key=True),
    Column("study", Text, nullable=False),
    Column("config", Text, nullable=False),
    Column("put", Double, nullable=False),
    Column("taken", Double),
    Index("ix_queue_study", "study", postgresql_using="hash"),
    sqlite_autoincrement=True,
)
"""Configurations that somebody wishes to be tried; `taken` is set once they are trials in the store."""


def _about(name: str, tables: MetaData) -> Table:
    return Table(name, tables, Column("key", String, primary_key=True), Column("value", Text, nullable=False))


about = _about("vtune_store", metadata)
queue_about = _about("vtune_queue", queue_metadata)


def curves(study_id: int, metrics: int) -> Table:
    """The table of one study's measurements: id (order of arrival, from 0), trial, step and m0, m1, ..."""
    return Table(
        f"curves_{study_id}",
        MetaData(),
        Column("id", _Id, primary_key=True, autoincrement=False),
        Column("trial", BigInteger, nullable=False),
        Column("step", BigInteger, nullable=False),
        *(Column(f"m{i}", Double) for i in range(metrics)),
    )


def curves_index(table: Table) -> Index:
    """The index that makes single curves quick to read; made late, since it would halve the speed of writing."""
    return Index(f"{table.name}_trial_step", table.c.trial, table.c.step)


MIGRATIONS: dict[int, Callable[[Connection], None]] = {1: leases.create}
"""By the version that it starts from: what makes a store one version newer. A queue has had one version so far."""

_PREPARING = int.from_bytes(b"vtune")

_VERSIONS = {about.name: VERSION, queue_about.name: QUEUE_VERSION}


def prepare(connection: Connection, table: Table, place: str) -> None:
    """Makes the tables in an empty database, or brings those of an older version up to date.

    Args:
      connection: in a transaction that may write: what is changed here is changed whole or not at all.
      table: `about` for a store, `queue_about` for a queue.
      place: how errors name the database.

    Raises:
      StoreError: when the database holds something else, or a schema that this version cannot use.
    """
    newest = _VERSIONS[table.name]
    if connection.dialect.name == "postgresql":
        # Of several processes that find an empty database, one makes the tables, and the others wait for it.
        connection.execute(select(func.pg_advisory_xact_lock(_PREPARING)))
    if not inspect(connection).has_table(table.name):
        _refuse_foreign(connection, table, place)
        table.metadata.create_all(connection)
        connection.execute(table.insert(), {"key": "schema", "value": str(newest)})
    found = check(connection, table, place)
    for version in range(found, newest):
        MIGRATIONS[version](connection)
    if found < newest:
        connection.execute(table.update().where(table.c.key == "schema").values(value=str(newest)))


def check(connection: Connection, table: Table, place: str) -> int:
    """Refuses a database whose schema this version cannot read; returns the version of its schema.

    Raises:
      StoreError: saying what was found and what to do.
    """
    _refuse_programs(connection, place)
    if not inspect(connection).has_table(table.name):
        _refuse_foreign(connection, table, place)
        raise StoreError(f"{place} is an empty database without studies: run a study with this store first.")
    found = connection.execute(table.select().where(table.c.key == "schema")).first()
    value = found.value if found is not None else None
    if not isinstance(value, str) or not value.isdecimal() or not 0 < len(value) < 10 or int(value) < 1:
        raise StoreError(
            f"{place} must state its schema version, a whole number from 1; found {value!r}. "
            "The file is damaged or was changed by hand: restore it from a copy, or try `vtune salvage`."
        )
    if int(value) > _VERSIONS[table.name]:
        raise StoreError(
            f"{place} has schema version {value}; this vtune reads versions up to {_VERSIONS[table.name]}. "
            "It was written by a newer vtune: upgrade vtune (pip install -U vtune)."
        )
    return int(value)


def _refuse_programs(connection: Connection, place: str) -> None:
    """A file with triggers or views was made by somebody else: reading it would run their statements."""
    if connection.dialect.name == "sqlite":
        query = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index')"
        if found := connection.exec_driver_sql(query).first():
            raise StoreError(
                f"{place} holds a {found.type} named {found.name!r}, and vtune never makes any: the file is not what "
                "vtune wrote. Do not open it; restore it from a copy."
            )


def _refuse_foreign(connection: Connection, table: Table, place: str) -> None:
    others = inspect(connection).get_table_names()
    if others and connection.dialect.name == "sqlite":
        raise StoreError(
            f"{place} is a database, but not a vtune {table.name.removeprefix('vtune_')}: it holds the tables "
            f"{', '.join(sorted(others)[:5])}. Give another path."
        )
