"""What a copy may change: what the state means stays, and hyperparameters that live in the state are rewritten."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contracts.small import OPTIONS, SEED, X, Y, curves, legs_of
from flax import linen as nn

import vtune
from vtune import nn as vnn
from vtune import optim as vopt
from vtune.errors import SchedulerError
from vtune.records import Decision
from vtune.schedulers import PBT, Verdict

PACKED = vtune.Space(
    lr=vtune.Float(1e-3, 1e-1, log=True),
    width=vtune.Int(4, 8),
    activation=vtune.Choice("relu", "tanh"),
    optimizer=vtune.Choice("adam", "adamax"),
)
RESTLESS = PBT(interval=2, quantile=0.4, resample=0.7)
SHORT = {**OPTIONS, "trials": 10, "steps": 8, "eval_every": 2, "pack": True}


@pytest.fixture(autouse=True)
def _highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


def supervised(model, optimizer):
    return vtune.Supervised(
        model, optimizer, train=(X[20:], Y[20:]), valid=(X[:20], Y[:20]), batch_size=8, metrics="accuracy"
    )


def packed():
    """Adam and Adamax keep arrays of the same names and shapes, which mean different things."""
    return supervised(
        lambda hp: vnn.linen.MLP(features=hp.width, depth=1, out=3, activation=hp.activation),
        lambda hp: vopt.switch(hp.optimizer, {"adam": optax.adam(hp.lr), "adamax": optax.adamax(hp.lr)}),
    )


@functools.cache
def population():
    return vtune.tune(packed(), PACKED, scheduler=RESTLESS, **SHORT)


def copies(study):
    """(trial, source, config of the source then, config from then on) of each copy."""
    events = [event for event in study._reader.events(study.record.id) if event.kind == "copy"]
    configs = {trial.id: dict(trial.config) for trial in study._reader.trials(study.record.id)}
    for event in reversed(events):
        configs[event.detail["trial"]] = event.detail["before"]
    found = []
    for clock in dict.fromkeys(event.clock for event in events):
        then = dict(configs)
        for detail in [event.detail for event in events if event.clock == clock]:
            found.append((detail["trial"], detail["source"], then[detail["source"]], detail["config"]))
            configs[detail["trial"]] = detail["config"]
    return found


def test_a_copy_keeps_its_sources_network_and_optimizer_and_changes_the_rest():
    study, changes = population(), set()
    assert study.explain().compiles == 1
    assert study.explain().kinds == dict.fromkeys(PACKED.names, "packed") | {"lr": "traced"}
    assert len(copies(study)) >= 6
    for _, _, source, config in copies(study):
        changes |= {name for name in config if config[name] != source[name]}
    assert changes == {"lr", "activation"}


def test_copies_in_a_packed_program_are_the_plain_trainings_that_their_lineage_tells():
    study = population()
    assert study.verify(3).largest < 2e-4
    best = study.best
    kernel = study.best_params()["params"]["hidden_0"]["kernel"]
    assert kernel.shape == (5, best.config["width"])
    again = study.retrain(best.id)["params"]["hidden_0"]["kernel"]
    np.testing.assert_allclose(kernel, again, rtol=2e-3, atol=2e-5)


class Insisting:
    """Has trial 1 go on from trial 0 under a config of its own."""

    name = "insisting"

    def __init__(self, **changes):
        self.changes = changes

    def init(self):
        return {}

    def decide(self, state, report):
        action = np.zeros(len(report.trial), np.int8)
        if report.finished.any():
            return state, Verdict.of(action)
        action[report.trial == 1] = Decision.COPY
        source = np.where(action == Decision.COPY, 0, -1)
        return state, Verdict(action, source, configs={1: {**report.configs[0], **self.changes}})


@pytest.mark.parametrize("changes", [{"optimizer": "adamax"}, pytest.param({"width": 5}, marks=pytest.mark.slow)])
def test_a_copy_whose_state_would_mean_something_else_is_refused(changes):
    given = [{"lr": 0.01, "width": 8, "activation": "relu", "optimizer": "adam"}] * 2
    with pytest.raises(SchedulerError, match=r"trial 1 cannot go on from a copy of trial 0"):
        vtune.tune(packed(), PACKED, enqueue=given, scheduler=Insisting(**changes), **{**SHORT, "trials": 2})


RATE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True))
EITHER = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), optimizer=vtune.Choice("sgd", "adam"))


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


def linear(optimizer):
    return supervised(lambda hp: Linear(), optimizer)


def injected(transformation, lr):
    return optax.inject_hyperparams(transformation)(learning_rate=lr)


HELD = {
    "outside": (RATE, lambda hp: injected(optax.sgd, hp.lr)),
    "inside": (RATE, lambda hp: injected(optax.sgd, jnp.asarray(hp.lr))),
    "behind a switch": (EITHER, lambda hp: vopt.switch(hp.optimizer, {
        "sgd": injected(optax.sgd, jnp.asarray(hp.lr)), "adam": injected(optax.adam, jnp.asarray(hp.lr)),
    })),
}  # fmt: skip


@pytest.mark.parametrize(
    ("where", "lanes"),
    [
        ("inside", 12), ("behind a switch", 4), *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [("outside", 12), ("outside", 4), ("inside", 4), ("behind a switch", 12)]
        ),
    ],
)  # fmt: skip
def test_hyperparameters_that_live_in_the_state_are_those_of_the_copys_own_configuration(where, lanes):
    space, optimizer = HELD[where]
    study = vtune.tune(linear(optimizer), space, scheduler=RESTLESS, **{**SHORT, "lanes": lanes})
    held = [leaf for leaf in study._executor.planner.traced[0].leaves if leaf.resident]
    assert bool(held) == (where != "outside")
    changed = [trial for trial, _, source, config in copies(study) if source["lr"] != config["lr"]]
    assert changed
    x, y = study.task.data["valid"]
    for trial in changed[:2]:
        logits = Linear().apply({"params": trained(study, legs_of(study, trial, SHORT["steps"]))}, x)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        assert curves(study).loc[(trial, SHORT["steps"]), "loss"] == pytest.approx(float(loss), rel=1e-3)
    assert study.verify(2).largest < 2e-4


def trained(study, legs):
    """The params that plain Optax gives along the legs of a trial, its learning rate read anew in each."""
    key, params, opt, done = vtune.key(SEED, legs[0][1], "init"), None, None, 0
    x, y = study.task.data["train"]
    params = Linear().init(key, x[:1])["params"]
    for until, _, config in legs:
        tx = (optax.adam if config.get("optimizer") == "adam" else optax.sgd)(config["lr"])
        opt = tx.init(params) if opt is None else opt
        while done < until:
            rows = np.asarray(study.task.indices(key, done, 8))

            def loss(params, rows=rows):
                logits = Linear().apply({"params": params}, x[rows])
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[rows]).mean()

            updates, opt = tx.update(jax.grad(loss)(params), opt, params)
            params, done = optax.apply_updates(params, updates), done + 1
    return params
