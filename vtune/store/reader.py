"""What a store holds, read-only: safe beside a running writer and after a dead one."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Row, Select, Table, func, select

from vtune.errors import ArgumentError, StoreError
from vtune.records import Rerun, Trial, TrialState
from vtune.store import schema
from vtune.store.bounds import bounds, curves_of
from vtune.store.database import MANY, Database, Location, fetch, locate, open_for_reading, understanding
from vtune.store.encoding import loads, loads_all
from vtune.store.records import Event, StudyRecord

if TYPE_CHECKING:
    from vtune.store.writer import Writer

HEARTBEAT_SECONDS = 60.0
"""A running study that has not written for longer than this is taken for dead."""


def open_reader(where: str | os.PathLike[str] | Writer) -> Reader:
    """Opens a store read-only.

    Args:
      where: a path or SQLAlchemy URL of an existing store, or a `Writer` (the only way to a store in memory).

    Raises:
      StoreError: when there is no store, or it is not one that this version can read.
    """
    if hasattr(where, "reader"):
        return where.reader()
    database = open_for_reading(locate(where))
    try:
        with database.transaction() as connection:
            schema.check(connection, schema.about, str(database.location))
    except BaseException:
        database.close()
        raise
    return Reader(database)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _understood(method: Callable[Concatenate[Reader, _P], _R]) -> Callable[Concatenate[Reader, _P], _R]:
    """A method of `Reader` within `understanding`."""

    @functools.wraps(method)
    def read(self: Reader, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with understanding(self.location):
            return method(self, *args, **kwargs)

    return read


class Reader:
    """Reads studies; made by `open_reader` or `Writer.reader`. Every method sees one consistent snapshot.

    Its methods may be called from any thread. It holds no lock between calls and never writes.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def location(self) -> Location:
        """Where the store lies."""
        return self._database.location

    @contextlib.contextmanager
    def snapshot(self, study_id: int) -> Iterator[tuple[Connection, StudyRecord]]:
        """A read-only transaction and the study in it, for queries of one's own (see `vtune.store.summaries`).

        Raises:
          StoreError: when there is no such study.
        """
        with understanding(self.location), self._database.transaction() as connection:
            yield connection, self._study(connection, study_id)

    @_understood
    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        with self._database.transaction() as connection:
            return [_record(row) for row in connection.execute(select(schema.studies).order_by(schema.studies.c.id))]

    @_understood
    def study(self, name_or_id: str | int) -> StudyRecord:
        """One study, by its name (a text) or its id (a number).

        Raises:
          StoreError: when there is none, with the names that there are.
        """
        with self._database.transaction() as connection:
            return self._study(connection, name_or_id)

    @_understood
    def trials(
        self,
        study_id: int,
        *,
        states: Iterable[str] | str | None = None,
        after: int | None = None,
        limit: int | None = None,
        order: str = "id",
    ) -> list[Trial]:
        """Trials of a study, with the last value of every metric.

        Args:
          study_id: which study.
          states: only trials in these states; all when None.
          after: only trials with a larger id.
          limit: at most so many.
          order: "id", or "score": best first by the study's first objective, those without a score last.

        Raises:
          ArgumentError: for another order or an unknown state.
          StoreError: when there is no such study.
        """
        if order not in ("id", "score"):
            raise ArgumentError(f"order must be 'id' or 'score'; got {order!r}.")
        with self._database.transaction() as connection:
            study = self._study(connection, study_id)
            query = _trials_query(study)
            t = schema.trials.c
            if states is not None:
                query = query.where(t.state.in_(_states(states)))
            if after is not None:
                query = query.where(t.id > after)
            query = query.order_by(*(_ranking(study) if order == "score" else (t.id,))).limit(limit)
            return _trials(study, connection.execute(query).all())

    @_understood
    def trial(self, study_id: int, id: int) -> Trial:
        """One trial.

        Raises:
          StoreError: when there is none.
        """
        with self._database.transaction() as connection:
            study = self._study(connection, study_id)
            found = _trials(study, connection.execute(_trials_query(study).where(schema.trials.c.id == id)).all())
        if not found:
            raise StoreError(f"study {study.name!r} in {self.location} has no trial {id}.")
        return found[0]

    @_understood
    def frame(self, study_id: int, trials: Iterable[int] | None = None, after: int | None = None) -> pd.DataFrame:
        """One row a trial: id, state, step, score, origin, a column a hyperparameter, a column a metric.

        Hyperparameters come in the space's order and are missing where inactive; metrics have their last values.

        Args:
          study_id: which study.
          trials: only these trials, and those that `after` names; all when both are None.
          after: only trials with a larger id, and those in `trials`: with the trials that were not over yet, what an
            earlier frame lacks.

        Raises:
          StoreError: when there is no such study.
        """
        with self._database.transaction() as connection:
            study = self._study(connection, study_id)
            query, number = _trials_query(study).order_by(schema.trials.c.id), schema.trials.c.id
            wanted = sorted({int(trial) for trial in trials or () if after is None or trial <= after})
            parts: list[Any] = [number.in_(wanted[i : i + MANY]) for i in range(0, len(wanted), MANY)]
            parts += [] if after is None else [number > after]
            queries = [query] if trials is None and after is None else [query.where(part) for part in parts]
            rows = [row for each in queries for batch in fetch(connection, each) for row in batch]
        head = ("id", "state", "step", "score", "error", "config", "origin")
        columns = dict(zip(head, zip(*rows, strict=True), strict=False)) if rows else dict.fromkeys(head, ())
        configs = loads_all(columns["config"])
        values = np.array([row[len(head) :] for row in rows], np.float64).reshape(len(rows), len(study.metrics))
        data: dict[str, Any] = {
            "id": np.array(columns["id"], np.int64),
            "state": list(columns["state"]),
            "step": np.array(columns["step"], np.int64),
            "score": np.array(columns["score"], np.float64),
            "origin": list(columns["origin"]),
        }
        data |= {name: pd.Series([config.get(name) for config in configs]) for name in _hyperparameters(study, configs)}
        data |= {name: values[:, i] for i, name in enumerate(study.metrics)}
        return pd.DataFrame(data)

    @_understood
    def curves(self, study_id: int, trials: Iterable[int] | None = None, after: int | None = None) -> pd.DataFrame:
        """One row a measurement: trial, step, a column a metric; ordered by trial and step.

        Args:
          study_id: which study.
          trials: only these trials; all when None.
          after: only what was written after an earlier call, whose `.attrs["cursor"]` this is.

        Returns:
          The frame; `.attrs["cursor"]` is the value of `after` for the next call.

        Raises:
          StoreError: when there is no such study.
        """
        wanted = None if trials is None else sorted({int(trial) for trial in trials})
        with self._database.transaction() as connection:
            study = self._study(connection, study_id)
            table = _curves(study)
            query = select(table).order_by(table.c.id)
            if after is not None:
                query = query.where(table.c.id > after)
            if wanted is not None and len(wanted) <= MANY:
                query = query.where(table.c.trial.in_(wanted))
            end = connection.execute(select(func.max(table.c.id))).scalar()
            width = len(table.columns)
            rows = [np.empty((0, width)), *(np.array(batch, np.float64) for batch in fetch(connection, query))]
        values = np.concatenate(rows)
        if wanted is not None and len(wanted) > MANY:
            values = values[np.isin(values[:, 1], wanted)]
        values = values[np.lexsort((values[:, 0], values[:, 2], values[:, 1]))]
        if not np.isfinite(values[:, :3]).all():
            raise ValueError("a measurement without trial or step")
        data = {"trial": values[:, 1].astype(np.int64), "step": values[:, 2].astype(np.int64)}
        frame = pd.DataFrame(data | {name: values[:, 3 + i] for i, name in enumerate(study.metrics)})
        frame.attrs["cursor"] = end if end is not None else after
        return frame

    @_understood
    def events(self, study_id: int, after: int | None = None, kind: str | None = None) -> list[Event]:
        """What happened to a study, in order.

        Args:
          study_id: which study.
          after: only events with a larger `Event.id`.
          kind: only events of this kind.
        """
        e = schema.events.c
        query = select(e.time, e.kind, e.detail, e.id, e.clock).where(e.study == study_id).order_by(e.id)
        if after is not None:
            query = query.where(e.id > after)
        if kind is not None:
            query = query.where(e.kind == kind)
        with self._database.transaction() as connection:
            self._study(connection, study_id)
            rows = connection.execute(query).all()
        details = loads_all([row.detail for row in rows])
        return [Event(r.time, r.kind, detail, r.id, r.clock) for r, detail in zip(rows, details, strict=True)]

    @_understood
    def counts(self, study_id: int) -> dict[str, int]:
        """How many trials are in each state; states without trials are left out."""
        with self._database.transaction() as connection:
            self._study(connection, study_id)
            return _counts(connection, study_id)

    @_understood
    def placement(self, study_id: int) -> pd.DataFrame:
        """Where and when trials ran: id, state, program, block, lane, started, finished, clock, queued.

        `clock` is the logical clock of the trial's admission, `queued` its id in the queue.
        """
        t, c = schema.trials.c, schema.configs.c
        query = select(t.id, t.state, t.program, t.block, t.lane, t.started, t.finished, c.clock, c.queued)
        query = query.join_from(schema.trials, schema.configs, (t.study == c.study) & (t.id == c.id))
        with self._database.transaction() as connection:
            self._study(connection, study_id)
            rows = connection.execute(query.where(t.study == study_id).order_by(t.id)).all()
        return pd.DataFrame(rows, columns=[column.name for column in query.selected_columns])

    @_understood
    def enqueued(self, study_id: int, limit: int | None = None) -> pd.DataFrame:
        """The trials that came from the queue, newest first: id, queued (the id in the queue), state, step, score."""
        t, c = schema.trials.c, schema.configs.c
        query = select(t.id, c.queued, t.state, t.step, t.score)
        query = query.join_from(schema.trials, schema.configs, (t.study == c.study) & (t.id == c.id))
        query = query.where(t.study == study_id, c.queued.is_not(None)).order_by(t.id.desc()).limit(limit)
        with self._database.transaction() as connection:
            self._study(connection, study_id)
            rows = connection.execute(query).all()
        frame = pd.DataFrame(rows, columns=[column.name for column in query.selected_columns])
        return frame.astype({"score": float})

    @_understood
    def progress(self, study_id: int) -> dict[str, Any]:
        """How a study stands, as a live display needs it.

        Returns:
          A dict: state; alive (running, and its heartbeat is recent); heartbeat (seconds since the last write);
          total (budget); done (trials that are over); a count for each trial state; best_score and best_trial
          (complete trials that keep to the constraints, first objective; None before the first); seconds (since the
          present run began, up to now or to its end); trials_per_second (in the present run); eta (seconds; None when
          unknown).

        Raises:
          StoreError: when there is no such study.
        """
        with self._database.transaction() as connection:
            study = self._study(connection, study_id)
            counts = _counts(connection, study_id)
            t = schema.trials.c
            complete = select(t.id, t.score).where(
                t.study == study_id, t.state == str(TrialState.COMPLETE), t.score.is_not(None)
            )
            if rules := bounds(study):
                curves = curves_of(study_id, len(study.metrics))
                complete = complete.select_from(schema.trials.join(curves, t.last == curves.c.id)).where(*rules)
            best = connection.execute(complete.order_by(*_ranking(study)).limit(1)).first()
            recent = select(func.count()).where(t.study == study_id, t.finished >= study.started)
            finished = connection.execute(recent).scalar_one()
        heartbeat = max(0.0, time.time() - study.updated)
        alive = study.state == "running" and heartbeat <= HEARTBEAT_SECONDS
        seconds = max(0.0, study.updated - study.started) + (heartbeat if alive else 0.0)
        done = sum(counts.get(state, 0) for state in TrialState if state.terminal)
        rate = finished / seconds if seconds > 0 else 0.0
        left = max(0, study.trials - done)
        return {
            "state": study.state,
            "alive": alive,
            "heartbeat": heartbeat,
            "total": study.trials,
            "done": done,
            **{str(state): counts.get(state, 0) for state in TrialState},
            "best_score": best.score if best else None,
            "best_trial": best.id if best else None,
            "seconds": seconds,
            "trials_per_second": rate,
            "eta": left / rate if alive and rate > 0 else None,
        }

    def close(self) -> None:
        """Closes the reader; one that shares a writer's memory leaves the writer open."""
        if not self.location.in_memory:
            self._database.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _study(self, connection: Connection, name_or_id: str | int) -> StudyRecord:
        s = schema.studies.c
        which = s.name == name_or_id if isinstance(name_or_id, str) else s.id == name_or_id
        row = connection.execute(select(schema.studies).where(which)).first()
        if row is not None:
            return _record(row)
        names = connection.execute(select(s.name).order_by(s.id.desc()).limit(10)).scalars().all()
        there = f"its newest studies are {', '.join(map(repr, names))}" if names else "it has no studies yet"
        raise StoreError(f"{self.location} has no study {name_or_id!r}: {there}.")


def _record(row: Row[Any]) -> StudyRecord:
    fields = row._asdict()
    return StudyRecord(**fields | {name: loads(fields[name]) for name in schema.JSON_FIELDS})


def _curves(study: StudyRecord) -> Table:
    return schema.curves(study.id, len(study.metrics))


def _trials_query(study: StudyRecord) -> Select[Any]:
    """id, state, step, score, error, config, origin, and the last value of every metric."""
    t, c, m = schema.trials.c, schema.configs.c, _curves(study)
    metrics = [m.c[f"m{i}"] for i in range(len(study.metrics))]
    joined = schema.trials.join(schema.configs, (t.study == c.study) & (t.id == c.id)).outerjoin(m, t.last == m.c.id)
    query = select(t.id, t.state, t.step, t.score, t.error, c.config, c.origin, *metrics)
    return query.select_from(joined).where(t.study == study.id)


def _trials(study: StudyRecord, rows: Sequence[Row[Any]]) -> list[Trial]:
    reruns = study.report.get("reruns", {})
    configs = loads_all([row.config for row in rows])
    return [
        Trial(
            id=row.id,
            config=config,
            state=TrialState(row.state),
            step=row.step,
            score=row.score,
            metrics={name: row[7 + i] for i, name in enumerate(study.metrics) if row[7 + i] is not None},
            origin=row.origin,
            error=row.error,
            rerun=Rerun.from_json(reruns[str(row.id)]) if str(row.id) in reruns else None,
        )
        for row, config in zip(rows, configs, strict=True)
    ]


def _ranking(study: StudyRecord) -> tuple[Any, ...]:
    t = schema.trials.c
    best_first = t.score.desc() if study.objectives and study.objectives[0][1] == "max" else t.score.asc()
    return t.score.is_(None), best_first, t.id


def _states(states: Iterable[str] | str) -> list[str]:
    given = [states] if isinstance(states, str) else list(states)
    if unknown := [state for state in given if state not in set(TrialState)]:
        raise ArgumentError(f"a trial's state must be one of {', '.join(TrialState)}; got {unknown}.")
    return [str(state) for state in given]


def _counts(connection: Connection, study_id: int) -> dict[str, int]:
    t = schema.trials.c
    query = select(t.state, func.count().label("n")).where(t.study == study_id).group_by(t.state)
    return {row.state: row.n for row in connection.execute(query)}


def _hyperparameters(study: StudyRecord, configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """All names that occur: first those of the space, in its order, then any others by their first appearance."""
    names = dict.fromkeys(parameter["name"] for parameter in study.space.get("parameters", ()))
    for config in configs:
        names.update(dict.fromkeys(config))
    return list(names)
