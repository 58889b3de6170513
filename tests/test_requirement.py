"""Constraints on results: how they are read, and what a study makes of them."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune import cli
from vtune.display.text import short
from vtune.errors import ArgumentError, ResultError, StoreError
from vtune.requirement import Requirement, requirements, worst
from vtune.space import Float, Space
from vtune.store import open_reader

SPACE = Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0))
quiet = {"progress": "off", "lanes": 8}


def run(hp, key):
    return {"loss": -hp.x - hp.y, "size": jnp.square(hp.x) + jnp.square(hp.y)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latency <= 3", "latency <= 3"),
        ("  accuracy>=.9 ", "accuracy >= 0.9"),
        ("loss_1 <= -2.5e-3", "loss_1 <= -0.0025"),
        ("x <= +1E2", "x <= 100"),
    ],
)
def test_a_text_is_read(text, said):
    assert str(Requirement.parse(text)) == said


@pytest.mark.parametrize(
    "text",
    ["", "latency", "latency < 3", "latency == 3", "latency <= three", "3 >= latency", "a b <= 3", "a <= 3; b <= 4",
     "__import__('os') <= 3", "a <= 1e999", "a <= nan", "a <= 3 <= 4", "a.b <= 3", 3, None],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ArgumentError, match=r'constraint must be "metric <= number"'):
        Requirement.parse(text)


def test_several_are_read_and_contradictions_refused():
    assert [str(each) for each in requirements(["a >= 1", "a <= 3"])] == ["a >= 1", "a <= 3"]
    assert requirements(None) == ()
    with pytest.raises(ArgumentError, match="twice on one side: a <= 1, a <= 2"):
        requirements(["a <= 1", "a <= 2"])
    with pytest.raises(ArgumentError, match="or a list of such"):
        requirements(3)


def test_excess_is_a_share_of_the_bound_and_the_worst_counts():
    found = requirements(["a <= 4", "b >= 10", "c <= 0"])
    over = worst(found, np.array([[4.0, 10.0, 0.0], [5.0, 20.0, -1.0], [0.0, 5.0, -1.0], [0.0, 20.0, 2.0]]))
    assert over.tolist() == [0.0, 0.25, 0.5, 2.0]
    assert np.isnan(worst(found, np.array([[np.nan, 20.0, -1.0]]))).all()


@pytest.fixture(scope="module")
def done():
    arguments = {"constraint": "size <= 0.5", "proposer": "tpe", "trials": 96, "seed": 1}
    return vtune.tune(vtune.Function(run), SPACE, **arguments, **quiet)


def test_the_best_of_a_study_keeps_to_its_constraint(done):
    frame = done.frame()
    allowed = frame[frame["size"] <= 0.5]
    assert done.best.metrics["size"] <= 0.5
    assert done.best.score == allowed["score"].min()
    assert frame["score"].min() < done.best.score
    assert [trial.id for trial in done.top(len(frame))[: len(allowed)]] == allowed.sort_values("score")["id"].tolist()
    assert done.best_params(done.best.id) is not None
    assert done.front()["id"].tolist() == [done.best.id]


def test_the_command_line_and_the_app_heed_it_too(tmp_path, capsys, monkeypatch):
    store = str(tmp_path / "study.db")
    study = vtune.tune(
        vtune.Function(run), SPACE, constraint="size <= 0.5", trials=32, store=store, name="light", **quiet
    )
    allowed = study.frame().query("size <= 0.5")
    assert study.frame()["score"].min() < study.best.score == allowed["score"].min()
    with open_reader(store) as reader:
        progress = reader.progress(1)
    assert (progress["best_trial"], progress["best_score"]) == (study.best.id, study.best.score)
    shown = ""
    for arguments in (["ls", store], ["show", "light", store]):
        monkeypatch.setattr(sys, "argv", ["vtune", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        shown += capsys.readouterr().out
    listed, facts = shown.split("constraint")[0], shown.split("constraint")[1]
    assert short(study.best.score) in listed
    assert "of what keeps to size <= 0.5" in facts
    assert f"Trial {study.best.id} as Python" in facts


def test_proposals_turn_to_what_is_allowed(done):
    away = np.abs(done.frame()["size"].to_numpy() - 0.5)
    assert np.median(away[-32:]) < np.median(away[:16]) / 2
    assert done.best.score < -0.85


def test_optuna_hears_of_it(done):
    trial = done.to_optuna().trials[done.best.id]
    assert trial.system_attrs["constraints"] == [pytest.approx(trial.user_attrs["size"] / 0.5 - 1)]
    assert vtune.narrow(done, 0.1).names == SPACE.names


def test_a_proposer_that_does_not_heed_constraints_hears_of_no_score():
    told = []

    class Deaf(vtune.proposers.Random):
        learns = True

        def tell(self, configs, scores):
            told.extend(zip(configs, scores, strict=True))

    study = vtune.tune(vtune.Function(run), SPACE, constraint=["size <= 0.5"], proposer=Deaf(SPACE), trials=16, **quiet)
    frame = study.frame()
    assert sorted(np.isfinite([score for _, score in told])) == sorted(frame["size"] <= 0.5)


def test_a_study_in_which_nothing_is_allowed_says_so_and_what_is_nearest():
    study = vtune.tune(vtune.Function(run), SPACE, constraint="size <= -1", trials=16, **quiet)
    frame = study.frame()
    nearest = int(frame["size"].idxmin())
    expected = (
        f"no complete trial .* keeps to size <= -1; the nearest is trial {nearest} with size {frame['size'][nearest]:g}"
    )
    with pytest.raises(ResultError, match=expected):
        study.best
    assert study.front().empty


def test_a_metric_that_is_not_measured_is_refused_and_so_is_another_constraint_on_resume(tmp_path):
    with pytest.raises(ArgumentError, match=r"constraint='latency <= 3' needs 'latency', .* measures loss, size"):
        vtune.tune(vtune.Function(run), SPACE, constraint="latency <= 3", trials=4, **quiet)
    where = {"store": tmp_path / "s.db", "name": "s", "trials": 4, **quiet}
    vtune.tune(vtune.Function(run), SPACE, constraint="size <= 1", **where).close()
    with pytest.raises(StoreError, match="its constraint was"):
        vtune.tune(vtune.Function(run), SPACE, constraint="size <= 2", resume=True, **where)
    assert [str(each) for each in vtune.load(tmp_path / "s.db", "s").constraints] == ["size <= 1"]
