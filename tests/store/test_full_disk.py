"""A disk that is full at any write: a clear error, whole commits before it, and going on when there is room."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vtune
from vtune.errors import StoreError
from vtune.store import Commit, Measurements, NewTrial, Queue, StudyRecord, TrialUpdates, open_reader, open_writer
from vtune.store.checking import check
from vtune.store.salvage import salvage

TRIALS, CHUNKS = 30, 12
SIZE = 1 << 20
PAGE = 4096
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A file system of one MiB."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def leave(folder, room):
    """Fills the disk up to so many bytes."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    ballast.write_bytes(bytes(max(0, free - room)))


def commits():
    ids, configs = np.arange(TRIALS), [{"lr": i / TRIALS, "name": "x" * i} for i in range(TRIALS)]
    yield Commit(new_trials=[NewTrial(i, config, "random") for i, config in enumerate(configs)])
    for clock in range(1, CHUNKS + 1):
        steps, scores = np.full(TRIALS, clock), ids / clock
        rows = Measurements(ids, steps, np.stack([scores, -scores], axis=1))
        state = "complete" if clock == CHUNKS else "running"
        yield Commit(clock, trial_updates=TrialUpdates(ids, [state] * TRIALS, steps, scores), measurements=rows)


def content(place):
    with open_reader(place) as reader:
        return reader.frame(1), reader.curves(1)


def check_whole(place, clock):
    """The commits up to a clock are there, and nothing of later ones."""
    with open_reader(place) as reader:
        assert reader.study(1).clock == clock
        assert len(reader.curves(1)) == TRIALS * clock
        assert reader.frame(1)["step"].tolist() == [clock] * TRIALS


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("expected") / "study.sqlite"
    with open_writer(path) as writer:
        study = writer.create(StudyRecord("digits", metrics=("loss", "gain"))).id
        for commit in commits():
            writer.commit(study, commit)
    return content(path)


FULL = r"(full|failed to read or write).*committed before is kept"


def with_room(attempt, more_room):
    """Does something until there is room for it; returns how often there was none."""
    for refused in range(1_000):
        error = None
        try:
            attempt()
        except StoreError as caught:
            error = str(caught)
        if error is None:
            return refused
        assert re.search(FULL, error)
        more_room()
    raise AssertionError("there was never enough room")


@pytest.mark.parametrize("checkpoint", [1000, 8], ids=["late", "early"])
def test_full_at_any_page(small_disk, expected, checkpoint, record_fault):
    """The disk is full; each time that this stops the writer it gets a page more, until all is written."""
    path, room = small_disk / f"study{checkpoint}.sqlite", 0
    leave(small_disk, room)

    def more_room():
        nonlocal room
        room += PAGE
        with contextlib.suppress(FileNotFoundError):
            os.truncate(small_disk / "ballast", max(0, (small_disk / "ballast").stat().st_size - PAGE))

    opened, refused = [], 0
    refused += with_room(lambda: opened.append(open_writer(path)), more_room)
    with opened[0] as writer:
        writer._database._only.execute(f"PRAGMA wal_autocheckpoint={checkpoint}")
        record = StudyRecord("digits", metrics=("loss", "gain"))
        refused += with_room(lambda: writer.create(record), more_room)
        for number, commit in enumerate(commits()):
            once = with_room(lambda commit=commit: writer.commit(1, commit), more_room)
            refused += once
            if once or number == CHUNKS:
                check_whole(path, number)
    for got, wanted in zip(content(path), expected, strict=True):
        assert got.equals(wanted)
    assert check(path).sound
    assert refused > 10
    record_fault("full disk", refused)
    for file in small_disk.iterdir():
        file.unlink()


def test_a_writer_that_ends_on_a_full_disk_leaves_a_store_that_is_read(small_disk, tmp_path, record_fault):
    path = small_disk / "study.sqlite"
    with open_writer(path) as writer:
        writer.create(StudyRecord("digits", metrics=("loss", "gain")))
        for commit in list(commits())[:4]:
            writer.commit(1, commit)
        leave(small_disk, 0)
        with pytest.raises(StoreError, match="make room"):
            all(writer.commit(1, commit) is None for commit in list(commits())[4:])
    with open_reader(path) as reader:
        clock = reader.study(1).clock
    check_whole(path, clock)
    assert check(path).sound
    with pytest.raises(StoreError, match="make room"):
        salvage(path, small_disk / "new.sqlite")
    salvage(path, tmp_path / "new.sqlite")
    with pytest.raises(StoreError, match=FULL):
        Queue(path).put("digits", [{"lr": 0.1}] * 500)
    (small_disk / "ballast").unlink()
    with open_writer(path) as writer, writer.lease(1):
        for commit in list(commits())[clock + 1 :]:
            writer.commit(1, commit)
    check_whole(path, CHUNKS)
    record_fault("full disk", 3)
    for file in small_disk.iterdir():
        file.unlink()


def test_a_database_that_may_not_grow(tmp_path, expected, record_fault):
    """The same where nothing can be mounted: SQLite itself says that the disk is full."""
    path, refused = tmp_path / "study.sqlite", 0
    with open_writer(path) as writer:
        connection = writer._database._only
        writer.create(StudyRecord("digits", metrics=("loss", "gain")))

        def more_room():
            pages = connection.execute("PRAGMA max_page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages + 1}")

        connection.execute("PRAGMA max_page_count=1")
        for number, commit in enumerate(commits()):
            once = with_room(lambda commit=commit: writer.commit(1, commit), more_room)
            refused += once
            if once:
                check_whole(path, number)
    for got, wanted in zip(content(path), expected, strict=True):
        assert got.equals(wanted)
    assert refused > 2
    record_fault("full disk", refused)


LIMITED = """
import sys, resource
sys.path[:0] = sys.argv[3:]
from test_full_disk import commits
from vtune.store import *
from vtune.errors import StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with open_writer(sys.argv[1]) as writer:
        if not writer.reader().studies():
            writer.create(StudyRecord("digits", metrics=("loss", "gain")))
        for commit in commits():
            if commit.clock <= writer.reader().study(1).clock and commit.clock:
                continue
            if not commit.clock and writer.reader().trials(1):
                continue
            writer.commit(1, commit)
except StoreError as error:
    print(error)
    sys.exit(3)
"""


def test_a_limit_on_the_size_of_files(tmp_path, expected, record_fault):
    """As under a quota: writes fail in the system, in a process that ends each time and is begun anew."""
    path, refused = tmp_path / "study.sqlite", 0
    for size in (70_000, 10_000_000):
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, path, str(size), *sys.path],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
        assert done.returncode in (0, 3), done.stderr
        refused += done.returncode == 3
        if done.returncode == 3:
            assert "committed before is kept" in done.stdout
        if path.exists():
            with open_reader(path) as reader:
                clock = reader.study(1).clock
            check_whole(path, clock)
    for got, wanted in zip(content(path), expected, strict=True):
        assert got.equals(wanted)
    assert refused == 1
    record_fault("full disk", refused)
