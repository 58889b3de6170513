"""A store that is copied to a lasting folder while it is written, and brought back where it is lost."""

from __future__ import annotations

import shutil

import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune.errors import ArgumentError, StoreError
from vtune.store import Commit, Measurements, Mirror, NewTrial, StudyRecord, open_reader, open_writer
from vtune.store.checking import check

SPACE = vtune.Space(x=vtune.Float(0.0, 1.0))


def sweep(store, **options):
    task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x - 0.3)})
    return vtune.tune(task, SPACE, trials=32, lanes=8, store=store, name="bowl", resume=True, progress="off", **options)


@pytest.fixture
def places(tmp_path):
    local, drive = tmp_path / "local", tmp_path / "drive"
    local.mkdir()
    return local / "vtune.db", drive


def test_a_lost_store_comes_back_with_its_variables(places):
    store, drive = places
    with Mirror(store, drive):
        first = sweep(store)
    curves, params = first.curves(), first.best_params()
    first.close()
    shutil.rmtree(store.parent)
    store.parent.mkdir()
    with Mirror(store, drive):
        again = sweep(store)
    assert again.curves().equals(curves)
    assert again.best_params() == params
    again.close()


def test_a_copy_made_while_the_store_is_written_is_whole(places):
    store, drive = places
    with open_writer(store) as writer, Mirror(store, drive, every=0.01):
        study = writer.create(StudyRecord("rows", metrics=("loss",)))
        with writer.lease(study.id):
            for clock in range(60):
                trial = np.array([clock])
                new = [NewTrial(clock, {"x": 0.5})]
                writer.commit(study.id, Commit(clock, new, None, Measurements(trial, 0 * trial, np.ones((1, 1)))))
                if (drive / "vtune.db").exists() and clock % 10 == 0:
                    shutil.copyfile(drive / "vtune.db", drive / "seen.db")
                    found = check(drive / "seen.db")
                    assert found.sound, str(found)
    with open_reader(drive / "vtune.db") as reader:
        assert len(reader.curves(study.id)) == 60


def test_nobody_waits_for_the_lease_of_a_session_that_is_lost(places, tmp_path):
    store, drive = places
    with open_writer(store) as writer, writer.lease(writer.create(StudyRecord("held")).id):
        Mirror(store, drive).__enter__().copy()
        with open_writer(drive / "vtune.db") as copy:
            copy.update(1, state="interrupted")


def test_what_is_no_longer_among_the_best_leaves_the_copy(places):
    store, drive = places
    with Mirror(store, drive) as mirror:
        sweep(store, keep=3).close()
        mirror.copy()
        kept = sorted(path.name for path in (drive / "vtune.db.files").rglob("*.msgpack"))
        assert len(kept) == 3
        next((store.parent / "vtune.db.files").rglob(kept[0])).unlink()
    assert sorted(path.name for path in (drive / "vtune.db.files").rglob("*.msgpack")) == kept[1:]


def test_another_store_is_not_written_over(places):
    store, drive = places
    with Mirror(store, drive):
        open_writer(store).close()
    before = (drive / "vtune.db").read_bytes()
    store.unlink()
    store.with_name("vtune.db.mirror").unlink()
    open_writer(store).close()
    with pytest.raises(StoreError, match="another store's"):
        Mirror(store, drive).__enter__()
    assert (drive / "vtune.db").read_bytes() == before


def test_what_cannot_be_copied_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="a file"):
        Mirror("postgresql+psycopg://me@host/db", tmp_path)
    with pytest.raises(ArgumentError, match="another folder"):
        Mirror(tmp_path / "vtune.db", tmp_path)


def test_a_drive_that_is_gone_is_told_and_the_study_goes_on(places):
    store, drive = places
    mirror = Mirror(store, drive, every=1000)
    with open_writer(store) as writer:
        writer.create(StudyRecord("a"))
        mirror.__enter__()
        shutil.rmtree(drive)
        drive.write_text("no folder")
        with pytest.raises(StoreError, match="still mounted"):
            mirror.copy()
        drive.unlink()
        drive.mkdir()
        mirror.__exit__()
    with open_reader(drive / "vtune.db") as reader:
        assert [study.name for study in reader.studies()] == ["a"]
