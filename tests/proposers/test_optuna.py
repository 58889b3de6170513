"""Samplers of Optuna as proposers: conditions, batches, scores of all kinds, going on exactly, in studies."""

import json

import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from optuna.trial import TrialState
from spaces import spaces

import vtune
from vtune.errors import ArgumentError
from vtune.exchange.optuna_space import distribution, params, taken
from vtune.proposers import Optuna, Random
from vtune.space import Choice, Float, Int, Space

BOWL = Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0))
MIXED = Space(
    lr=Float(1e-4, 1e-1, log=True),
    kind=Choice("sgd", ("a", 1), None),
    momentum=Float(0.5, 0.9, step=0.1, when={"kind": "sgd"}),
    width=Int(8, 64, step=8),
    depth=Int(1, 9, log=True, step=2),
)


def bowl(config):
    return config["x"] ** 2 + config["y"] ** 2


def mixed(config):
    return abs(np.log10(config["lr"]) + 2) + config["width"] / 64 + config.get("momentum", 1.0)


def played(proposer, rounds=6, batch=5, score=mixed):
    for _ in range(rounds):
        configs = proposer.ask(batch)
        proposer.tell(configs, [score(config) for config in configs])
    return proposer


@given(space=spaces(most=4, count=40))
@settings(max_examples=50, deadline=None)
def test_every_config_can_be_said_in_the_words_of_optuna(space):
    for config in space.sample(5, np.random.default_rng(0)):
        said = params(space, config)
        trial = optuna.trial.create_trial(
            value=0.0, params=said, distributions={name: distribution(space[name]) for name in said}
        )
        assert space.validate({name: taken(space[name], value) for name, value in trial.params.items()}) == config


@pytest.mark.parametrize(
    "sampler",
    [optuna.samplers.TPESampler(seed=0), optuna.samplers.CmaEsSampler(seed=0), optuna.samplers.NSGAIISampler(seed=0)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_seeded_sampler_goes_on_exactly(sampler):
    first = played(Optuna(sampler, MIXED))
    waiting = first.ask(4)
    second = Optuna(sampler, MIXED)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for proposer in (first, second):
        proposer.tell(waiting[::-1], [mixed(config) for config in waiting[::-1]])
    assert first.ask(6) == second.ask(6)
    assert {origin["model"] for origin in first.origins()} <= {type(sampler).__name__, "prior"}


def test_a_sampler_without_a_seed_goes_on_from_what_was_told():
    first = played(Optuna(optuna.samplers.TPESampler(), BOWL), score=bowl)
    waiting = first.ask(3)
    second = Optuna(optuna.samplers.TPESampler(), BOWL)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    second.tell(waiting, [bowl(config) for config in waiting])
    assert len(second.ask(5)) == 5


def test_its_model_learns():
    found = [min(map(bowl, played(Optuna(BOWL, seed=seed), 12, 8, bowl).ask(8))) for seed in range(3)]
    at_random = [min(map(bowl, Random(BOWL, seed).ask(104)[-8:])) for seed in range(3)]
    assert np.median(found) < np.median(at_random) / 3


def test_the_sampler_sees_conditions_states_and_steps_as_optuna_has_them():
    seen = []

    class Watching(optuna.samplers.RandomSampler):
        def after_trial(self, study, trial, state, values):
            seen.append((state, values, dict(trial.params), dict(trial.intermediate_values)))

    proposer = Optuna(Watching(seed=0), MIXED)
    one, two, three = proposer.ask(3)
    proposer.tell([one], [2.0], [100])
    proposer.tell([two, three], [1.0, float("nan")], [30, 60])
    assert [(state, values) for state, values, *_ in seen] == [
        (TrialState.COMPLETE, [2.0]),
        (TrialState.PRUNED, [1.0]),
        (TrialState.COMPLETE, [2.0]),
    ]
    assert seen[1][3] == {30: 1.0}
    for config, (_, _, given_to_optuna, _) in zip((one, two, three), seen, strict=True):
        assert given_to_optuna.keys() == config.keys()


def test_several_objectives_and_a_warm_start():
    tried = BOWL.sample(40, np.random.default_rng(0))
    proposer = Optuna(optuna.samplers.NSGAIISampler(seed=0), BOWL)
    proposer.tell(tried, [[bowl(config), -config["x"]] for config in tried])
    configs = proposer.ask(8)
    proposer.tell(configs, [[bowl(config), -config["x"]] for config in configs])
    assert len(proposer.ask(3)) == 3


def test_a_study_takes_a_sampler_without_a_space():
    task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x) + jnp.square(hp.y)})
    sampler = optuna.samplers.TPESampler(seed=0)
    study = vtune.tune(task, BOWL, proposer=Optuna(sampler), trials=24, lanes=8, progress="off")
    assert study.frame()["origin"].eq("optuna").all()
    with pytest.raises(ArgumentError, match=r"Optuna\(sampler, space\)"):
        Optuna(sampler).ask(1)
