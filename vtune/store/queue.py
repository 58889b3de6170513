"""Configurations that others wish to be tried: the one thing that a process beside the study may write."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, insert, select, true, update

from vtune.errors import ArgumentError
from vtune.store import schema
from vtune.store.database import Bulk, Database, Location, locate, open_for_writing, understanding
from vtune.store.encoding import dumps, loads_all

_PUT = Bulk.of(insert(schema.queue), ("study", "config", "put"))
_MARK = Bulk.of(
    update(schema.queue).where(schema.queue.c.id == bindparam("id_")).values(taken=bindparam("taken_")),
    ("id_", "taken_"),
)


class Queue:
    """The queue of a store: a small SQLite file `<store>.queue` beside it, or a table on a server.

    Any number of processes may `put` at once. The study that runs takes what is new, and marks it once the trials are
    in the store; it gives the queue's ids along (`NewTrial.queued`), so that a crash in between loses and repeats
    nothing.

    Args:
      store: path or URL of the store, or None for memory.

    >>> queue = Queue(None)
    >>> queue.put("digits", [{"lr": 0.1}])
    1
    >>> queue.take("digits")
    [(1, {'lr': 0.1})]
    >>> queue.mark([1])
    >>> queue.take("digits")
    []
    """

    def __init__(self, store: str | os.PathLike[str] | None) -> None:
        location = locate(store)
        if location.path is not None:
            location = Location(path=location.path.with_name(location.path.name + ".queue"))
        self.location = location
        self._database: Database | None = None
        self._opening = threading.Lock()

    def put(self, study: str, configs: Iterable[Mapping[str, Any]]) -> int:
        """Adds configurations for a study, by its name; returns how many.

        Raises:
          ArgumentError: when a configuration is not a mapping.
          StoreError: when the queue cannot be written.
        """
        given = list(configs)
        for config in given:
            if not isinstance(config, Mapping):
                raise ArgumentError(f"a configuration must be a dict of hyperparameters; got {config!r}.")
        n = len(given)
        columns: dict[str, list[Any]] = {
            "study": [study] * n,
            "config": [dumps(dict(config)) for config in given],
            "put": [time.time()] * n,
        }
        if n:
            with self._opened().transaction() as connection:
                _PUT.run(connection, columns)
        return n

    def top_up(self, study: str, configs: Iterable[Mapping[str, Any]], begun: bool) -> int:
        """Adds those of the configurations that are not there yet: for a script that is run again to go on.

        Args:
          study: name of the study.
          configs: all that the script wishes for.
          begun: whether the study has begun, so that what is marked counts as being there.

        Returns:
          How many were added.

        >>> queue = Queue(None)
        >>> queue.put("digits", [{"lr": 0.1}])
        1
        >>> queue.top_up("digits", [{"lr": 0.1}, {"lr": 0.1}, {"lr": 0.2}], begun=True)
        2
        """
        given = list(configs)
        if not given:
            return 0
        q = schema.queue.c
        query = select(q.config).where(q.study == study, true() if begun else q.taken.is_(None))
        with self._opened().transaction() as connection:
            there = Counter(connection.execute(query).scalars())
        missing = []
        for config in given:
            text = dumps(dict(config))
            if there[text]:
                there[text] -= 1
            else:
                missing.append(config)
        return self.put(study, missing)

    def take(self, study: str) -> list[tuple[int, dict[str, Any]]]:
        """The configurations of a study that are not marked yet, oldest first, as (queue id, configuration).

        Nothing changes by this: what is not marked comes again.

        Raises:
          StoreError: the queue is damaged.
        """
        if not self._exists():
            return []
        q = schema.queue.c
        query = select(q.id, q.config).where(q.study == study, q.taken.is_(None)).order_by(q.id)
        with understanding(self.location), self._opened().transaction() as connection:
            rows = connection.execute(query).all()
            configs = loads_all([row.config for row in rows])
            if not all(isinstance(config, dict) for config in configs):
                raise TypeError("a configuration that is no dict")
            return list(zip((row.id for row in rows), configs, strict=True))

    def mark(self, ids: Iterable[int]) -> None:
        """Notes that these are trials now, so that `take` leaves them out."""
        which = [int(id) for id in ids]
        if which and self._exists():
            with self._opened().transaction() as connection:
                _MARK.run(connection, {"id_": which, "taken_": [time.time()] * len(which)})

    def close(self) -> None:
        """Closes the queue. A later call opens it again; a queue in memory is empty then."""
        with self._opening:
            if self._database is not None:
                self._database.close()
            self._database = None

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exists(self) -> bool:
        return self._database is not None or self.location.path is None or self.location.path.exists()

    def _opened(self) -> Database:
        with self._opening:
            if self._database is None:
                database = open_for_writing(self.location)
                try:
                    with database.transaction() as connection:
                        schema.prepare(connection, schema.queue_about, str(self.location))
                    database.write_ahead()
                except BaseException:
                    database.close()
                    raise
                self._database = database
            return self._database
