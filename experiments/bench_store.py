"""How fast the store takes measurements: `Writer.commit` into a real file, beside the bare sqlite3 module.

One measurement is one row of a learning curve: trial, step and five metrics. Three ways, in one run:

- raw: `sqlite3.executemany` into a plain rowid table with the same columns, one transaction a chunk: the limit
- curves: `Writer.commit` with measurements only
- chunks: `Writer.commit` as a running study calls it: measurements, and state, step and score of each of their trials

Run it with `python experiments/bench_store.py`; it prints a table and writes experiments/results/bench_store.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sqlalchemy

from vtune.store import Commit, Measurements, NewTrial, StudyRecord, TrialUpdates, open_writer

METRICS = ("loss", "accuracy", "train_loss", "train_accuracy", "grad_norm")
SIZES = (128, 1_024, 10_000)
RESULT = Path(__file__).parent / "results" / "bench_store.json"


def raw(folder: Path, size: int, chunks: int) -> float:
    """Seconds that the bare driver takes."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    columns = ", ".join(f"m{i} REAL" for i in range(len(METRICS)))
    connection.execute(f"CREATE TABLE curves (id INTEGER PRIMARY KEY, trial INTEGER, step INTEGER, {columns})")
    trial, values = np.arange(size), np.random.default_rng(0).random((size, len(METRICS)))
    insert = f"INSERT INTO curves VALUES ({', '.join('?' * (3 + len(METRICS)))})"
    start = time.perf_counter()
    for chunk in range(chunks):
        rows = range(chunk * size, (chunk + 1) * size)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert, zip(rows, trial.tolist(), [chunk] * size, *values.T.tolist(), strict=True))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


def store(folder: Path, size: int, chunks: int, updates: bool) -> float:
    """Seconds that the store takes."""
    with open_writer(folder / f"store{updates}.db") as writer:
        study = writer.create(StudyRecord(name="bench", metrics=METRICS, objectives=(("accuracy", "max"),)))
        writer.commit(study.id, Commit(new_trials=[NewTrial(i, {"lr": i / size}) for i in range(size)]))
        trial, values = np.arange(size), np.random.default_rng(0).random((size, len(METRICS)))
        start = time.perf_counter()
        for chunk in range(chunks):
            step = np.full(size, chunk)
            changed = TrialUpdates(trial, ["running"] * size, step, values[:, 1]) if updates else None
            commit = Commit(clock=chunk, trial_updates=changed, measurements=Measurements(trial, step, values))
            writer.commit(study.id, commit)
        return time.perf_counter() - start


WAYS: dict[str, Callable[[Path, int, int], float]] = {
    "raw": raw,
    "curves": lambda folder, size, chunks: store(folder, size, chunks, updates=False),
    "chunks": lambda folder, size, chunks: store(folder, size, chunks, updates=True),
}


def measure(rows: int, repeats: int) -> list[dict[str, float]]:
    """Medians of measurements a second, for every size of a transaction; the ways take turns."""
    table = []
    for size in SIZES:
        chunks = max(5, rows // size)
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way, run in WAYS.items():
                with tempfile.TemporaryDirectory() as folder:
                    rates[way].append(size * chunks / run(Path(folder), size, chunks))
        table.append({"rows_a_transaction": size} | {way: statistics.median(each) for way, each in rates.items()})
    return table


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows a way and size")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    table = measure(arguments.rows, arguments.repeats)
    print(f"measurements a second ({len(METRICS)} metrics each), medians of {arguments.repeats}")
    print(f"{'rows a transaction':>20}" + "".join(f"{way:>12}" for way in WAYS))
    for line in table:
        print(f"{line['rows_a_transaction']:>20,}" + "".join(f"{line[way]:>12,.0f}" for way in WAYS))
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
