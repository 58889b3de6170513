import dataclasses
import importlib.util
import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import ArgumentError, StoreError
from vtune.records import TrialState
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_reader, open_writer

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300).filter(str.strip)


@pytest.fixture
def writer(place):
    with open_writer(place) as writer:
        yield writer


def study_of(writer, trials=3, metrics=("loss", "accuracy"), **fields):
    record = writer.create(StudyRecord(name="study", metrics=metrics, objectives=(("loss", "min"),), **fields))
    writer.commit(record.id, Commit(new_trials=[NewTrial(i, {"lr": 0.1 * i}, "random") for i in range(trials)]))
    return record.id


def test_a_study_comes_back_whole(writer):
    record = StudyRecord(
        name="digits",
        state="running",
        created=12.5,
        started=13.5,
        space={"version": 1, "parameters": [{"name": "lr", "low": 1e-5}], "constraints": []},
        objectives=(("accuracy", "max"), ("n_params", "min")),
        metrics=("loss", "accuracy", "n_params"),
        trials=256,
        steps=1000,
        eval_every=100,
        seed=2**70,
        rng="pcg",
        proposer="random",
        scheduler="asha",
        task="mlp",
        choices={"block": 32, "versions": {"jax": "0.10"}},
        report={"kinds": {"lr": "traced"}},
        error="it\nbroke",
        clock=7,
    )
    made = writer.create(record)
    assert made.id == 1
    assert made.updated > 1e9
    assert writer.reader().study("digits") == made
    assert dataclasses.replace(made, id=0, updated=0.0) == record


@settings(max_examples=50, deadline=None)
@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_any_name_is_fine(several):
    with open_writer(None) as writer:
        made = [writer.create(StudyRecord(name=name)) for name in several]
        reader = writer.reader()
        assert [study.name for study in reader.studies()] == several
        assert [reader.study(name) for name in several] == made


LETTERS = "".join(map(chr, range(1, 0xD800))) + "".join(map(chr, range(0xE000, 0x11000)))
NAMES = [
    "<script>alert(1)</script>", "[bold]x[/bold] :smile:", "'; DROP TABLE studies; --", '"\n%s %(x)s ? :x {0} \\',
    "../../etc/passwd", "C:\\x\\y", "/", ".", "nul", "a" * 10_000, "🦆" * 10_000, "".join(map(str, range(2_500))),
    "".join(LETTERS[i * 7919 % len(LETTERS)] for i in range(10_000)), "\u202eright to left", "e\u0301 is not é",
    "\x1b[31mred\x07", "tab\tand\r\nlines\u2028", " padded ", "$$ %% `id` $(id)", "1", "true", "NULL",
]  # fmt: skip


def test_hostile_names(writer, record_fault):
    made = [writer.create(StudyRecord(name=name, task=name, error=name)) for name in NAMES]
    reader = writer.reader()
    assert reader.studies() == made
    assert [reader.study(name).id for name in NAMES] == [study.id for study in made]
    for study, name in zip(made, NAMES, strict=True):
        with pytest.raises(StoreError, match="must be new in its store"):
            writer.create(StudyRecord(name=name))
        writer.commit(study.id, Commit(new_trials=[NewTrial(0, {name: name}, origin=name)]))
        writer.commit(study.id, Commit(events=[Event(1.0, name, {name: name})]))
        assert reader.trial(study.id, 0).config == {name: name}
        assert reader.trial(study.id, 0).origin == name
        assert (reader.events(study.id)[0].kind, reader.events(study.id)[0].detail) == (name, {name: name})
        assert reader.frame(study.id)[name].tolist() == [name]
    record_fault("odd name", len(NAMES))


def test_texts_that_no_database_takes_are_escaped(writer):
    odd = "a\0b\udc80c"
    study = writer.create(StudyRecord("digits", task=odd, proposer=odd, choices={odd: odd})).id
    writer.commit(study, Commit(new_trials=[NewTrial(0, {odd: odd}, odd)], events=[Event(1.0, odd, {odd: odd})]))
    writer.commit(study, Commit(trial_updates=TrialUpdates([0], ["failed"], [0], [math.nan], error=[odd])))
    writer.update(study, state="failed", error=odd)
    reader, escaped = writer.reader(), r"a\x00b\udc80c"
    record, trial, event = reader.study(study), reader.trial(study, 0), reader.events(study)[0]
    assert [record.task, record.proposer, record.error, trial.origin, trial.error, event.kind] == [escaped] * 6
    assert record.choices == trial.config == event.detail == {odd: odd}


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "\ud800", None])
def test_names_that_cannot_be(writer, name):
    with pytest.raises(ArgumentError, match="name must be"):
        writer.create(StudyRecord(name=name))


def test_a_taken_name_says_what_to_do(writer):
    writer.create(StudyRecord(name="digits"))
    with pytest.raises(StoreError, match=r"already has 'digits'.*resume=True"):
        writer.create(StudyRecord(name="digits"))
    assert len(writer.reader().studies()) == 1


def test_a_commit_is_read_back_whole(writer):
    study = study_of(writer)
    config = {"kernel": (3, 3), "lr": 0.1 + 0.2, "name": "ädam", "n": 2**60, "on": True, "none": None}
    updates = TrialUpdates(
        id=[0, 3],
        state=[TrialState.RUNNING, TrialState.FAILED],
        step=np.array([10, 0], np.int32),
        score=[0.25, math.nan],
        program=[1, 1],
        block=[2, 2],
        lane=[5, 6],
        started=[100.5, math.nan],
        finished=[math.nan, 101.5],
        error=[None, "boom"],
    )
    commit = Commit(
        clock=4,
        new_trials=[NewTrial(3, config, "enqueued", queued=9)],
        trial_updates=updates,
        measurements=Measurements([0, 1], [10, 10], [[0.25, math.nan], [0.5, 0.75]]),
        events=[Event(99.5, "compile", {"seconds": 1.5})],
        study={"state": "running", "report": {"occupancy": 0.5}},
    )
    writer.commit(study, commit)
    reader = writer.reader()
    zero, one, _, three = reader.trials(study)
    assert (zero.state, zero.step, zero.score, zero.metrics) == (TrialState.RUNNING, 10, 0.25, {"loss": 0.25})
    assert one.metrics == {"loss": 0.5, "accuracy": 0.75}
    assert (three.config, three.origin, three.score) == (config, "enqueued", None)
    assert (three.state, three.error) == (TrialState.FAILED, "boom")
    assert reader.events(study) == [Event(99.5, "compile", {"seconds": 1.5}, id=1, clock=4)]
    record = reader.study(study)
    assert (record.clock, record.state, record.report) == (4, "running", {"occupancy": 0.5})
    placed = reader.placement(study).set_index("id")
    assert tuple(placed.loc[0, ["program", "block", "lane", "started"]]) == (1, 2, 5, 100.5)
    assert tuple(placed.loc[3, ["clock", "queued", "finished"]]) == (4, 9, 101.5)


def test_infinities_survive_and_nan_is_missing(writer):
    study = study_of(writer)
    infinite = [[math.inf, -math.inf], [math.nan, 1.0]]
    writer.commit(study, Commit(measurements=Measurements([0, 1], [1, 1], infinite)))
    writer.commit(study, Commit(trial_updates=TrialUpdates([0], ["running"], [1], [-math.inf])))
    curves = writer.reader().curves(study)
    np.testing.assert_array_equal(curves[["loss", "accuracy"]].to_numpy(), infinite)
    assert writer.reader().trial(study, 0).score == -math.inf
    assert writer.reader().trial(study, 1).metrics == {"accuracy": 1.0}


def test_the_last_measurement_of_each_trial_is_known(writer):
    study = study_of(writer)
    writer.commit(study, Commit(measurements=Measurements([0, 1, 0], [1, 1, 2], [[1, 1], [2, 2], [3, 3]])))
    assert [t.metrics.get("loss") for t in writer.reader().trials(study)] == [3, 2, None]
    writer.commit(
        study,
        Commit(
            trial_updates=TrialUpdates([0, 2], ["running"] * 2, [2, 2], [1, 1]),
            measurements=Measurements([1, 2], [2, 2], [[4, 4], [5, 5]]),
        ),
    )
    assert [t.metrics.get("loss") for t in writer.reader().trials(study)] == [3, 4, 5]


def test_a_trial_that_is_over_stays_so(writer):
    study = study_of(writer)
    writer.commit(study, Commit(trial_updates=TrialUpdates([0, 1], ["complete", "running"], [5, 5], [1.0, 2.0])))
    with pytest.raises(StoreError, match=r"\[0\] are unknown or over"):
        writer.commit(study, Commit(clock=9, trial_updates=TrialUpdates([0, 1], ["running"] * 2, [6, 6], [3, 3])))
    assert [t.step for t in writer.reader().trials(study)] == [5, 5, 0]
    assert writer.reader().study(study).clock == 0


@pytest.mark.parametrize("unknown", [7, -1])
def test_unknown_trials_are_refused_and_nothing_is_written(writer, unknown):
    study = study_of(writer)
    with pytest.raises(StoreError, match="unknown or over"):
        writer.commit(study, Commit(measurements=Measurements([0, unknown], [1, 1], np.zeros((2, 2)))))
    assert len(writer.reader().curves(study)) == 0
    writer.commit(study, Commit(measurements=Measurements([0], [1], np.zeros((1, 2)))))
    assert len(writer.reader().curves(study)) == 1


def test_a_trial_is_admitted_once(writer):
    study = study_of(writer)
    with pytest.raises(StoreError, match=r"trials \[2\] are there already"):
        writer.commit(study, Commit(new_trials=[NewTrial(3, {}), NewTrial(2, {})]))
    with pytest.raises(StoreError, match="twice in this commit"):
        writer.commit(study, Commit(new_trials=[NewTrial(3, {}), NewTrial(3, {})]))
    assert [t.id for t in writer.reader().trials(study)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("commit", "said"),
    [
        (Commit(measurements=Measurements([0], [1], [[1.0]])), r"values \[n, 2\]"),
        (Commit(measurements=Measurements([0, 1], [1], [[1.0, 2.0]])), r"\(2,\), \(1,\)"),
        (Commit(trial_updates=TrialUpdates([0, 1], ["running"], [1, 1], [1, 1])), "one length"),
        (Commit(trial_updates=TrialUpdates([0, 0], ["running"] * 2, [1, 1], [1, 1])), r"trials \[0\] come more"),
        (Commit(trial_updates=TrialUpdates([0], ["done"], [1], [1])), "must be one of waiting"),
        (Commit(study={"colour": 1}), "fields that can be set"),
        (Commit(study={"state": "over"}), "must be one of created"),
        (Commit(study={"objectives": (("loss", "low"),)}), "'min' or 'max'"),
    ],
)
def test_commits_that_do_not_fit(writer, commit, said):
    study = study_of(writer)
    with pytest.raises(ArgumentError, match=said):
        writer.commit(study, commit)


def test_no_such_study(writer):
    with pytest.raises(StoreError, match="no study with id 5"):
        writer.commit(5, Commit())


def test_metrics_may_come_late_but_not_change_after_the_first_row(writer):
    study = study_of(writer, metrics=())
    writer.update(study, metrics=("loss", "f1"))
    writer.commit(study, Commit(measurements=Measurements([0], [1], [[1.0, 2.0]])))
    assert list(writer.reader().curves(study).columns) == ["trial", "step", "loss", "f1"]
    with pytest.raises(StoreError, match="must stay as they are"):
        writer.update(study, metrics=("loss",))
    writer.commit(study, Commit(measurements=Measurements([0], [2], [[1.0, 2.0]])))
    assert writer.reader().study(study).metrics == ("loss", "f1")


def test_every_write_is_a_heartbeat(writer):
    record = writer.create(StudyRecord(name="a", updated=1.0))
    beats = [record.updated]
    for write in (lambda: writer.update(record.id), lambda: writer.commit(record.id, Commit())):
        time.sleep(0.001)
        write()
        beats.append(writer.reader().study("a").updated)
    assert beats == sorted(set(beats))


def test_unfinished_trials_can_be_measured_anew(writer):
    study = study_of(writer)
    rows = Measurements([0, 1, 2], [1, 1, 1], np.ones((3, 2)))
    states = ["complete", "running", "running"]
    writer.commit(study, Commit(trial_updates=TrialUpdates([0, 1, 2], states, [1] * 3, [1] * 3), measurements=rows))
    reader = writer.reader()
    cursor = reader.curves(study).attrs["cursor"]
    with pytest.raises(StoreError, match="unknown or over"):
        writer.forget_measurements(study, [0, 1])
    writer.forget_measurements(study, [1, 2])
    assert reader.curves(study)["trial"].tolist() == [0]
    one = reader.trial(study, 1)
    assert (one.state, one.step, one.score, one.metrics) == (TrialState.WAITING, 0, None, {})
    writer.commit(study, Commit(measurements=Measurements([1], [1], [[5.0, 5.0]])))
    assert reader.curves(study, after=cursor)["trial"].tolist() == [1]


def test_reopening_goes_on_where_it_was(tmp_path):
    path = tmp_path / "study.sqlite"
    with open_writer(path) as writer:
        study = study_of(writer)
        writer.commit(study, Commit(measurements=Measurements([0], [1], [[1.0, 1.0]])))
    with open_writer(f"sqlite:///{path}") as writer:
        writer.commit(study, Commit(measurements=Measurements([0], [2], [[2.0, 2.0]])))
        writer.update(study, state="complete")
    with open_reader(str(path)) as reader:
        assert reader.curves(study, [0])["loss"].tolist() == [1.0, 2.0]


def test_several_studies_do_not_mix(writer):
    first = study_of(writer)
    second = writer.create(StudyRecord(name="other", metrics=("x",))).id
    writer.commit(second, Commit(new_trials=[NewTrial(0, {"a": 1})], events=[Event(1.0, "e")]))
    writer.commit(second, Commit(measurements=Measurements([0], [1], [[7.0]])))
    reader = writer.reader()
    assert len(reader.trials(first)) == 3
    assert reader.trial(second, 0).metrics == {"x": 7.0}
    assert reader.events(first) == []
    assert len(reader.curves(first)) == 0


def test_threads_may_share_a_writer(writer):
    study = study_of(writer, trials=4)
    reader = writer.reader()
    seen = []

    def measure(trial):
        for step in range(20):
            writer.commit(study, Commit(measurements=Measurements([trial], [step], [[step, trial]])))
            seen.append(len(reader.curves(study, [trial])))

    threads = [threading.Thread(target=measure, args=(trial,)) for trial in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    curves = reader.curves(study)
    assert sorted(zip(curves["trial"], curves["step"], strict=True)) == [(t, s) for t in range(4) for s in range(20)]
    assert len(seen) == 80


class CtrlC:
    """A value that raises KeyboardInterrupt within the database's own call, when it is bound to a statement."""

    def __conform__(self, protocol):
        raise KeyboardInterrupt

    class Dumper:
        """The same for psycopg."""

        oid = 0
        format = 0

        def __init__(self, *_):
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _psycopg_takes_ctrl_c():
    if importlib.util.find_spec("psycopg"):
        import psycopg

        psycopg.adapters.register_dumper(CtrlC, CtrlC.Dumper)


def test_ctrl_c_within_a_statement_undoes_that_commit_only(writer):
    study = study_of(writer)
    rows = Measurements([0], [1], [[1.0, 1.0]])
    writer.commit(study, Commit(measurements=rows))
    with pytest.raises(KeyboardInterrupt):
        writer.commit(study, Commit(measurements=rows, events=[Event(1.0, "chunk"), Event(CtrlC(), "chunk")]))
    assert len(writer.reader().curves(study)) == 1
    assert writer.reader().events(study) == []
    writer.commit(study, Commit(measurements=rows, events=[Event(1.0, "chunk")]))
    assert len(writer.reader().curves(study)) == 2


def test_a_closed_store_says_so(writer):
    study = study_of(writer)
    writer.close()
    writer.close()
    with pytest.raises(StoreError, match="is closed"):
        writer.commit(study, Commit())
