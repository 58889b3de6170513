"""Copies what can be read out of a damaged store into a new one, and says what was lost.

SQLite keeps rows in pages. A page that cannot be read takes its own rows along and no others: reading goes on with the
next key behind it. Everything happens on a copy, whose first hundred bytes are written anew where they are damaged.
SQLite keeps no checksums, so a byte that changed within a value and left a valid one cannot be seen by anybody.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from vtune.errors import StoreError
from vtune.records import TrialState
from vtune.store import schema
from vtune.store.database import Bulk, Location, locate, open_for_writing
from vtune.store.encoding import dumps, loads
from vtune.store.pages import UNREADABLE, readable_copies
from vtune.store.records import STUDY_STATES
from vtune.store.rows import Rows, is_id


@dataclass(slots=True)
class Rescued:
    """One study, as far as it can be read.

    Attributes:
      row: the columns of `studies`.
      trials: the columns of `trials`, by id; only trials that have a configuration.
      configs: the columns of `configs`, by id.
      curves: rows of measurements: id, trial, step and a value a metric.
      events: the columns of `events`.
      lost: how many trials, measurements and events are missing, as text, by these words.
      notes: what else was put right.
      unknown: whether what was known of the study itself is lost.
    """

    row: dict[str, Any]
    trials: dict[int, dict[str, Any]] = field(default_factory=dict)
    configs: dict[int, dict[str, Any]] = field(default_factory=dict)
    curves: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unknown: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was found but that there was such a study."""
        return self.unknown and not self.trials and not self.events

    @property
    def summary(self) -> str:
        """What is there and what is not, in a line."""
        found = {"trials": len(self.trials), "measurements": len(self.curves), "events": len(self.events)}
        parts = [
            f"{found[what]:,} {what}" + (f" ({self.lost[what]} lost)" if what in self.lost else "") for what in found
        ]
        return f"study {self.row['id']} {self.row['name']!r}: {', '.join([*parts, *self.notes])}"


def salvage(where: str | os.PathLike[str], to: str | os.PathLike[str]) -> list[Rescued]:
    """Copies all that can be read into a new store.

    Args:
      where: path of a store, damaged or not; it is not changed.
      to: path of the new store; there must be nothing. It is there whole or not at all: it is written beside it first.

    Returns:
      What was copied and what was lost, by study.

    Raises:
      StoreError: nothing can be read, or `to` is there already.
    """
    target = locate(to)
    if target.path is None:
        raise StoreError(f"what is salvaged goes into a file; got {target}. Give the path of a new file.")
    if target.path.exists():
        raise StoreError(f"what is salvaged goes into a new file; {target.path} is there already: give another path.")
    found = rescue(where)
    if not found:
        raise StoreError(f"nothing of a vtune store can be read in {locate(where)}: nothing was written.")
    part = target.path.with_name(f"{target.path.name}.part")
    for leftover in part.parent.glob(f"{glob.escape(part.name)}*"):
        leftover.unlink()
    with contextlib.closing(open_for_writing(Location(path=part))) as database:
        with database.transaction() as connection:
            schema.prepare(connection, schema.about, str(target))
            for study in found:
                _write(connection, study)
        database.write_ahead()
    os.replace(part, target.path)
    return found


def rescue(where: str | os.PathLike[str]) -> list[Rescued]:
    """Reads all that can be read of a store, and changes nothing.

    Raises:
      StoreError: there is no such file, or it is on a server.
    """
    location = locate(where)
    if location.path is None:
        raise StoreError(f"only files can be salvaged; {location} is none: use the database's own tools (pg_dump).")
    if not location.path.is_file():
        raise StoreError(f"there is no store at {location.path}: check the path.")
    with tempfile.TemporaryDirectory(prefix="vtune-salvage-") as folder:
        try:
            for copy in readable_copies(location.path, Path(folder)):
                with contextlib.closing(_connect(copy)) as connection:
                    if found := _studies(connection, limit=copy.stat().st_size):
                        return found
        except OSError as error:
            raise StoreError(f"{location} cannot be copied to {folder} to be read: {error}.") from error
    return []


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # `writable_schema` also has SQLite go on where a part of the schema or the end of the file is missing.
    for pragma in ("writable_schema=ON", "trusted_schema=OFF", "cell_size_check=ON"):
        with contextlib.suppress(*UNREADABLE):
            connection.execute(f"PRAGMA {pragma}")
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _studies(connection: sqlite3.Connection, limit: int) -> list[Rescued]:
    reading = Rows(connection, limit)
    found: dict[int, Rescued] = {}
    for row in reading.rows(schema.studies.name, _columns(schema.studies)):
        if known := _study(row):
            found[known["id"]] = Rescued(known)
    for number in reading.numbers_of_curves():
        if number not in found:
            notes = ["what was known of the study itself is lost"]
            found[number] = Rescued(_unknown_study(number), notes=notes, unknown=True)
    events, lost = _events(reading)
    whole = reading.ended
    for number, study in sorted(found.items()):
        _trials(reading, number, study)
        _curves(reading, number, study)
        study.events = [event for event in events if event["study"] == number]
        if said := _lost(lost, whole):
            study.lost["events"] = said
        if study.row["state"] == "running" or (study.row["state"] == "complete" and _open_trials(study)):
            study.row["state"] = "interrupted"
    return [study for _, study in sorted(found.items()) if not study.empty]


def _study(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row of `studies` with what is damaged replaced; None if not even its number and name are there."""
    if not is_id(row["id"]) or row["id"] < 1 or not isinstance(row["name"], str) or not row["name"].strip():
        return None
    usual = _unknown_study(row["id"])
    return {name: value if _FITS[name](value) else usual[name] for name, value in row.items()} | {
        "name": row["name"].replace("\0", " ")
    }


def _unknown_study(number: int) -> dict[str, Any]:
    now = time.time()
    empty = {name: dumps({}) for name in ("space", "choices", "report")}
    return empty | {
        "id": number, "name": f"salvaged {number}", "state": "interrupted", "created": now, "started": now,
        "updated": now, "objectives": dumps(()), "metrics": dumps(()), "trials": 0, "steps": 0, "eval_every": 0,
        "seed": dumps(0), "rng": "", "proposer": "", "scheduler": None, "task": "", "error": None, "clock": 0,
    }  # fmt: skip


def _trials(reading: Rows, number: int, study: Rescued) -> None:
    """Trials that have a configuration; one whose state is lost is kept as failed."""
    where = f"study = {number} AND "
    for row in reading.rows("configs", _columns(schema.configs), where):
        if isinstance(_parsed(row["config"]), dict) and isinstance(row["origin"], str) and is_id(row["clock"]):
            row["queued"] = row["queued"] if is_id(row["queued"]) else None
            study.configs[row["id"]] = row
    whole = reading.ended
    for row in reading.rows("trials", _columns(schema.trials), where):
        if row["state"] in set(TrialState) and is_id(row["step"]) and row["id"] in study.configs:
            numbers = ("last", "program", "block", "lane")
            row |= {name: row[name] if is_id(row[name]) else None for name in numbers}
            row |= {name: row[name] if _is_real(row[name]) else None for name in ("score", "started", "finished")}
            row["error"] = row["error"] if isinstance(row["error"], str) else None
            study.trials[row["id"]] = row
    stateless = sorted(set(study.configs) - set(study.trials))
    for trial in stateless:
        study.trials[trial] = dict.fromkeys(_columns(schema.trials)) | {
            "study": number, "id": trial, "state": str(TrialState.FAILED), "step": 0,
            "error": "its state was lost when its store was damaged",
        }  # fmt: skip
    if stateless:
        study.notes.append(f"{len(stateless):,} trials kept as failed, their states are lost")
    # Ids count from 0, so that holes are losses; what is lost behind the last one, a complete study's budget tells.
    whole &= reading.ended
    complete = study.row["state"] == "complete" and not whole
    expected = max([study.row["trials"] if complete else 0, *(trial + 1 for trial in study.trials)])
    study.row["trials"] = max(study.row["trials"], len(study.trials)) if study.row["trials"] else 0
    if said := _lost(expected - len(study.trials), whole or complete):
        study.lost["trials"] = said


def _curves(reading: Rows, number: int, study: Rescued) -> None:
    """Measurements of trials that are there, each once; sets each trial's last row."""
    table = f"curves_{number}"
    width = reading.width(table) - 3
    metrics = _parsed(study.row["metrics"])
    if width >= 0 and len(metrics) != width:
        metrics = tuple(f"metric{i}" for i in range(width))
        study.row["metrics"] = dumps(metrics)
    known = [trial["last"] for trial in study.trials.values() if trial["last"] is not None]
    columns = ("id", "trial", "step", *(f"m{i}" for i in range(len(metrics))))
    last: dict[int, tuple[int, int]] = {}
    seen: set[tuple[int, int]] = set()
    dropped = 0
    for row in reading.rows(table, columns, end=max(known, default=None)):
        values = tuple(row.values())
        whole = all(map(is_id, values[:3])) and all(value is None or _is_real(value) for value in values[3:])
        if whole and values[1] in study.trials and values[1:3] not in seen:
            seen.add(values[1:3])
            study.curves.append(values)
            last[values[1]] = values[0], max(values[2], last.get(values[1], (0, 0))[1])
        else:
            dropped += 1
    for id, trial in study.trials.items():
        trial["last"], measured = last.get(id, (None, 0))
        trial["step"] = max(trial["step"], measured)
    if said := _lost(dropped + reading.lost, reading.ended or bool(known)):
        study.lost["measurements"] = said


def _events(reading: Rows) -> tuple[list[dict[str, Any]], int]:
    """All events that are whole, and how many are not."""
    found, dropped = [], 0
    for row in reading.rows("events", _columns(schema.events)):
        whole = is_id(row["study"]) and is_id(row["clock"]) and _is_real(row["time"]) and isinstance(row["kind"], str)
        if whole and isinstance(_parsed(row["detail"]), dict):
            found.append(row)
        else:
            dropped += 1
    return found, dropped + reading.lost


def _write(connection: Any, study: Rescued) -> None:
    metrics = len(_parsed(study.row["metrics"]))
    table = schema.curves(study.row["id"], metrics)
    connection.execute(insert(schema.studies), study.row)
    table.create(connection)
    for target, rows in ((schema.configs, study.configs), (schema.trials, study.trials)):
        names = _columns(target)
        kept = [rows[id] for id in sorted(study.trials)]
        Bulk.of(insert(target), names).run(connection, {name: [row[name] for row in kept] for name in names})
    names = tuple(column.name for column in table.columns)
    Bulk.of(insert(table), names).run(
        connection, dict(zip(names, zip(*study.curves, strict=True), strict=False)) or {"id": ()}
    )
    if study.events:
        connection.execute(insert(schema.events), study.events)
    if study.row["state"] == "complete":
        schema.curves_index(table).create(connection)


def _lost(known: int, whole: bool) -> str:
    """How many were lost, in words; nothing where none were."""
    if whole:
        return f"{known:,}" if known else ""
    return f"{known:,} or more" if known else "an unknown number"


def _open_trials(study: Rescued) -> bool:
    return any(not TrialState(trial["state"]).terminal for trial in study.trials.values())


def _columns(table: Any) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _parsed(text: Any) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return loads(text) if isinstance(text, str) else None
    except (ValueError, TypeError, RecursionError, LookupError):
        return None


def _is_real(value: Any) -> bool:
    return type(value) in (float, int)


def _is_texts(value: Any) -> bool:
    names = _parsed(value)
    return (
        isinstance(names, list | tuple)
        and all(isinstance(name, str) for name in names)
        and len(set(names)) == len(names)
    )


def _is_objectives(value: Any) -> bool:
    pairs = _parsed(value)
    return isinstance(pairs, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and pair[1] in ("min", "max")
        for pair in pairs
    )


def _is_dict(value: Any) -> bool:
    return isinstance(_parsed(value), dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


_FITS: dict[str, Callable[[Any], bool]] = {
    "id": is_id, "name": _is_text, "state": lambda value: value in STUDY_STATES, "created": _is_real,
    "started": _is_real, "updated": _is_real, "space": _is_dict, "objectives": _is_objectives, "metrics": _is_texts,
    "trials": is_id, "steps": is_id, "eval_every": is_id, "seed": lambda value: type(_parsed(value)) is int,
    "rng": _is_text, "proposer": _is_text, "scheduler": _is_text_or_none, "task": _is_text, "choices": _is_dict,
    "report": _is_dict, "error": _is_text_or_none, "clock": is_id,
}  # fmt: skip
"""What a column of `studies` must hold."""
