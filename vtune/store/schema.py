"""The tables of a store. Every change here raises `VERSION`, adds a migration and keeps a file of the old version.

`trials` holds what changes with every chunk, `configs` what never does: rewriting rows that carry a configuration
would halve the speed of a commit. Measurements lie in one wide table a study, appended in the order of arrival; its
index on (trial, step) is made when the study is complete.
"""

from __future__ import annotations

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
    inspect,
)

from vtune.errors import StoreError

VERSION = 1

_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()
queue_metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
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
    sqlite_autoincrement=True,
)
"""One row a study. The columns of `JSON_FIELDS` hold JSON text; the seed is text because it may exceed 64 bits."""

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

queue = Table(
    "queue",
    queue_metadata,
    Column("id", _Id, primary_key=True),
    Column("study", Text, nullable=False, index=True),
    Column("config", Text, nullable=False),
    Column("put", Double, nullable=False),
    Column("taken", Double),
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


def prepare(connection: Connection, table: Table, place: str) -> None:
    """Makes the tables in an empty database, or checks those of an existing one.

    Args:
      connection: in a transaction that may write.
      table: `about` for a store, `queue_about` for a queue.
      place: how errors name the database.

    Raises:
      StoreError: when the database holds something else, or a schema that this version cannot use.
    """
    if not inspect(connection).has_table(table.name):
        _refuse_foreign(connection, table, place)
        table.metadata.create_all(connection)
        connection.execute(table.insert(), {"key": "schema", "value": str(VERSION)})
    check(connection, table, place)


def check(connection: Connection, table: Table, place: str) -> None:
    """Refuses a database whose schema this version cannot read.

    Raises:
      StoreError: saying what was found and what to do.
    """
    if not inspect(connection).has_table(table.name):
        _refuse_foreign(connection, table, place)
        raise StoreError(f"{place} is an empty database without studies: run a study with this store first.")
    found = connection.execute(table.select().where(table.c.key == "schema")).first()
    if found is None or not found.value.isdecimal() or int(found.value) < 1:
        raise StoreError(
            f"{place} must state its schema version, a whole number from 1; found {found.value if found else None!r}. "
            "The file is damaged or was changed by hand: restore it from a copy."
        )
    if int(found.value) > VERSION:
        raise StoreError(
            f"{place} has schema version {found.value}; this vtune reads versions up to {VERSION}. "
            "It was written by a newer vtune: upgrade vtune (pip install -U vtune)."
        )


def _refuse_foreign(connection: Connection, table: Table, place: str) -> None:
    others = inspect(connection).get_table_names()
    if others and connection.dialect.name == "sqlite":
        raise StoreError(
            f"{place} is a database, but not a vtune {table.name.removeprefix('vtune_')}: it holds the tables "
            f"{', '.join(sorted(others)[:5])}. Give another path."
        )
