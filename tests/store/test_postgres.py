"""What only a server does: passwords that nobody sees, many connections, a study from end to end."""

import io
import logging
import threading
import traceback

import jax.numpy as jnp
import numpy as np
import pytest
from postgres import PASSWORD
from rich.console import Console
from typer.testing import CliRunner

import vtune
from vtune.cli import commands
from vtune.errors import StoreError, VtuneError
from vtune.store import Commit, Event, Measurements, NewTrial, Queue, StudyRecord, open_reader, open_writer
from vtune.store.checking import check
from vtune.store.database import locate
from vtune.store.lease import Holder

TASK = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x - 0.3)})
SPACE = vtune.Space(x=vtune.Float(-1, 1), kind=vtune.Choice("a", "b"))


@pytest.fixture
def url(postgres):
    return postgres.new()


def told(error):
    """All that a user may see of an error: its text, its causes, and their tracebacks."""
    return "".join(traceback.format_exception(error)) + repr(error)


def failing(url):
    """What goes wrong with a server, each as a call."""
    wrong = url.replace(f":{PASSWORD}@", f":{PASSWORD}x@")
    address, _, database = url.rpartition("/")
    port = address.rpartition(":")[2]

    def fill(commit):
        with open_writer(url) as writer:
            study = writer.create(StudyRecord("digits", metrics=("loss",)))
            writer.commit(study.id, commit)

    yield lambda: open_writer(wrong)
    yield lambda: open_reader(wrong)
    yield lambda: Queue(wrong).put("digits", [{}])
    yield lambda: open_writer(url.replace(f":{port}/", ":1/"))
    yield lambda: open_reader(f"{address}/nowhere")
    yield lambda: open_reader(url)
    yield lambda: open_writer(f"postgresql+psycopg://127.0.0.1:{port}/{database}?user=vtune&password={PASSWORD}x")
    yield lambda: open_writer(f"postgresql+psycopg://vtune:{PASSWORD}@127.0.0.1:{port}/{database}?nonsense=1")
    yield lambda: open_writer(f"postgresql+nonsense://vtune:{PASSWORD}@127.0.0.1:{port}/{database}")
    yield lambda: open_writer(f"mysql://vtune:{PASSWORD}@127.0.0.1/{database}")
    yield lambda: open_writer(f"postgresql+psycopg://vtune:{PASSWORD}@127.0.0.1:port/{database}")
    yield lambda: fill(Commit(new_trials=[NewTrial(0, {}), NewTrial(0, {})]))
    yield lambda: fill(Commit(events=[Event("never", "chunk")]))
    yield lambda: open_reader(url).study("gone")
    yield lambda: vtune.load(url, "gone")


def test_no_password_is_in_any_error_or_log(url, caplog, record_fault):
    caplog.set_level(logging.DEBUG)
    errors = []
    for call in failing(url):
        with pytest.raises(VtuneError) as caught:
            call()
        errors.append(told(caught.value))
    assert not [error for error in errors if PASSWORD in error]
    assert PASSWORD not in caplog.text
    record_fault("password", len(errors))


def test_no_password_is_in_any_display(url, capsys, record_fault):
    with open_writer(url) as writer, writer.lease(writer.create(StudyRecord("digits")).id):
        shown = [repr(writer), repr(writer.reader()), str(writer.location), repr(writer.location), str(check(url))]
        shown += [repr(Queue(url)), str(locate(f"{url}?password={PASSWORD}")), repr(Holder.of_this_process())]
    for command in (["ls", url], ["show", "digits", url], ["show", "gone", url], ["check", url]):
        done = CliRunner().invoke(commands, command)
        shown += [done.output, "".join(traceback.format_exception(done.exception)) if done.exception else ""]
    study = vtune.tune(TASK, SPACE, trials=4, store=url, name="shown", progress="lines")
    screen = io.StringIO()
    Console(file=screen, width=200).print(study, study.explain(), study.record)
    shown += [screen.getvalue(), repr(study), *capsys.readouterr()]
    study.close()
    assert not [text for text in shown if PASSWORD in text]
    record_fault("password", len(shown))


def test_a_study_on_a_server_is_the_study_in_memory(url):
    given = {"trials": 24, "progress": "off", "block": 8, "threads": 1, "name": "digits"}
    wanted = vtune.tune(TASK, SPACE, **given)
    study = vtune.Study(TASK, SPACE, store=url, enqueue=[{"x": 0.3, "kind": "a"}], **given)
    study.run().close()
    again = vtune.tune(TASK, SPACE, store=url, resume=True, **given)
    assert again.best.config == {"x": 0.3, "kind": "a"}
    assert again.frame()["x"].tolist()[1:] == wanted.frame()["x"].tolist()[:-1]
    assert vtune.load(url, "digits").best == again.best
    assert check(url).sound
    again.close()


def test_a_reader_cannot_write(url):
    open_writer(url).close()
    reader = open_reader(url)
    with pytest.raises(StoreError, match="read-only"), reader._database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM studies")
    reader.close()


def test_several_studies_are_written_at_once(url):
    def write(name):
        with open_writer(url) as writer:
            study = writer.create(StudyRecord(name, metrics=("loss",))).id
            with writer.lease(study):
                writer.commit(study, Commit(new_trials=[NewTrial(i, {"x": i}) for i in range(50)]))
                for step in range(1, 11):
                    rows = Measurements(np.arange(50), np.full(50, step), np.full((50, 1), step))
                    writer.commit(study, Commit(step, measurements=rows))

    threads = [threading.Thread(target=write, args=(f"study {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_reader(url) as reader:
        assert sorted(study.name for study in reader.studies()) == [f"study {number}" for number in range(4)]
        assert all(
            (reader.curves(study.id)["loss"] == reader.curves(study.id)["step"]).all() for study in reader.studies()
        )
        assert [len(reader.curves(study.id)) for study in reader.studies()] == [500] * 4


def test_connections_that_were_cut_are_made_again(postgres, url):
    with open_writer(url) as writer:
        study = writer.create(StudyRecord("digits")).id
        reader = writer.reader()
        assert reader.study(study).state == "created"
        database = url.rpartition("/")[2]
        postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        writer.update(study, state="running")
        assert reader.study(study).state == "running"


def test_a_connection_that_is_cut_in_a_transaction_is_an_error(postgres, url, record_fault):
    with open_writer(url) as writer:
        study = writer.create(StudyRecord("digits", metrics=("loss",))).id
        database = url.rpartition("/")[2]

        def cut_off():
            with writer._writing(study) as connection:
                writer._set(connection, study, {"state": "failed"})
                postgres.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
                writer._set(connection, study, {"clock": 7})

        with pytest.raises(StoreError) as caught:
            cut_off()
        assert PASSWORD not in told(caught.value)
        assert writer.reader().study(study).state == "created"
    record_fault("password")
