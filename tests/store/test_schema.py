"""Old files are opened for ever: a kept store of every schema version, made once by `make` and never again."""

import shutil
from pathlib import Path

import pytest

from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, open_reader, open_writer
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


@pytest.mark.parametrize("version", VERSIONS)
def test_kept_stores_are_read(version, tmp_path):
    copy = shutil.copy(FIXTURES / f"version{version}.sqlite", tmp_path)
    with open_reader(copy) as reader:
        check(reader)


@pytest.mark.parametrize("version", VERSIONS)
def test_kept_stores_go_on(version, tmp_path):
    copy = shutil.copy(FIXTURES / f"version{version}.sqlite", tmp_path)
    with open_writer(copy) as writer:
        writer.commit(2, Commit(clock=1, new_trials=[NewTrial(0, {"x": 1})]))
        check(writer.reader())
        assert writer.reader().trial(2, 0).config == {"x": 1}


def test_the_kept_store_of_this_version_is_what_is_written_now(tmp_path):
    make(tmp_path / "now.sqlite")
    with open_reader(tmp_path / "now.sqlite") as reader:
        check(reader)
