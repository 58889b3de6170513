"""Old files are opened for ever: a kept store of every schema version, made once by `make` and never again."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import vtune
from vtune.errors import StoreError
from vtune.store import (
    Commit,
    Event,
    Measurements,
    NewTrial,
    StudyRecord,
    TrialUpdates,
    open_reader,
    open_writer,
    schema,
)
from vtune.store.schema import VERSION

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = range(1, VERSION + 1)


def make(path):
    """Writes the store that is kept for the present schema version: two studies, four trials, 20 measurements."""
    with open_writer(path) as writer:
        record = StudyRecord(
            name="digits <b>é</b>",
            objectives=(("accuracy", "max"),),
            metrics=("accuracy", "loss"),
            trials=4,
            steps=50,
            eval_every=10,
            seed=7,
            rng="pcg",
            proposer="random",
            task="mlp",
            choices={"block": 2},
        )
        study = writer.create(record).id
        configs = [{"lr": 0.1 + 0.2, "kernel": (3, 3)}, {"lr": 1e-5}, {"lr": 0.5, "act": "relu"}, {"lr": 1.0}]
        writer.commit(study, Commit(new_trials=[NewTrial(i, config, "random") for i, config in enumerate(configs)]))
        for step in range(10, 60, 10):
            state = "complete" if step == 50 else "running"
            scores = [0.1 * i + step / 100 for i in range(4)]
            writer.commit(
                study,
                Commit(
                    clock=step // 10,
                    trial_updates=TrialUpdates(range(4), [state] * 4, [step] * 4, scores),
                    measurements=Measurements(range(4), [step] * 4, [[score, 1 / step] for score in scores]),
                    events=[Event(float(step), "chunk", {"step": step})],
                ),
            )
        writer.update(study, state="complete")
        writer.create(StudyRecord(name="empty"))


def check(reader):
    assert [study.name for study in reader.studies()] == ["digits <b>é</b>", "empty"]
    study = reader.study(1)
    assert (study.state, study.seed, study.clock, study.choices) == ("complete", 7, 5, {"block": 2})
    best = reader.trials(1, order="score", limit=1)[0]
    assert (best.id, best.config, best.step, best.metrics["loss"]) == (3, {"lr": 1.0}, 50, 1 / 50)
    assert reader.trial(1, 0).config == {"lr": 0.1 + 0.2, "kernel": (3, 3)}
    assert len(reader.curves(1)) == 20
    assert reader.curves(1, [2])["step"].tolist() == [10, 20, 30, 40, 50]
    assert reader.frame(1)["act"].notna().tolist() == [False, False, True, False]
    assert [event.detail["step"] for event in reader.events(1)] == [10, 20, 30, 40, 50]


@pytest.fixture(params=VERSIONS)
def kept(request, tmp_path):
    return Path(shutil.copy(FIXTURES / f"version{request.param}.sqlite", tmp_path))


def dump(path):
    """The whole content, and the version of the schema."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        lines = list(connection.iterdump())
        version = connection.execute("SELECT value FROM vtune_store WHERE key = 'schema'").fetchone()[0]
    return lines, int(version)


def test_kept_stores_are_read_and_not_changed(kept, record_fault):
    before = kept.read_bytes()
    with open_reader(kept) as reader:
        check(reader)
    assert kept.read_bytes() == before
    record_fault("old store")


def test_kept_stores_go_on(kept, record_fault):
    with open_writer(kept) as writer, writer.lease(2):
        writer.commit(2, Commit(clock=1, new_trials=[NewTrial(0, {"x": 1})]))
        check(writer.reader())
        assert writer.reader().trial(2, 0).config == {"x": 1}
    assert dump(kept)[1] == VERSION
    record_fault("old store")


def test_an_upgraded_store_has_the_tables_of_a_new_one(kept, tmp_path):
    open_writer(kept).close()
    open_writer(tmp_path / "new.sqlite").close()
    tables = [
        {line for line in dump(path)[0] if line.startswith("CREATE") and "curves_" not in line}
        for path in (kept, tmp_path / "new.sqlite")
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("version", range(1, VERSION))
@pytest.mark.parametrize("error", [KeyboardInterrupt, sqlite3.OperationalError("database or disk is full")])
def test_an_upgrade_that_breaks_off_leaves_the_old_store(version, error, tmp_path, monkeypatch, record_fault):
    path = Path(shutil.copy(FIXTURES / f"version{version}.sqlite", tmp_path))
    before = dump(path)
    upgrade = schema.MIGRATIONS[version]

    def break_off(connection):
        upgrade(connection)
        raise error

    with monkeypatch.context() as broken:
        broken.setitem(schema.MIGRATIONS, version, break_off)
        with pytest.raises((KeyboardInterrupt, StoreError)):
            open_writer(path)
    assert dump(path) == before
    with open_writer(path) as writer:
        check(writer.reader())
    record_fault("old store")


def test_an_upgrade_that_is_killed_leaves_the_old_store(tmp_path, record_fault):
    path = Path(shutil.copy(FIXTURES / "version1.sqlite", tmp_path))
    before = dump(path)
    code = (
        "import os, sys\nfrom vtune.store import open_writer, schema\n"
        "upgrade = schema.MIGRATIONS[1]\n"
        "schema.MIGRATIONS[1] = lambda connection: (upgrade(connection), os.kill(os.getpid(), 9))\n"
        "open_writer(sys.argv[1])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code, path], env=environment).returncode == -9
    assert dump(path) == before
    with open_writer(path) as writer:
        check(writer.reader())
    record_fault("old store")


def test_the_kept_store_of_this_version_is_what_is_written_now(tmp_path):
    make(tmp_path / "now.sqlite")
    with open_reader(tmp_path / "now.sqlite") as reader:
        check(reader)
