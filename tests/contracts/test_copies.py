"""What a copy may change: what the state means stays, and hyperparameters that live in the state are rewritten."""

from __future__ import annotations

import functools

import jax
import numpy as np
import optax
import pytest
from contracts.small import OPTIONS, X, Y

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
