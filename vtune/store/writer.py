"""The one writer of a study: every chunk is one transaction, all of it or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.exc import IntegrityError

from vtune.errors import ArgumentError, StoreError
from vtune.records import TrialState
from vtune.store import lease, schema
from vtune.store.database import MANY, Bulk, Database, Location, locate, open_for_reading, open_for_writing
from vtune.store.drives import warn_of_network_drive
from vtune.store.encoding import dumps, loads, storable
from vtune.store.reader import Reader
from vtune.store.records import STUDY_STATES, Commit, Measurements, NewTrial, StudyRecord, integers, nullable

_SETTABLE = tuple(f.name for f in dataclasses.fields(StudyRecord) if f.name not in ("id", "name", "created"))
_OPEN_STATES = tuple(state for state in TrialState if not state.terminal)

_CHANGE_CONFIGS = Bulk.of(
    update(schema.configs)
    .where(schema.configs.c.study == bindparam("study_"), schema.configs.c.id == bindparam("id_"))
    .values(config=bindparam("config_")),
    ("config_", "study_", "id_"),
)
_INSERT_CONFIGS = Bulk.of(insert(schema.configs), ("study", "id", "config", "origin", "clock", "queued"))
_INSERT_TRIALS = Bulk.of(insert(schema.trials), ("study", "id", "state", "step"))
_INSERT_EVENTS = Bulk.of(insert(schema.events), ("study", "clock", "time", "kind", "detail"))


def open_writer(where: str | os.PathLike[str] | None) -> Writer:
    """Opens a store for writing, and makes it if there is none.

    Args:
      where: path of a SQLite file, an SQLAlchemy URL (`sqlite:///...`, `postgresql+psycopg://...`), or None for memory.

    Returns:
      The writer; close it, or use it as a context manager.

    Raises:
      StoreError: for a folder, a foreign or damaged file, a newer schema, or a missing parent folder.

    Warns:
      UserWarning: the file lies on a network drive, where processes of one machine only may open it.

    >>> with open_writer(None) as writer:
    ...     study = writer.create(StudyRecord(name="digits", metrics=("loss",)))
    ...     writer.reader().study("digits").state
    'created'
    """
    location = locate(where)
    if location.path is not None:
        warn_of_network_drive(location.path)
    database = open_for_writing(location)
    try:
        with database.transaction() as connection:
            schema.prepare(connection, schema.about, str(database.location))
        database.write_ahead()
    except BaseException:
        database.close()
        raise
    return Writer(database)


@dataclasses.dataclass(slots=True)
class _Open:
    """What the writer remembers of a study: its table of measurements and the id of the next row."""

    table: Table
    insert: Bulk
    metrics: int
    next_row: int


class Writer:
    """Writes studies; made by `open_writer`. Its methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._studies: dict[int, _Open] = {}
        self._updates: dict[tuple[str, ...], Bulk] = {}
        self._leases: dict[int, str] = {}

    @property
    def location(self) -> Location:
        """Where the store lies."""
        return self._database.location

    def create(self, record: StudyRecord) -> StudyRecord:
        """Adds a study.

        Args:
          record: everything that is known of it; `id` is ignored, missing times are filled in.

        Returns:
          The record with its id and times.

        Raises:
          ArgumentError: for a name or fields that cannot be.
          StoreError: when the name is taken.
        """
        _check_name(record.name)
        now = time.time()
        created = record.created or now
        record = dataclasses.replace(record, created=created, started=record.started or created, updated=now)
        row = _study_columns(dataclasses.asdict(record))
        del row["id"]
        with self._database.transaction() as connection:
            try:
                study_id = connection.execute(insert(schema.studies).returning(schema.studies.c.id), row).scalar_one()
            except IntegrityError:
                raise StoreError(
                    f"a study's name must be new in its store; {self.location} already has {record.name!r}. "
                    "Continue it with resume=True, or choose another name."
                ) from None
            schema.curves(study_id, len(record.metrics)).create(connection)
        return dataclasses.replace(record, id=study_id)

    def update(self, study_id: int, **fields: Any) -> None:
        """Sets fields of a study and refreshes its heartbeat; without fields, only the heartbeat.

        Args:
          study_id: which study.
          **fields: fields of `StudyRecord`, except id, name and created. `metrics` may change until the first row.

        Raises:
          ArgumentError: for a field or state that does not exist.
          StoreError: when there is no such study.
        """
        with self._writing(study_id) as connection:
            self._set(connection, study_id, fields)

    def commit(self, study_id: int, commit: Commit) -> None:
        """Writes one chunk in one transaction.

        Args:
          study_id: which study.
          commit: what is new.

        Raises:
          ArgumentError: for arrays that do not fit each other or the study's metrics.
          StoreError: for a trial that is not there, is there already, or is over; nothing is written then.
        """
        changes = commit.trial_updates.columns() if commit.trial_updates is not None else None
        with self._writing(study_id) as connection:
            self._set(connection, study_id, {"clock": commit.clock, **commit.study})
            if commit.new_trials:
                self._admit(connection, study_id, commit.new_trials, commit.clock)
            if commit.configs:
                changed = {"study_": [study_id] * len(commit.configs), "id_": list(commit.configs)}
                _CHANGE_CONFIGS.run(connection, {**changed, "config_": [dumps(c) for c in commit.configs.values()]})
            if commit.measurements is not None:
                changes = self._measure(connection, study_id, commit.measurements, changes)
            if changes is not None:
                self._change(connection, study_id, changes)
            if commit.events:
                n = len(commit.events)
                columns: dict[str, list[Any]] = {
                    "study": [study_id] * n,
                    "clock": [commit.clock] * n,
                    "time": [event.time for event in commit.events],
                    "kind": [storable(event.kind) for event in commit.events],
                    "detail": [dumps(event.detail) for event in commit.events],
                }
                _INSERT_EVENTS.run(connection, columns)

    def forget_measurements(self, study_id: int, trials: Iterable[int]) -> None:
        """Makes unfinished trials as if they had only been admitted: a run that starts them anew measures them again.

        Args:
          study_id: which study.
          trials: ids of trials that are not over.

        Raises:
          StoreError: for a trial that is not there or is over; nothing is forgotten then.
        """
        ids = sorted({int(trial) for trial in trials})
        n = len(ids)
        fresh: dict[str, list[Any]] = {"state": [str(TrialState.WAITING)] * n, "step": [0] * n, "score": [None] * n}
        t = schema.trials.c
        with self._writing(study_id) as connection:
            self._set(connection, study_id, {})
            # Opened first: the ids of rows go on from the last one, so that the cursors of readers stay valid.
            rows = self._opened(connection, study_id).table
            self._change(connection, study_id, {"id": ids, **fresh})
            for start in range(0, n, MANY):
                some = ids[start : start + MANY]
                connection.execute(update(schema.trials).where(t.study == study_id, t.id.in_(some)).values(last=None))
                connection.execute(delete(rows).where(rows.c.trial.in_(some)))

    @contextlib.contextmanager
    def lease(
        self,
        study_id: int,
        say: Callable[[str], object] = lambda said: None,
        check: Callable[[], object] = lambda: None,
    ) -> Iterator[None]:
        """Keeps all others from writing a study meanwhile, and shows every few seconds that its writer lives.

        Args:
          study_id: which study.
          say: told what is waited for while it is not yet known whether a holder on another machine is dead.
          check: called every second meanwhile; what it raises ends the wait.

        Raises:
          StoreError: when another process, or another `Writer` of this one, writes the study: who, and what to do.
        """
        if self.location.in_memory:
            yield
            return
        token = self._leases[study_id] = lease.acquire(self._database, study_id, say, check)
        try:
            with lease.beating(lambda: self.update(study_id)):
                yield
        finally:
            del self._leases[study_id]
            lease.release(self._database, study_id, token)

    def reader(self) -> Reader:
        """A reader of the same store: its own read-only connection, or this writer's one where all is in memory."""
        if self.location.in_memory:
            return Reader(self._database)
        return Reader(open_for_reading(self.location))

    def close(self) -> None:
        """Closes the store. May be called twice."""
        self._database.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self, study_id: int) -> Iterator[Connection]:
        """A transaction; one that does not end well (Ctrl-C included) makes the writer look again at what is there."""
        try:
            with self._database.transaction() as connection:
                yield connection
        except BaseException:
            self._studies.pop(study_id, None)
            raise

    def _set(self, connection: Connection, study_id: int, fields: Mapping[str, Any]) -> None:
        if unknown := [name for name in fields if name not in _SETTABLE]:
            raise ArgumentError(f"the fields that can be set are {', '.join(_SETTABLE)}; got {', '.join(unknown)}.")
        values = {"updated": time.time(), **_study_columns(fields)}
        which = schema.studies.c.id == study_id
        if connection.execute(update(schema.studies).where(which).values(values)).rowcount != 1:
            raise StoreError(f"{self.location} has no study with id {study_id}: create it first.")
        lease.fence(connection, self.location, study_id, self._leases.get(study_id))
        if "metrics" in fields:
            self._rebuild_curves(connection, study_id, len(fields["metrics"]))
        if fields.get("state") == "complete":
            schema.curves_index(self._opened(connection, study_id).table).create(connection, checkfirst=True)

    def _rebuild_curves(self, connection: Connection, study_id: int, metrics: int) -> None:
        self._studies.pop(study_id, None)
        table = schema.curves(study_id, metrics)
        if connection.execute(select(table.c.id).limit(1)).first() is not None:
            raise StoreError(f"the metrics of study {study_id} must stay as they are: it already has measurements.")
        table.drop(connection)
        table.create(connection)

    def _opened(self, connection: Connection, study_id: int) -> _Open:
        known = self._studies.get(study_id)
        if known is None:
            names = connection.execute(
                select(schema.studies.c.metrics).where(schema.studies.c.id == study_id)
            ).scalar_one()
            table = schema.curves(study_id, len(loads(names)))
            last = connection.execute(select(func.max(table.c.id))).scalar()
            columns = tuple(column.name for column in table.columns)
            known = _Open(table, Bulk.of(insert(table), columns), len(columns) - 3, 0 if last is None else last + 1)
            self._studies[study_id] = known
        return known

    def _admit(self, connection: Connection, study_id: int, new: Any, clock: int) -> None:
        trials: list[NewTrial] = list(new)
        n = len(trials)
        columns: dict[str, list[Any]] = {
            "study": [study_id] * n,
            "id": [int(trial.id) for trial in trials],
            "config": [dumps(trial.config) for trial in trials],
            "origin": [storable(trial.origin) for trial in trials],
            "clock": [clock] * n,
            "queued": [trial.queued for trial in trials],
            "state": [str(TrialState.WAITING)] * n,
            "step": [0] * n,
        }
        try:
            with connection.begin_nested():
                _INSERT_CONFIGS.run(connection, columns)
                _INSERT_TRIALS.run(connection, columns)
        except IntegrityError:
            there = select(schema.configs.c.id).where(schema.configs.c.study == study_id)
            twice = sorted(set(columns["id"]) & set(connection.execute(there).scalars()))
            raise StoreError(
                f"{self.location}, study {study_id}: a trial can be admitted once; "
                f"{f'trials {twice[:5]} are there already' if twice else 'an id comes twice in this commit'}."
            ) from None

    def _measure(
        self, connection: Connection, study_id: int, measured: Measurements, changes: dict[str, list[Any]] | None
    ) -> dict[str, list[Any]] | None:
        """Appends rows; returns the changes with each trial's last row filled in."""
        study = self._opened(connection, study_id)
        trial = np.asarray(measured.trial, np.int64)
        step = np.asarray(measured.step, np.int64)
        values = np.asarray(measured.values, np.float64)
        n = len(trial)
        if trial.shape != (n,) or step.shape != (n,) or values.shape != (n, study.metrics):
            raise ArgumentError(
                f"measurements must be trial [n], step [n] and values [n, {study.metrics}] (the study's metrics); "
                f"got {trial.shape}, {step.shape} and {values.shape}."
            )
        rows = range(study.next_row, study.next_row + n)
        columns: dict[str, Any] = {"id": rows, "trial": integers(trial), "step": integers(step)}
        columns |= {f"m{i}": column for i, column in enumerate(nullable(values.T))}
        study.insert.run(connection, columns)
        study.next_row += n
        ids, backwards = np.unique(trial[::-1], return_index=True)
        last = dict(zip(ids.tolist(), (rows.stop - 1 - backwards).tolist(), strict=True))
        if changes is not None:
            changes = {**changes, "last": [last.pop(id, None) for id in changes["id"]]}
        self._change(connection, study_id, {"id": list(last), "last": list(last.values())})
        return changes

    def _change(self, connection: Connection, study_id: int, changes: dict[str, list[Any]]) -> None:
        """Updates trials that are not over; anything else is refused."""
        names = tuple(name for name in changes if name != "id")
        if names not in self._updates:
            self._updates[names] = _update_of(names)
        n = len(changes["id"])
        touched = self._updates[names].run(
            connection,
            {"study_": [study_id] * n, "id_": changes["id"], **{f"{name}_": changes[name] for name in names}},
        )
        if touched != n:
            t = schema.trials.c
            wanted = select(t.id).where(t.study == study_id, t.state.in_(_OPEN_STATES))
            there = set(connection.execute(wanted).scalars())
            raise StoreError(
                f"{self.location}, study {study_id}: only admitted trials that are not over can change; "
                f"{sorted(set(changes['id']) - there)[:5]} are unknown or over."
            )


def _update_of(names: tuple[str, ...]) -> Bulk:
    t = schema.trials.c
    values: dict[str, Any] = {name: bindparam(f"{name}_") for name in names}
    if "last" in values:
        values["last"] = func.coalesce(values["last"], t.last)
    statement = update(schema.trials).values(values)
    statement = statement.where(t.study == bindparam("study_"), t.id == bindparam("id_"))
    statement = statement.where(t.state.in_([literal_column(f"'{state}'") for state in _OPEN_STATES]))
    return Bulk.of(statement, ("study_", "id_", *(f"{name}_" for name in names)))


def _study_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `StudyRecord` as columns, checked."""
    if "state" in fields and fields["state"] not in STUDY_STATES:
        raise ArgumentError(f"a study's state must be one of {', '.join(STUDY_STATES)}; got {fields['state']!r}.")
    for metric, mode in fields.get("objectives", ()):
        if mode not in ("min", "max"):
            raise ArgumentError(f"an objective's mode must be 'min' or 'max'; got {mode!r} for {metric!r}.")
    texts = {name: storable(value) for name, value in fields.items() if isinstance(value, str)}
    return {**fields, **texts, **{name: dumps(fields[name]) for name in schema.JSON_FIELDS & fields.keys()}}


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"a study's name must be a text that is not blank; got {name!r}.")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in name):
        raise ArgumentError(f"a study's name must be Unicode text without NUL characters; got {name!r}.")
