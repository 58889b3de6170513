"""The promises between processes: readers beside a writer, a writer that is killed, several opening one new file."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vtune
from vtune.errors import StoreError
from vtune.store import Commit, Measurements, open_reader, open_writer

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}
TRIALS = 16
WRITE = f"""
import sys
import numpy as np
from vtune.store import *
from vtune.store import database
database.BUSY_SECONDS = float(sys.argv[3])
writer = open_writer(sys.argv[1])
if not writer.reader().studies():
    writer.create(StudyRecord(name="study", metrics=("a", "b"), trials={TRIALS}))
    writer.commit(1, Commit(new_trials=[NewTrial(i, {{"lr": i}}) for i in range({TRIALS})]))
study = writer.reader().study(1)
ids = np.arange({TRIALS})
for clock in range(study.clock + 1, int(sys.argv[2]) + 1):
    steps = np.full({TRIALS}, clock)
    updates = TrialUpdates(ids, ["running"] * {TRIALS}, steps, steps)
    rows = Measurements(ids, steps, np.full(({TRIALS}, 2), clock))
    writer.commit(study.id, Commit(clock, trial_updates=updates, measurements=rows))
    print(clock, flush=True)
"""


def start(path, chunks, busy=30):
    command = [sys.executable, "-c", WRITE, str(path), str(chunks), str(busy)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


def check_whole_chunks(reader):
    """Every snapshot holds whole commits only: all trials at one step, all rows of it there. Returns that step."""
    frame = reader.frame(1)
    steps = set(frame["step"])
    assert len(steps) == 1
    assert (frame["score"].fillna(0) == frame["step"]).all()
    assert (frame["a"].fillna(0) == frame["step"]).all()
    curves = reader.curves(1)
    assert (curves.groupby("step").size() == TRIALS).all()
    assert (curves["a"] == curves["step"]).all()
    assert (curves["b"] == curves["step"]).all()
    return int(curves["step"].max()) if len(curves) else 0


def test_reading_beside_a_writer(tmp_path):
    """A writer that goes on until enough was seen of it: a fast one does not end before a slow reader has begun."""
    writer = start(tmp_path / "study.sqlite", chunks=1_000_000)
    assert writer.stdout.readline() == "1\n"
    seen = []
    with open_reader(tmp_path / "study.sqlite") as reader:
        while len(set(seen)) < 20 and writer.poll() is None:
            seen.append(check_whole_chunks(reader))
        assert writer.poll() is None
        writer.kill()
        said = int([*writer.stdout][-1])
        assert seen == sorted(seen)
        assert check_whole_chunks(reader) >= max(said, seen[-1])


READ = """
import sys
from pathlib import Path
from test_processes import check_whole_chunks
from vtune.store import database, open_reader
database.BUSY_SECONDS = 5
with open_reader(sys.argv[1]) as reader:
    print("ready", flush=True)
    seen = [check_whole_chunks(reader)]
    while not Path(sys.argv[2]).exists():
        reader.progress(1), reader.trials(1, order="score", limit=5), reader.events(1)
        seen.append(check_whole_chunks(reader))
    assert seen == sorted(seen)
    print(check_whole_chunks(reader))
"""


def test_nobody_waits_long_beside_eight_readers(tmp_path):
    """Locks are held for moments only, as when the writer's last connection tidies up: whole commits are seen."""
    path, end = tmp_path / "study.sqlite", tmp_path / "end"
    chunks = 50
    start(path, chunks=1).communicate()
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join([ENVIRONMENT["PYTHONPATH"], *sys.path])}
    command = [sys.executable, "-c", READ, path, end]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(8)]
    for reader in readers:
        assert reader.stdout.readline() == "ready\n"
    writer = start(path, chunks, busy=5)
    assert writer.communicate()[0].splitlines()[-1] == str(chunks)
    end.touch()
    assert writer.returncode == 0
    assert [reader.communicate()[0] for reader in readers] == [f"{chunks}\n"] * 8
    assert [reader.returncode for reader in readers] == [0] * 8


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_killed_writer_loses_nothing_that_it_committed(tmp_path, after, record_fault):
    path = tmp_path / "study.sqlite"
    writer = start(path, chunks=1_000_000)
    for _ in range(after):
        said = writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    said = [said, *writer.stdout][-1]
    with open_reader(path) as reader:
        step = check_whole_chunks(reader)
        assert step >= int(said)
        assert reader.study("study").clock == step
    with open_writer(path) as writer:
        rows = Measurements(np.arange(TRIALS), np.full(TRIALS, step + 1), np.full((TRIALS, 2), step + 1))
        writer.commit(1, Commit(clock=step + 1, measurements=rows))
        assert len(writer.reader().curves(1)) == (step + 1) * TRIALS
    record_fault("killed write")


def test_a_reader_survives_the_writers_death_and_successor(tmp_path):
    path = tmp_path / "study.sqlite"
    writer = start(path, chunks=1_000_000)
    writer.stdout.readline()
    with open_reader(path) as reader:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert check_whole_chunks(reader) >= 1
        with open_writer(path) as successor:
            successor.update(1, state="interrupted")
        assert reader.study(1).state == "interrupted"


def test_one_name_in_two_processes_goes_to_one_of_them(tmp_path):
    code = (
        "import sys; from vtune.store import *; from vtune.errors import StoreError\n"
        "writer = open_writer(sys.argv[1]); writer.create(StudyRecord(name=sys.argv[2]))\n"
        "try: writer.create(StudyRecord(name='both')); print('mine')\n"
        "except StoreError as error: print('resume=True' in str(error))\n"
    )
    path = tmp_path / "study.sqlite"
    both = [
        subprocess.Popen([sys.executable, "-c", code, path, name], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        for name in ("one", "two")
    ]
    said = sorted(process.communicate()[0] for process in both)
    assert said == ["True\n", "mine\n"]
    with open_reader(path) as reader:
        assert sorted(study.name for study in reader.studies()) == ["both", "one", "two"]


def test_a_locked_store_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr("vtune.store.database.BUSY_SECONDS", 0.05)
    path = tmp_path / "study.sqlite"
    with open_writer(path), sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Another process has been writing"):
            open_writer(path)
    other.close()
