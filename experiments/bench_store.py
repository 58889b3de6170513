"""How fast the store takes measurements: `Writer.commit` into a real file, beside the bare sqlite3 module.

One measurement is one row of a learning curve: trial, step and five metrics. Three ways, in one run:

- raw: `sqlite3.executemany` into a plain rowid table with the same columns, one transaction a chunk: the limit
- curves: `Writer.commit` with measurements only
- chunks: `Writer.commit` as a running study calls it: measurements, and state, step and score of each of their trials

Rates are given by the clock and by processor time; the second is what holds on a machine that others use too.

With `--readers 8` it measures instead how much the writer is slowed by so many processes that poll the store as the
app does, every two seconds: chunks as fast as they can be written, alone and beside them in turns.

Run it with `python experiments/bench_store.py`; it prints a table and writes experiments/results/bench_store.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy

from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_writer

METRICS = ("loss", "accuracy", "train_loss", "train_accuracy", "grad_norm")
SIZES = (128, 1_024, 10_000)
CLOCKS = ("clock", "processor")
RESULT = Path(__file__).parent / "results" / "bench_store.json"


Seconds = tuple[float, float]


def clocks() -> Seconds:
    """The time by the clock and by the processor."""
    return time.perf_counter(), time.process_time()


def since(start: Seconds) -> Seconds:
    """What passed since an earlier `clocks`."""
    wall, processor = clocks()
    return wall - start[0], processor - start[1]


def raw(folder: Path, size: int, chunks: int) -> Seconds:
    """How long the bare driver takes."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    columns = ", ".join(f"m{i} REAL" for i in range(len(METRICS)))
    connection.execute(f"CREATE TABLE curves (id INTEGER PRIMARY KEY, trial INTEGER, step INTEGER, {columns})")
    trial, values = np.arange(size), np.random.default_rng(0).random((size, len(METRICS)))
    insert = f"INSERT INTO curves VALUES ({', '.join('?' * (3 + len(METRICS)))})"
    start = clocks()
    for chunk in range(chunks):
        rows = range(chunk * size, (chunk + 1) * size)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, zip(rows, trial.tolist(), [chunk] * size, *values.T.tolist(), strict=True))
        connection.execute("COMMIT")
    seconds = since(start)
    connection.close()
    return seconds


def store(folder: Path, size: int, chunks: int, updates: bool) -> Seconds:
    """How long the store takes."""
    with open_writer(folder / f"store{updates}.db") as writer:
        study = writer.create(StudyRecord(name="bench", metrics=METRICS, objectives=(("accuracy", "max"),)))
        writer.commit(study.id, Commit(new_trials=[NewTrial(i, {"lr": i / size}) for i in range(size)]))
        trial, values = np.arange(size), np.random.default_rng(0).random((size, len(METRICS)))
        start = clocks()
        for chunk in range(chunks):
            step = np.full(size, chunk)
            changed = TrialUpdates(trial, ["running"] * size, step, values[:, 1]) if updates else None
            commit = Commit(clock=chunk, trial_updates=changed, measurements=Measurements(trial, step, values))
            writer.commit(study.id, commit)
        return since(start)


WAYS: dict[str, Callable[[Path, int, int], Seconds]] = {
    "raw": raw,
    "curves": lambda folder, size, chunks: store(folder, size, chunks, updates=False),
    "chunks": lambda folder, size, chunks: store(folder, size, chunks, updates=True),
}


READER = """
import sys, time
from vtune.store import open_reader
with open_reader(sys.argv[1]) as reader:
    last = None
    print("ready", flush=True)
    while True:
        began = time.perf_counter()
        reader.studies(), reader.progress(1), reader.trials(1, order="score", limit=10)
        events = reader.events(1, after=last)
        last = events[-1].id if events else last
        print(time.perf_counter() - began, flush=True)
        time.sleep(float(sys.argv[2]))
"""


def beside(folder: Path, readers: int, every: float, seconds: float, size: int = 1_024) -> dict[str, float]:
    """Writes chunks for some time while others read; rows a second by each clock, and what a poll took."""
    path = folder / "store.db"
    with open_writer(path) as writer:
        study = writer.create(
            StudyRecord(name="bench", metrics=METRICS, objectives=(("accuracy", "max"),), trials=size)
        )
        writer.commit(study.id, Commit(new_trials=[NewTrial(i, {"lr": i / size}) for i in range(size)]))
        trial, values = np.arange(size), np.random.default_rng(0).random((size, len(METRICS)))
        command = [sys.executable, "-c", READER, str(path), str(every)]
        polling = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(readers)]
        for process in polling:
            process.stdout.readline()  # type: ignore[union-attr]
        with writer.lease(study.id):
            start, chunk = clocks(), 0
            while since(start)[0] < seconds:
                chunk += 1
                changed = TrialUpdates(trial, ["running"] * size, np.full(size, chunk), values[:, 1])
                rows = Measurements(trial, np.full(size, chunk), values)
                events = [Event(0.0, "chunk", {"clock": chunk})]
                writer.commit(study.id, Commit(chunk, trial_updates=changed, measurements=rows, events=events))
            passed = since(start)
        for process in polling:
            process.kill()
        polls = [float(line) for process in polling for line in process.communicate()[0].splitlines()]
    rates = {clock: size * chunk / time for clock, time in zip(CLOCKS, passed, strict=True)}
    return rates | {"polls": len(polls), "poll": statistics.median(polls) if polls else 0.0}


def measure_readers(readers: int, every: float, seconds: float, repeats: int) -> dict[str, Any]:
    """The writer's rates alone and beside readers, in turns, and by how much it is slower: medians."""
    rounds: dict[int, list[dict[str, float]]] = {0: [], readers: []}
    for _ in range(repeats):
        for count, found in rounds.items():
            with tempfile.TemporaryDirectory() as folder:
                found.append(beside(Path(folder), count, every, seconds))
    pairs = list(zip(rounds[0], rounds[readers], strict=True))
    slower = {clock: statistics.median(1 - there[clock] / alone[clock] for alone, there in pairs) for clock in CLOCKS}
    return {
        "readers": readers,
        "every": every,
        "polls": sum(int(there["polls"]) for _, there in pairs),
        "seconds_a_poll": round(statistics.median(there["poll"] for _, there in pairs), 4),
        "rows_a_second": {
            name: {clock: round(statistics.median(each[clock] for each in rounds[count])) for clock in CLOCKS}
            for name, count in (("alone", 0), ("beside", readers))
        },
        "slower": {clock: round(value, 3) for clock, value in slower.items()},
    }


def measure(rows: int, repeats: int) -> list[dict[str, Any]]:
    """Medians of measurements a second, for every size of a transaction; the ways take turns."""
    table = []
    for size in SIZES:
        chunks = max(5, rows // size)
        rates: dict[str, list[Seconds]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way, run in WAYS.items():
                with tempfile.TemporaryDirectory() as folder:
                    wall, processor = run(Path(folder), size, chunks)
                rates[way].append((size * chunks / wall, size * chunks / processor))
        line: dict[str, Any] = {"rows_a_transaction": size}
        for i, clock in enumerate(CLOCKS):
            line[clock] = {way: round(statistics.median(pair[i] for pair in pairs)) for way, pairs in rates.items()}
        table.append(line)
    return table


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows a way and size")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--readers", type=int, default=0, help="measure the writer beside so many readers instead")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two polls of a reader")
    parser.add_argument("--seconds", type=float, default=8.0, help="of writing, for each measurement beside readers")
    arguments = parser.parse_args()
    if arguments.readers:
        found = measure_readers(arguments.readers, arguments.every, arguments.seconds, arguments.repeats)
        print(json.dumps(found, indent=1))
        known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        RESULT.write_text(json.dumps(known | {"beside_readers": found}, indent=1) + "\n")
        return
    table = measure(arguments.rows, arguments.repeats)
    print(f"measurements a second ({len(METRICS)} metrics each), medians of {arguments.repeats}")
    for clock in CLOCKS:
        print(f"{f'by {clock}, rows:':>20}" + "".join(f"{way:>12}" for way in WAYS))
        for line in table:
            print(f"{line['rows_a_transaction']:>20,}" + "".join(f"{line[clock][way]:>12,}" for way in WAYS))
    versions = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "sqlalchemy": sqlalchemy.__version__,
    }
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions,
        "rows": arguments.rows,
        "repeats": arguments.repeats,
        "metrics": len(METRICS),
        "measurements_a_second": table,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
