"""Killed at every system call that changes a file: what a store was told is there whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
HARNESS = """
import ctypes, json, os, shutil, signal, sys
from pathlib import Path
import test_killed_writes as jobs
from vtune.store import open_reader, open_writer, salvage
folder, job = Path(sys.argv[1]), sys.argv[2]
process, number, seen = ctypes.CDLL(None), 0, []
while not seen or seen[-1] != "done":
    number += 1
    place, torn = folder / str(number), number % 2
    place.mkdir()
    jobs.before(job, place)
    child = os.fork()
    if child == 0:
        process.die_at(str(place).encode(), ctypes.c_long(number), ctypes.c_long(torn))
        getattr(jobs, job)(place)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    seen.append(jobs.after(job, place) if code else "done")
    shutil.rmtree(place)
print(json.dumps(seen))
"""


def before(job, place):
    """What is there when a job begins."""
    import shutil

    from test_schema import make

    if job == "upgrades":
        shutil.copy(FIXTURES / "version1.sqlite", place / "s.db")
    elif job == "salvages":
        make(place / "s.db")


def writes(place):
    from test_schema import make

    make(place / "s.db")


def upgrades(place):
    from vtune.store import open_writer

    open_writer(place / "s.db").close()


def salvages(place):
    from vtune.store.salvage import salvage

    salvage(place / "s.db", place / "new.db")


def after(job, place):
    """What is left of a job that was killed, in a word; the next one goes on with it, whatever it is."""
    from test_schema import check

    from vtune.store import checking, open_reader, open_writer
    from vtune.store.salvage import salvage

    if job == "writes":
        with open_writer(place / "s.db") as writer:
            studies = writer.reader().studies()
            clock = studies[0].clock if studies else 0
            assert len(writer.reader().curves(1) if studies else ()) == 4 * clock
        assert checking.check(place / "s.db").sound
        return f"{len(studies)} studies, clock {clock}"
    if job == "upgrades":
        with open_reader(place / "s.db") as reader:
            check(reader)
        with open_writer(place / "s.db") as writer:
            check(writer.reader())
        return "whole"
    with open_reader(place / "s.db") as reader:
        check(reader)
    there = (place / "new.db").exists()
    if not there:
        salvage(place / "s.db", place / "new.db")
    with open_reader(place / "new.db") as reader:
        check(reader)
    assert not list(place.glob("*.part*"))
    return "whole" if there else "nothing"


@pytest.mark.parametrize(
    ("job", "left"),
    [("writes", {f"1 studies, clock {n}" for n in range(6)}), ("upgrades", {"whole"}), ("salvages", {"nothing"})],
    ids=["a store is written", "an old store is upgraded", "a store is salvaged"],
)
def test_killed_at_every_write(job, left, tmp_path, dying, record_fault):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), **dying}
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, tmp_path, job], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert left <= set(seen)
    assert len(seen) > 20
    record_fault("killed write", len(seen) - 1)
