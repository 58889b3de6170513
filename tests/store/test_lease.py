"""One writer a study: who is refused, who may take over, and that no clock is trusted."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

import vtune
from vtune.errors import Interrupted, StoreError
from vtune.store import Commit, Event, StudyRecord, open_reader, open_writer, schema
from vtune.store.lease import Holder

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(vtune.__file__).parents[1])}
HOLD = """
import sys, time
from vtune.store import *
with open_writer(sys.argv[1]) as writer, writer.lease(1):
    writer.commit(1, Commit(clock=1))
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=["file", "server"])
def place(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def file(tmp_path):
    return with_study(str(tmp_path / "study.sqlite"))


@pytest.fixture
def server(postgres):
    return with_study(postgres.fresh())


@pytest.fixture
def fast(monkeypatch):
    """Holders elsewhere are watched for half a second."""
    monkeypatch.setattr("vtune.store.lease.PATIENCE", 0.5)
    monkeypatch.setattr("vtune.store.lease.POLL_SECONDS", 0.02)


def with_study(place):
    with open_writer(place) as writer:
        writer.create(StudyRecord(name="digits"))
    return place


def hold(place):
    """A process that holds the lease until it is told to end."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLD, place], stdin=pipe, stdout=pipe, text=True, env=ENVIRONMENT)
    assert process.stdout.readline() == "held\n"
    return process


def pretend(place, **fields):
    """Writes a lease of somebody else into the store; returns its token."""
    holder = {"host": "elsewhere", "pid": 7, "system": "another boot", "began": "1"} | fields
    with open_writer(place)._database.transaction() as connection:
        connection.execute(
            schema.leases.insert(), {"study": 1, "token": "theirs", "holder": Holder(**holder).to_json()}
        )


def holders(place):
    with open_writer(place) as writer, writer._database.transaction() as connection:
        return [Holder.from_json(row.holder) for row in connection.execute(select(schema.leases))]


def test_a_second_process_is_told_who_writes_and_what_to_do(place, record_fault):
    process = hold(place)
    with open_writer(place) as writer:
        said = rf"'digits'.* held by process {process.pid} on .*since.*Wait"
        with pytest.raises(StoreError, match=said) as caught, writer.lease(1):
            pass
        assert "geheim" not in str(caught.value)
        with pytest.raises(StoreError, match=rf"held by process {process.pid} "):
            writer.commit(1, Commit(clock=9))
        assert writer.reader().study(1).clock == 1
        process.communicate("end\n")
        assert process.returncode == 0
        with writer.lease(1):
            writer.commit(1, Commit(clock=9))
        assert writer.reader().study(1).clock == 9
    record_fault("two writers", 2)


@pytest.mark.parametrize("buried", [True, False], ids=["buried", "zombie"])
def test_a_killed_holder_is_succeeded_at_once(file, buried, record_fault):
    process = hold(file)
    process.kill()
    if buried:
        process.wait()
    else:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with open_writer(file) as writer, writer.lease(1):
        writer.commit(1, Commit(clock=2))
    process.communicate()
    with open_reader(file) as reader:
        assert reader.study(1).clock == 2
    record_fault("two writers")


def test_after_a_killed_holder_a_plain_write_is_let_through(file):
    process = hold(file)
    process.kill()
    process.communicate()
    with open_writer(file) as writer:
        writer.update(1, state="interrupted")
    assert holders(file) == []


def test_a_stopped_process_still_holds(file, record_fault):
    process = hold(file)
    os.kill(process.pid, signal.SIGSTOP)
    with open_writer(file) as writer, pytest.raises(StoreError, match="held by process"), writer.lease(1):
        pass
    os.kill(process.pid, signal.SIGCONT)
    process.communicate("end\n")
    assert process.returncode == 0
    record_fault("two writers")


def test_a_number_of_a_process_that_is_used_again_is_no_holder(place, record_fault):
    me = Holder.of_this_process()
    pretend(place, host=me.host, pid=os.getppid(), system=me.system, began="1")
    with open_writer(place) as writer, writer.lease(1):
        assert [holder.pid for holder in holders(place)] == [os.getpid()]
    record_fault("two writers")


def test_two_writers_of_one_process(place):
    with open_writer(place) as one, open_writer(place) as two:
        with one.lease(1):
            with pytest.raises(StoreError, match=f"held by process {os.getpid()} "), two.lease(1):
                pass
            with pytest.raises(StoreError, match="held by process"):
                two.update(1, state="running")
            one.update(1, state="running")
        with two.lease(1):
            two.update(1, state="interrupted")


def test_a_lease_ends_with_its_block_whatever_happens_there(place):
    with open_writer(place) as writer:
        with pytest.raises(KeyboardInterrupt), writer.lease(1):
            raise KeyboardInterrupt
        assert holders(place) == []
        with writer.lease(1):
            writer.close()
    with open_writer(place) as writer, writer.lease(1):
        assert len(holders(place)) == 1


def test_a_silent_holder_elsewhere_is_succeeded_after_a_wait(place, fast, record_fault):
    pretend(place)
    said = []
    begun = time.monotonic()
    with open_writer(place) as writer, writer.lease(1, said.append):
        assert time.monotonic() - begun > 0.5
        writer.commit(1, Commit(clock=3))
    assert "process 7 on elsewhere" in said[0]
    record_fault("two writers")


@pytest.mark.parametrize("jump", [0.0, -1e6, 1e6], ids=["steady", "back", "forward"])
def test_a_heartbeat_counts_whatever_the_clock_says(place, fast, jump, monkeypatch, record_fault):
    """The holder's clock jumps by days between two beats; that it beats is what counts."""
    pretend(place)

    def beat():
        with open_writer(place)._database.transaction() as connection:
            connection.execute(schema.studies.update().values(updated=time.time() + jump))

    holder = "process 7 on elsewhere"
    with open_writer(place) as writer, pytest.raises(StoreError, match=holder), writer.lease(1, check=beat):
        pass
    record_fault("two writers")


def test_the_clock_of_the_one_who_waits_does_not_matter(place, monkeypatch, record_fault):
    monkeypatch.setattr("vtune.store.lease.POLL_SECONDS", 0.01)
    pretend(place)
    real, polls = time.time, []

    def wait():
        polls.append(None)
        monkeypatch.setattr(time, "time", lambda: real() + 1e6 * len(polls))
        if len(polls) == 20:
            raise Interrupted("enough")

    with open_writer(place) as writer, pytest.raises(Interrupted), writer.lease(1, check=wait):
        pass
    assert [holder.host for holder in holders(place)] == ["elsewhere"]
    record_fault("two writers")


def test_who_was_taken_for_dead_writes_nothing_more(place, fast, monkeypatch, record_fault):
    """A holder that slept, as on a suspended machine, finds its successor: at work, or done already."""
    monkeypatch.setattr("vtune.store.lease.BEAT_SECONDS", 1000.0)
    with open_writer(place) as sleeper, open_writer(place) as successor, sleeper.lease(1):
        sleeper.commit(1, Commit(clock=1))
        monkeypatch.setattr(Holder, "lives", lambda self: None)
        with successor.lease(1):
            successor.commit(1, Commit(clock=2))
            with pytest.raises(StoreError, match=r"'digits' in .* was taken over"):
                sleeper.commit(1, Commit(clock=5, events=[Event(0.0, "late")]))
        with pytest.raises(StoreError, match=r"was taken over.*done with it"):
            sleeper.commit(1, Commit(clock=5))
        reader = successor.reader()
        assert (reader.study(1).clock, reader.events(1)) == (2, [])
    record_fault("two writers", 2)


def test_a_damaged_lease_is_that_of_an_unknown_holder(place, fast):
    with open_writer(place) as writer:
        with writer._database.transaction() as connection:
            connection.execute(schema.leases.insert(), {"study": 1, "token": "x", "holder": '{"pid": [[['})
        with pytest.raises(StoreError, match="an unknown machine"):
            writer.update(1)
        with writer.lease(1):
            writer.update(1)


def test_of_many_successors_one_wins(place, record_fault):
    process = hold(place)
    process.kill()
    process.communicate()
    together, won, refused = threading.Barrier(6), [], []

    def succeed(number):
        with open_writer(place) as writer:
            together.wait()
            try:
                with writer.lease(1):
                    won.append(number)
                    time.sleep(0.5)
            except StoreError:
                refused.append(number)

    threads = [threading.Thread(target=succeed, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 5)
    record_fault("two writers", 5)


def test_a_holder_that_writes_nothing_shows_that_it_lives(place, monkeypatch):
    monkeypatch.setattr("vtune.store.lease.BEAT_SECONDS", 0.02)
    with open_writer(place) as writer, writer.lease(1):
        beats = {writer.reader().study(1).updated}
        deadline = time.monotonic() + 60
        while len(beats) < 3 and time.monotonic() < deadline:
            beats.add(writer.reader().study(1).updated)
    assert len(beats) >= 3


def test_other_studies_are_free(place):
    with open_writer(place) as one, one.lease(1), open_writer(place) as two:
        other = two.create(StudyRecord(name="other")).id
        with two.lease(other):
            two.update(other, state="running")


def test_a_study_that_is_not_there(place):
    with open_writer(place) as writer, pytest.raises(StoreError, match="no study with id 5"), writer.lease(5):
        pass


def test_a_store_in_memory_has_one_writer_anyway():
    with open_writer(None) as writer:
        writer.create(StudyRecord(name="digits"))
        with writer.lease(1):
            writer.update(1, state="running")
