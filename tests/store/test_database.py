import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import vtune
from vtune.errors import ArgumentError, StoreError
from vtune.store import Commit, Measurements, NewTrial, StudyRecord, open_reader, open_writer
from vtune.store.database import locate, open_for_reading

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "study.sqlite"
    with open_writer(path) as writer:
        study = writer.create(StudyRecord(name="study", metrics=("loss",)))
        writer.commit(study.id, Commit(new_trials=[NewTrial(0, {"lr": 0.1})]))
        writer.commit(study.id, Commit(measurements=Measurements([0], [1], [[0.5]])))
    return path


@pytest.mark.parametrize("open_store", [open_reader, open_writer])
def test_a_folder_is_not_a_store(tmp_path, open_store):
    with pytest.raises(StoreError, match="is a folder"):
        open_store(tmp_path)


def test_a_missing_store_is_named_and_not_made(tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*gone\.sqlite"):
        open_reader(tmp_path / "gone.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StoreError, match="folder of the store must exist"):
        open_writer(tmp_path / "no" / "study.sqlite")


@pytest.mark.parametrize("open_store", [open_reader, open_writer])
def test_a_file_that_is_no_database(tmp_path, open_store):
    path = tmp_path / "notes.txt"
    path.write_text("milk, bread\n" * 200)
    with pytest.raises(StoreError, match="not a vtune store"):
        open_store(path)
    assert path.read_text() == "milk, bread\n" * 200


@pytest.mark.parametrize("open_store", [open_reader, open_writer])
def test_the_database_of_something_else(tmp_path, open_store):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="holds the tables invoices"):
        open_store(path)
    assert path.read_bytes() == before


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="without studies"):
        open_reader(path)
    with open_writer(path) as writer:
        assert writer.reader().studies() == []


@pytest.mark.parametrize("open_store", [open_reader, open_writer])
def test_a_newer_schema(store, open_store):
    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE vtune_store SET value = '99'")
    connection.close()
    with pytest.raises(StoreError, match=r"version 99.*upgrade vtune"):
        open_store(store)


@pytest.mark.parametrize("damage", ["UPDATE vtune_store SET value = 'x'", "DELETE FROM vtune_store"])
def test_a_schema_version_that_cannot_be(store, damage):
    with sqlite3.connect(store) as connection:
        connection.execute(damage)
    connection.close()
    with pytest.raises(StoreError, match="must state its schema version"):
        open_reader(store)


def test_a_truncated_file(store):
    content = store.read_bytes()
    store.write_bytes(content[: len(content) // 2 - 1000])
    with pytest.raises(StoreError, match=r"malformed|damaged|not a database"), open_reader(store) as reader:
        reader.curves(1)


@pytest.mark.parametrize("place", ["sqlite:///{}", "{}"])
def test_paths_and_urls(store, place):
    with open_reader(place.format(store)) as reader:
        assert [study.name for study in reader.studies()] == ["study"]


@pytest.mark.parametrize("odd", ["a b.sqlite", "what?.sqlite", "100%25#1.sqlite", "ä🦆.sqlite", "file:x.sqlite"])
def test_odd_file_names(tmp_path, odd):
    path = tmp_path / odd
    with open_writer(path) as writer:
        writer.create(StudyRecord(name="study"))
    with open_reader(path) as reader:
        assert reader.study("study").id == 1
    assert path.exists()


@pytest.mark.parametrize(
    ("where", "error", "said"),
    [
        ("", ArgumentError, "path, a database URL, or None"),
        (3, ArgumentError, "got 3"),
        ("mysql://host/db", StoreError, "SQLite or PostgreSQL"),
        ("postgresql+nonsense://host/db", StoreError, "not installed"),
    ],
)
def test_places_that_cannot_be(where, error, said):
    with pytest.raises(error, match=said):
        open_writer(where)


def test_no_password_is_shown():
    assert "secret" not in str(locate("postgresql+psycopg://me:secret@host/db"))


@pytest.mark.parametrize("where", [None, "sqlite://", "sqlite:///:memory:", ":memory:"])
def test_memory(where):
    with open_writer(where) as writer:
        writer.create(StudyRecord(name="study"))
        assert writer.reader().study("study").id == 1
    with pytest.raises(StoreError, match="ask its Writer"):
        open_for_reading(locate(where))


def test_a_reader_cannot_write(store):
    database = open_for_reading(locate(store))
    with pytest.raises(StoreError, match="readonly"), database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM studies")


def test_a_store_in_a_folder_that_may_not_be_written(store):
    """As another user where the tests run as root, who may write anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "study.sqlite"
        shutil.copy(store, copy)
        copy.chmod(0o444)
        Path(folder).chmod(0o555)
        code = (
            "import os, sys; from vtune.store import open_reader, open_writer; from vtune.errors import StoreError\n"
            "if os.getuid() == 0: os.setuid(65534)\n"
            "print(open_reader(sys.argv[1]).curves(1)['loss'].tolist())\n"
            "try: open_writer(sys.argv[1])\n"
            "except StoreError as error: print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True, env=ENVIRONMENT)
        Path(folder).chmod(0o755)
        assert done.stdout.startswith("[0.5]\n"), done.stderr
        assert "check the permissions" in done.stdout
        assert sorted(path.name for path in Path(folder).iterdir()) == ["study.sqlite"]


def test_the_store_needs_no_jax():
    code = "import sys, vtune.store; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT).returncode == 0
