"""`vtune check` and `vtune salvage` by hand-made damage: what each finds, says and keeps."""

import contextlib
import sqlite3
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from vtune.cli import commands
from vtune.errors import StoreError
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_reader, open_writer
from vtune.store.checking import check
from vtune.store.salvage import salvage


def fill(place):
    with open_writer(place) as writer:
        study = writer.create(StudyRecord("digits", metrics=("loss",), objectives=(("loss", "min"),), trials=4)).id
        new = [NewTrial(i, {"lr": i / 4}, "random") for i in range(4)]
        updates = TrialUpdates(range(4), ["complete"] * 4, [2] * 4, [0.5] * 4)
        rows = Measurements([0, 1, 2, 3] * 2, [1] * 4 + [2] * 4, [[i / 8] for i in range(8)])
        writer.commit(study, Commit(1, new, updates, rows, [Event(1.0, "chunk")], study={"state": "complete"}))
        writer.create(StudyRecord("empty"))
    return place


@pytest.fixture
def store(tmp_path):
    return fill(tmp_path / "study.sqlite")


def spoil(store, *statements):
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        for sql in statements:
            connection.execute(sql)


def test_a_sound_store(place):
    if place is None:
        with pytest.raises(StoreError, match="in memory cannot be checked"):
            check(place)
        return
    found = check(fill(place))
    assert (found.problems, found.studies, found.trials, found.measurements) == ([], 2, 4, 8)
    assert "sound" in str(found)
    assert "geheim" not in str(found)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE studies SET state = 'odd'", "study 1 'digits': its state is 'odd'"),
        ("UPDATE studies SET space = '{'", "its space is no JSON text"),
        ("UPDATE studies SET metrics = '{\"a\": 1}'", "its metrics are no list"),
        (
            'UPDATE studies SET metrics = \'["a", "b"]\' WHERE id = 1',
            "columns id, trial, step, m0; 2 metrics are known",
        ),
        ("UPDATE studies SET trials = 3 WHERE id = 1", "it has 4 trials, and a budget of 3"),
        ("UPDATE trials SET state = 'odd' WHERE id = 2", "trials are odd, which is no state"),
        ("UPDATE trials SET state = 'running' WHERE id = 2", "complete, but 1 of its trials are not over"),
        ("UPDATE trials SET last = 1 WHERE id = 2", "trials 2 do not know their last measurement"),
        ("UPDATE trials SET last = NULL WHERE id < 2", "trials 0, 1 do not know their last measurement"),
        ("UPDATE trials SET step = 1 WHERE id = 3", "trials 3 were measured beyond their steps"),
        ("UPDATE trials SET step = -1 WHERE id = 3", "trials 3 have a negative number or step"),
        ("DELETE FROM trials WHERE id = 1", "trials 1 have no state"),
        ("DELETE FROM configs WHERE id = 1", "trials 1 have no configuration"),
        ("UPDATE configs SET config = '[1]' WHERE id = 1", "the configurations of trials 1 are damaged"),
        ("UPDATE events SET detail = 'x'", "events 1 are damaged"),
        ("UPDATE curves_1 SET step = 2 WHERE trial = 1", "trials 1 were measured twice at one step"),
        ("UPDATE curves_1 SET trial = 9 WHERE trial = 1", "measurements are of trials 9, which are not there"),
        ("DELETE FROM studies WHERE id = 1", "belongs to a study that is not there"),
        ("DROP TABLE curves_1", "columns of no table"),
        ("DROP TABLE events", "no table events"),
        ("ALTER TABLE trials DROP COLUMN lane", "the table trials lacks lane"),
        ("UPDATE vtune_store SET value = '99'", "upgrade vtune"),
        ("CREATE TRIGGER t AFTER UPDATE ON trials BEGIN DELETE FROM configs; END", "holds a trigger named 't'"),
        ("CREATE VIEW v AS SELECT 1", "holds a view named 'v'"),
    ],
)
def test_what_is_not_as_it_must_be_is_found_and_put_right(store, damage, said, tmp_path, record_fault):
    spoil(store, damage)
    found = check(store)
    assert not found.sound
    assert said in str(found)
    salvage(store, tmp_path / "new.sqlite")
    assert check(tmp_path / "new.sqlite").sound
    record_fault("corruption")


def test_a_sound_store_is_salvaged_whole(store, tmp_path):
    before = store.read_bytes()
    assert [study.lost for study in salvage(store, tmp_path / "new.sqlite")] == [{}, {}]
    assert store.read_bytes() == before
    with open_reader(store) as old, open_reader(tmp_path / "new.sqlite") as new:
        assert new.studies() == old.studies()
        assert new.frame(1).equals(old.frame(1))
        assert new.curves(1).equals(old.curves(1))
        assert new.events(1) == old.events(1)


def test_a_salvaged_study_goes_on(store, tmp_path):
    spoil(store, "DELETE FROM trials WHERE id = 1", "UPDATE trials SET state = 'running' WHERE id = 2")
    (study, _) = salvage(store, tmp_path / "new.sqlite")
    assert "1 trials kept as failed, their states are lost" in study.summary
    with open_writer(tmp_path / "new.sqlite") as writer:
        reader = writer.reader()
        assert reader.study(1).state == "interrupted"
        assert [str(trial.state) for trial in reader.trials(1)] == ["complete", "failed", "running", "complete"]
        assert "damaged" in reader.trial(1, 1).error
        writer.commit(1, Commit(measurements=Measurements([2], [3], [[0.5]])))
        writer.commit(1, Commit(trial_updates=TrialUpdates([2], ["complete"], [3], [0.5])))
    assert check(tmp_path / "new.sqlite").sound


def test_what_was_lost_is_counted(store, tmp_path):
    spoil(
        store, "DELETE FROM configs WHERE id = 1", "UPDATE curves_1 SET trial = 'x' WHERE id = 0",
        "UPDATE events SET time = 'y'",
    )  # fmt: skip
    study, _ = salvage(store, tmp_path / "new.sqlite")
    assert study.lost == {"trials": "1", "measurements": "3", "events": "1"}
    assert study.summary == "study 1 'digits': 3 trials (1 lost), 5 measurements (3 lost), 1 events (1 lost)".replace(
        "1 events", "0 events"
    )


@pytest.mark.parametrize("content", [b"", b"milk, bread\n" * 900, bytes(9_000)], ids=["empty", "text", "zeros"])
def test_what_is_no_store_is_said_and_not_touched(tmp_path, content, record_fault):
    path = tmp_path / "notes.db"
    path.write_bytes(content)
    found = check(path)
    assert "Nothing of a vtune store can be read" in str(found)
    with pytest.raises(StoreError, match="nothing was written"):
        salvage(path, tmp_path / "new.sqlite")
    assert path.read_bytes() == content
    assert not (tmp_path / "new.sqlite").exists()
    record_fault("corruption")


def test_the_database_of_something_else(tmp_path):
    path = tmp_path / "other.sqlite"
    spoil(path, "CREATE TABLE invoices (id INTEGER)")
    assert "holds the tables invoices" in str(check(path))


def test_places_that_cannot_be(store, tmp_path):
    for call in (check, lambda place: salvage(place, tmp_path / "new.sqlite")):
        with pytest.raises(StoreError, match="no store at"):
            call(tmp_path / "gone.sqlite")
    with pytest.raises(StoreError, match="is there already"):
        salvage(store, store)
    with pytest.raises(StoreError, match="goes into a file"):
        salvage(store, "postgresql://me:geheim@host/db")
    with pytest.raises(StoreError, match=r"pg_dump") as caught:
        salvage("postgresql://me:geheim@host/db", tmp_path / "new.sqlite")
    assert "geheim" not in str(caught.value)


def test_the_commands(store, tmp_path):
    run = CliRunner().invoke
    assert run(commands, ["check", str(store)]).exit_code == 0
    spoil(store, "UPDATE studies SET state = 'odd', name = 'a\x1b[31mb' WHERE id = 1")
    (tmp_path / "study.sqlite.files").mkdir()
    said = run(commands, ["check", str(store)])
    assert said.exit_code == 1
    assert "its state is 'odd'" in said.output
    assert "\x1b" not in said.output
    said = run(commands, ["salvage", str(store), "-o", str(tmp_path / "new.db")])
    assert said.exit_code == 0
    assert "4 trials, 8 measurements, 1 events" in said.output
    assert "copy that folder" in said.output
    assert run(commands, ["check", str(tmp_path / "new.db")]).exit_code == 0


def test_a_clear_line_for_a_store_that_is_not_there(tmp_path):
    command = [sys.executable, "-m", "vtune", "check", str(tmp_path / "gone.db")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("vtune: there is no store at")
    assert len(done.stderr.splitlines()) == 1
