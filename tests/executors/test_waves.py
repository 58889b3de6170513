"""Trials of a proposer that learns come in waves: few enough side by side that most are proposed with scores known."""

from __future__ import annotations

from types import SimpleNamespace

import jax.numpy as jnp
import pytest

import vtune
from vtune.driver.waves import WAVES
from vtune.engine import probe
from vtune.engine.buckets import Buckets
from vtune.engine.strategy import Strategy
from vtune.executors.prepared import Wanted
from vtune.proposers import Random
from vtune.space import Choice, Float, Space

SPACE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))
FOUR = Space(x=Float(0.0, 1.0), kind=Choice("a", "b", "c", "d"))


def bowl(hp, key):
    return {"loss": jnp.square(hp.x - 0.3) + jnp.square(hp.y - 0.6)}


def by_kind(hp, key):
    return {"loss": jnp.square(hp.x) + "abcd".index(hp.kind)}


class Listener(Random):
    """Random search that notes how many of its proposals had no score yet when it was asked for more."""

    learns = True

    def __init__(self, space):
        super().__init__(space)
        self.asked, self.told, self.unknown = 0, 0, []

    def ask(self, n, pending=()):
        found = super().ask(n, pending)
        self.unknown.append((self.asked - self.told, len(found)))
        self.asked += len(found)
        return found

    def tell(self, configs, scores):
        self.told += len(configs)


class Walk:
    data, name = None, "walk"

    def init(self, hp, data, key):
        return jnp.float32(0)

    def step(self, hp, state, data, key):
        return state + hp.x, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state - 3.0)}


class Heedless(Listener):
    learns = False


def tune(task=bowl, space=SPACE, trials=128, **options):
    return vtune.tune(vtune.Function(task), space, trials=trials, **{"progress": "off", "threads": 2, **options})


def models(study):
    return [event.detail["model"] for event in study._reader.events(study.record.id) if event.kind == "proposed"]


def test_most_trials_are_proposed_by_a_model_that_knows_scores():
    study = tune(proposer="tpe")
    assert models(study).count("tpe") >= 128 * (WAVES - 1) / WAVES
    assert study.explain().lanes == 128 / WAVES
    assert "16 of 128 trials at a time, so that most are proposed with scores known" in repr(study.explain())


def test_a_wave_that_ends_at_once_is_told_before_the_next_is_asked_for():
    proposer = Listener(SPACE)
    study = tune(proposer=proposer)
    tried_for_the_first_program, *waves = proposer.unknown
    assert tried_for_the_first_program == (0, 1)
    assert waves == [(1, 16)] * WAVES
    assert len(study.frame()) == 128


def test_nothing_changes_for_a_proposer_that_does_not_learn():
    explained = tune(proposer=Heedless(SPACE)).explain()
    assert explained.lanes == 128
    assert "at a time" not in repr(explained)


@pytest.mark.parametrize(("given", "lanes"), [({"lanes": 64}, 64), ({"lanes": 96, "block": 32}, 96)])
def test_lanes_that_were_given_are_taken_and_a_word_is_said_where_they_leave_little_to_learn(given, lanes):
    explained = tune(proposer="tpe", **given).explain()
    assert explained.lanes == lanes
    word = "96 of 128 trials are proposed before a score of this study is known"
    assert (word in repr(explained)) == (lanes == 96)
    assert "before a score" not in repr(tune(proposer="random", **given).explain())


def test_a_population_is_not_divided():
    population = vtune.schedulers.PBT(interval=2)
    arguments = {"steps": 6, "eval_every": 2, "scheduler": population, "progress": "off", "threads": 2}
    assert vtune.tune(Walk(), SPACE, trials=64, proposer="tpe", **arguments).explain().lanes == 64


def test_a_plan_has_the_lanes_of_the_study():
    task = vtune.Function(bowl)
    planned = vtune.plan(task, SPACE, trials=128, proposer="tpe", threads=2)
    assert planned.lanes == tune(proposer="tpe").explain().lanes
    assert vtune.plan(task, SPACE, trials=128, threads=2).lanes == 128
    hasty = vtune.plan(task, SPACE, trials=128, proposer="tpe", lanes=128)
    assert "128 of 128 trials are proposed before a score of this study is known" in repr(hasty)


def test_each_of_several_programs_has_lanes_of_its_own():
    study = tune(by_kind, FOUR, proposer="tpe")
    explained = study.explain()
    assert (explained.lanes, explained.block, len(explained.programs)) == (16, 4, 4)
    assert len(study.frame()) == 128


@pytest.mark.parametrize("given", [{"block": 96}, {"strategy": Strategy(96)}, {"trials": 3}])
def test_blocks_that_leave_little_to_learn_are_told_too(given):
    explained = tune(proposer="tpe", **given).explain()
    assert "trials are proposed before a score of this study is known" in repr(explained)
    assert "at a time" not in repr(explained)


PARKING = {
    "successive-halving": "successive-halving", "hyperband": "hyperband",
    "promoting": vtune.schedulers.ASHA(min_steps=2, variant="promoting"), "pbt": vtune.schedulers.PBT(2, population=8),
}  # fmt: skip


@pytest.mark.parametrize("scheduler", PARKING)
def test_where_trials_wait_for_one_another_only_those_who_hear_of_them_have_few(scheduler):
    arguments = {"steps": 27, "eval_every": 9, "scheduler": PARKING[scheduler], "trials": 64, "progress": "off"}
    lanes = {
        proposer: vtune.tune(Walk(), SPACE, proposer=made, threads=2, **arguments).explain().lanes
        for proposer, made in (("tpe", "tpe"), ("deaf", Listener(SPACE)), ("random", "random"))
    }
    assert lanes["tpe"] == 8
    assert lanes["deaf"] == lanes["random"] > 8


@pytest.mark.parametrize(
    ("block", "blocks", "devices", "abreast", "programs", "replicas", "expected"),
    [
        (256, 4, 1, 128, 1, 1, (32, 4)), (256, 4, 1, 128, 16, 1, (8, 16)), (256, 4, 1, 128, 1000, 1, (2, 64)),
        (32, 2, 1, 32, 4, 1, (8, 4)), (4, 2, 1, 2, 1, 1, (2, 1)), (16, 16, 1, 16, 1, 1, (2, 8)),
        (6, 4, 1, 8, 1, 3, (6, 4)), (5, 2, 1, 2, 1, 5, (5, 2)), (1, 2, 1, 32, 1, 1, (1, 2)),
        (1024, 1, 8, 128, 1, 1, (128, 1)), (1024, 1, 8, 128, 4, 1, (32, 4)), (32, 1, 8, 2, 1, 1, (8, 1)),
        (16, 1, 1, 128, 16, 1, (2, 8)), (8, 2, 1, 128, 1, 1, (8, 2)),
    ],
)  # fmt: skip
def test_lanes_that_would_pay_are_narrowed(block, blocks, devices, abreast, programs, replicas, expected):
    paying = Strategy(block, devices=devices)
    strategy, count = probe.narrowed(paying, blocks, abreast, replicas=replicas, programs=programs)
    assert (strategy.block, count) == expected
    assert count * strategy.block < block * blocks + strategy.block


@pytest.mark.parametrize(
    ("wanted", "most"),
    [({"abreast": 128}, 48), ({"abreast": 4}, 2), ({"lanes": 16, "abreast": 128}, 2), ({}, None)],
)
def test_workers_that_join_bring_lanes_until_the_share_is_reached(wanted, most):
    pytest.importorskip("ray")
    from vtune.executors.ray.executor import most_blocks
    from vtune.executors.ray.worker import Choice

    job = SimpleNamespace(wanted=Wanted(**wanted), folds=1, seeds=3)
    assert most_blocks(job, Choice(Strategy(8, "map"), 2, Buckets())) == most


def test_a_width_that_was_given_stays():
    strategy, count = probe.narrowed(Strategy(8), 4, 16, programs=8, any_width=False)
    assert (strategy.block, count) == (8, 2)
