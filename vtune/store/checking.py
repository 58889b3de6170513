"""Whether a store holds what it must: SQLite's own checks, and what is always true of what vtune writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, exc, func, inspect, select

from vtune.errors import StoreError
from vtune.records import TrialState
from vtune.store import schema
from vtune.store.database import Database, check_file, locate, open_for_reading, understanding
from vtune.store.encoding import loads
from vtune.store.pages import UNREADABLE, outer_damage
from vtune.store.records import STUDY_STATES
from vtune.store.salvage import rescue

SHOWN = 10
"""Problems of one kind that are listed."""

_DAMAGE = (exc.SQLAlchemyError, StoreError, *UNREADABLE)


@dataclass(slots=True)
class Checkup:
    """What `check` found.

    Attributes:
      place: the store.
      problems: what is wrong; empty for a sound store.
      studies: how many there are.
      trials: of all studies.
      measurements: of all studies.
      rescuable: where something is wrong, a line for each study that `salvage` can copy.
    """

    place: str
    problems: list[str] = field(default_factory=list)
    studies: int = 0
    trials: int = 0
    measurements: int = 0
    rescuable: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        head = f"{self.place}: {self.studies:,} studies, {self.trials:,} trials, {self.measurements:,} measurements"
        if self.sound:
            return f"{head}; sound"
        lines = [f"{self.place} is not sound:", *(f"- {problem}" for problem in self.problems)]
        if self.rescuable:
            return "\n".join([*lines, "What `vtune salvage` can copy:", *(f"- {line}" for line in self.rescuable)])
        return "\n".join([*lines, "Nothing of a vtune store can be read in it: restore it from a copy."])


def check(where: str | os.PathLike[str]) -> Checkup:
    """Looks at all of a store, and changes nothing.

    Args:
      where: path or URL of the store.

    Returns:
      What was found.

    Raises:
      StoreError: there is no store.

    >>> import tempfile
    >>> from vtune.store import StudyRecord, open_writer
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/vtune.db"
    ...     with open_writer(path) as writer:
    ...         _ = writer.create(StudyRecord(name="digits"))
    ...     print(str(check(path)).removeprefix(path))
    : 1 studies, 0 trials, 0 measurements; sound
    """
    location = locate(where)
    if location.in_memory:
        raise StoreError("a store in memory cannot be checked: give the path of a file, or a URL.")
    found = Checkup(str(location))
    if location.path is not None:
        check_file(location.path, must_exist=True)
        found.problems += outer_damage(location.path)
    if found.sound:
        with _noted(found, "it cannot be opened"), contextlib.closing(open_for_reading(location)) as database:
            _check_database(database, found)
    if not found.sound and location.path is not None:
        with contextlib.suppress(StoreError):
            found.rescuable = [study.summary for study in rescue(where)]
    return found


def _check_database(database: Database, found: Checkup) -> None:
    with database.transaction() as connection:
        if connection.dialect.name == "sqlite":
            with _noted(found, "SQLite's own check ends early"):
                found.problems += _sqlite_problems(connection)
        if found.sound:
            schema.check(connection, schema.about, str(database.location))
            found.problems += _missing_tables(connection)
        # Queries may run in circles where pages are damaged.
        if found.sound:
            with understanding(database.location):
                for row in connection.execute(select(schema.studies).order_by(schema.studies.c.id)):
                    _check_study(connection, row._asdict(), found)


def _sqlite_problems(connection: Connection) -> list[str]:
    said = [row[0] for row in connection.exec_driver_sql(f"PRAGMA integrity_check({SHOWN})")]
    problems = [line.strip() for text in said if text != "ok" for line in str(text).splitlines() if line.strip("* ")]
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(SHOWN)
    return problems + [f"a row of {row[0]} belongs to a study that is not there" for row in broken]


def _missing_tables(connection: Connection) -> list[str]:
    look = inspect(connection)
    version = schema.check(connection, schema.about, "")
    problems = []
    for table in schema.metadata.sorted_tables:
        if table is schema.leases and version < 2:
            continue
        there = {column["name"] for column in look.get_columns(table.name)} if look.has_table(table.name) else set()
        if missing := sorted(set(table.columns.keys()) - there):
            problems.append(f"the table {table.name} lacks {', '.join(missing)}" if there else f"no table {table.name}")
    return problems


def _check_study(connection: Connection, row: dict[str, Any], found: Checkup) -> None:
    name = f"study {row['id']} {row['name']!r}"

    def say(problem: str) -> None:
        found.problems.append(f"{name}: {problem}")

    found.studies += 1
    before = len(found.problems)
    parsed: dict[str, Any] = {}
    for field_name in sorted(schema.JSON_FIELDS):
        try:
            parsed[field_name] = loads(row[field_name])
        except (ValueError, TypeError, RecursionError):
            say(f"its {field_name} is no JSON text")
    if row["state"] not in STUDY_STATES:
        say(f"its state is {row['state']!r}")
    metrics = parsed.get("metrics")
    if not isinstance(metrics, tuple | list) or not all(isinstance(metric, str) for metric in metrics):
        say("its metrics are no list of names")
    if len(found.problems) > before:
        return
    _check_trials(connection, row, found, say)
    _check_curves(connection, row, len(metrics or ()), found, say)
    _check_texts(connection, row["id"], say)


def _check_trials(connection: Connection, row: dict[str, Any], found: Checkup, say: Callable[[str], None]) -> None:
    t, c, number = schema.trials.c, schema.configs.c, row["id"]
    by_state = select(t.state, func.count()).where(t.study == number).group_by(t.state)
    counts: dict[Any, int] = dict(connection.execute(by_state).tuples().all())
    found.trials += sum(counts.values())
    if unknown := sorted(str(state) for state in set(counts) - set(TrialState)):
        say(f"trials are {', '.join(unknown[:SHOWN])}, which is no state of a trial")
    if row["state"] == "complete" and (left := sum(counts.get(state, 0) for state in TrialState if not state.terminal)):
        say(f"it is complete, but {left:,} of its trials are not over")
    if 0 < row["trials"] < sum(counts.values()):
        say(f"it has {sum(counts.values()):,} trials, and a budget of {row['trials']:,}")
    pairs = (("configuration", t, c), ("state", c, t))
    for what, here, there in pairs:
        lone = select(here.id).where(
            here.study == number, here.id.not_in(select(there.id).where(there.study == number))
        )
        _say_which(say, connection.execute(lone.order_by(here.id)).scalars().all(), f"trials {{}} have no {what}")
    below = select(t.id).where(t.study == number, (t.step < 0) | (t.id < 0)).order_by(t.id)
    _say_which(say, connection.execute(below).scalars().all(), "trials {} have a negative number or step")


def _check_curves(
    connection: Connection, row: dict[str, Any], metrics: int, found: Checkup, say: Callable[[str], None]
) -> None:
    t, number = schema.trials.c, row["id"]
    table = schema.curves(number, metrics)
    look = inspect(connection)
    there = [column["name"] for column in look.get_columns(table.name)] if look.has_table(table.name) else []
    if there != table.columns.keys():
        say(f"its measurements lie in columns {', '.join(there) or 'of no table'}; {metrics} metrics are known")
        return
    m = table.c
    found.measurements += connection.execute(select(func.count()).select_from(table)).scalar_one()
    mine = select(t.id).where(t.study == number)
    stray = select(m.trial).where(m.trial.not_in(mine)).distinct().order_by(m.trial).limit(SHOWN + 1)
    _say_which(say, connection.execute(stray).scalars().all(), "measurements are of trials {}, which are not there")
    twice = select(m.trial).group_by(m.trial, m.step).having(func.count() > 1).order_by(m.trial).limit(SHOWN + 1)
    _say_which(say, connection.execute(twice).scalars().all(), "trials {} were measured twice at one step")
    ends = select(m.trial, func.max(m.id).label("last"), func.max(m.step).label("step")).group_by(m.trial).subquery()
    joined = schema.trials.outerjoin(ends, ends.c.trial == t.id)
    wrong = select(t.id).select_from(joined).where(t.study == number, t.last.is_distinct_from(ends.c.last))
    _say_which(
        say, connection.execute(wrong.order_by(t.id)).scalars().all(), "trials {} do not know their last measurement"
    )
    ahead = select(t.id).select_from(joined).where(t.study == number, ends.c.step > t.step)
    _say_which(
        say, connection.execute(ahead.order_by(t.id)).scalars().all(), "trials {} were measured beyond their steps"
    )


def _check_texts(connection: Connection, number: int, say: Callable[[str], None]) -> None:
    """Configurations and the details of events are JSON objects."""
    c, e = schema.configs.c, schema.events.c
    for what, query in {
        "the configurations of trials {} are damaged": select(c.id, c.config).where(c.study == number).order_by(c.id),
        "events {} are damaged": select(e.id, e.detail).where(e.study == number).order_by(e.id),
    }.items():
        _say_which(say, [id for id, text in connection.execute(query) if not _is_object(text)], what)


def _is_object(text: Any) -> bool:
    try:
        return isinstance(loads(text), dict)
    except (ValueError, TypeError, RecursionError):
        return False


def _say_which(say: Callable[[str], None], ids: Sequence[int], problem: str) -> None:
    if ids:
        some = ", ".join(map(str, ids[:SHOWN])) + (" and more" if len(ids) > SHOWN else "")
        say(problem.format(some))


@contextlib.contextmanager
def _noted(found: Checkup, doing: str) -> Iterator[None]:
    """Notes as a problem what goes wrong in its block."""
    try:
        yield
    except _DAMAGE as error:
        found.problems.append(f"{doing}: {error}")
