"""Studies that go to Optuna and come from there, and what earlier ones teach."""

import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import vtune
from vtune.errors import ArgumentError, StoreError
from vtune.exchange.warm import experience
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(1e-4, 1.0, log=True),
    kind=Choice("a", (1, 2), None),
    momentum=Float(0.0, 1.0, when={"kind": "a"}),
    width=Int(1, 8, log=True),
)
LOSS = [("loss", "min")]
quiet = {"progress": "off", "lanes": 8}


class Bowl:
    data = None
    name = "bowl"

    def init(self, hp, data, key):
        return jnp.float32(0)

    def step(self, hp, state, data, key):
        return state + hp.lr, {}

    def evaluate(self, hp, state, data, key):
        loss = jnp.abs(jnp.log10(hp.lr) + 2) + 1 / (1 + state)
        return {"loss": jnp.where(hp.lr > 0.5, jnp.nan, loss), "size": hp.width * 1.0}


@pytest.fixture(scope="module")
def done():
    scheduler = vtune.schedulers.ASHA(min_steps=1, reduction=3)
    return vtune.tune(Bowl(), SPACE, steps=9, eval_every=1, scheduler=scheduler, trials=64, name="done", **quiet)


@pytest.fixture(scope="module")
def exported(done, tmp_path_factory):
    file = tmp_path_factory.mktemp("optuna") / "optuna.db"
    done.to_optuna(f"sqlite:///{file}")
    return file


def test_an_exported_study_says_the_same_when_optuna_opens_it(done, exported):
    there = optuna.load_study(study_name="done", storage=f"sqlite:///{exported}")
    frame = done.frame()
    assert there.metric_names == ["loss"]
    assert there.best_value == done.best.score
    assert there.best_trial.user_attrs["vtune:trial"] == done.best.id
    states = {"complete": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "diverged": TrialState.FAIL}
    assert [trial.state for trial in there.trials] == [states[state] for state in frame["state"]]
    assert {"complete", "stopped", "diverged"} == set(frame["state"])
    curves = done.curves().groupby("trial")
    for trial in there.trials:
        config = dict(done.trial(trial.number).config)
        kind = config["kind"]
        assert trial.params == {**config, "kind": "[1, 2]" if kind == (1, 2) else kind}
        assert trial.distributions.keys() == trial.params.keys()
        if trial.state != TrialState.FAIL:
            curve = curves.get_group(trial.number)
            assert trial.intermediate_values == dict(zip(curve["step"], curve["loss"], strict=True))
            assert trial.user_attrs["size"] == config["width"]
        assert trial.datetime_complete >= trial.datetime_start
    assert there.trials[0].distributions["lr"] == optuna.distributions.FloatDistribution(1e-4, 1.0, log=True)


def test_what_went_to_optuna_comes_back(done, exported):
    there = optuna.load_study(study_name="done", storage=f"sqlite:///{exported}")
    (back,) = experience(SPACE, LOSS, [there])
    complete = done.trials(["complete"])
    assert back.configs == [SPACE.validate(trial.config) for trial in complete]
    assert back.scores[:, 0].tolist() == [trial.score for trial in complete]
    assert sum(back.left_out.values()) == 64 - len(complete)


def test_a_name_that_is_taken_is_refused_and_another_one_fits(done, exported):
    with pytest.raises(StoreError, match="has a study 'done' already: give another name"):
        done.to_optuna(str(exported))
    assert done.to_optuna(optuna.storages.InMemoryStorage(), name="again").study_name == "again"


def test_several_objectives_go_to_optuna_with_their_front():
    metric = {"metric": ["loss", "size"], "mode": ["min", "max"]}
    study = vtune.tune(Bowl(), SPACE, steps=2, trials=24, **metric, **quiet)
    there = study.to_optuna()
    assert [direction.name for direction in there.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert sorted(trial.user_attrs["vtune:trial"] for trial in there.best_trials) == study.front()["id"].tolist()


def test_whole_trials_that_lie_in_another_space_are_taken_and_the_rest_counted(done):
    space = Space(lr=Float(1e-3, 1e-1, log=True), kind=Choice("a", None), extra=Float(0.0, 1.0, default=0.25))
    (found,) = experience(space, LOSS, [done])
    whole = done.trials(["complete", "diverged"])
    inside = [t for t in whole if 1e-3 <= t.config["lr"] <= 1e-1 and t.config["kind"] in ("a", None)]
    assert [config["lr"] for config in found.configs] == [trial.config["lr"] for trial in inside]
    assert all(config["extra"] == 0.25 for config in found.configs)
    assert found.left_out["outside the space"] == len(whole) - len(inside)
    assert found.defaults == ("extra",)
    assert found.unknown == ("momentum", "width")
    assert f"learned from {len(inside)} trials of study 'done'" in str(found)


def test_a_narrower_space_learns_from_what_it_was_made_of(done):
    smaller = vtune.narrow(done, 0.3)
    (found,) = experience(smaller, LOSS, [done])
    assert len(found.configs) >= 3
    assert found.defaults == found.unknown == ()


def test_diverged_trials_teach_that_they_did(done):
    (found,) = experience(SPACE, LOSS, [done])
    assert np.isnan(found.scores).sum() == len(done.trials(["diverged"]))
    (size,) = experience(SPACE, [("size", "max")], [done])
    assert (size.scores[np.isfinite(size.scores)] < 0).all()


def test_a_study_begins_where_earlier_ones_ended_and_says_so(done, tmp_path):
    arguments = dict(
        steps=9, trials=8, proposer="tpe", warm_start=[done], store=tmp_path / "s.db", name="warm", **quiet
    )
    warm = vtune.tune(Bowl(), SPACE, **arguments)
    cold = vtune.tune(Bowl(), SPACE, steps=9, trials=8, proposer="tpe", **quiet)
    assert warm.frame()["score"].median() < cold.frame()["score"].median()
    assert "trials of study 'done', not from" in repr(warm.explain())
    before = {repr(sorted(trial.config.items())) for trial in done.trials(["complete", "diverged"])}
    assert not before & {repr(sorted(trial.config.items())) for trial in warm.trials()}
    warm.close()
    again = vtune.tune(Bowl(), SPACE, **arguments, resume=True)
    assert again.frame()["lr"].tolist() == warm_lrs(tmp_path)


def warm_lrs(folder):
    return vtune.load(folder / "s.db", "warm").frame()["lr"].tolist()


def test_what_cannot_teach_is_refused(done):
    bowl = vtune.Function(lambda hp, key: {"loss": hp.lr})
    with pytest.raises(ArgumentError, match="'random' learns nothing from scores: give proposer='bayes'"):
        vtune.Study(bowl, SPACE, warm_start=[done], **quiet)
    with pytest.raises(ArgumentError, match="must have measured accuracy; 'done' measured loss, size"):
        vtune.Study(bowl, SPACE, metric="accuracy", proposer="tpe", warm_start=[done], **quiet)
    with pytest.raises(ArgumentError, match="studies of vtune or of Optuna; got 3"):
        experience(SPACE, LOSS, [3])
    with pytest.raises(ArgumentError, match="must be a list of studies"):
        experience(SPACE, LOSS, done)
    with pytest.raises(ArgumentError, match="must have had max accuracy; 'done' had min loss"):
        experience(SPACE, [("accuracy", "max")], [done.to_optuna()])
