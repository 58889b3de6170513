"""Trials of a proposer that learns come in waves: few enough side by side that most are proposed with scores known."""

from __future__ import annotations

import jax.numpy as jnp
import pytest

import vtune
from vtune.engine import probe
from vtune.executors.prepared import WAVES
from vtune.proposers import Random
from vtune.space import Choice, Float, Space

SPACE = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0))
FOUR = Space(x=Float(0.0, 1.0), kind=Choice("a", "b", "c", "d"))
OPEN = {"lanes": "auto", "block": "auto", "strategy": "auto"}


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

    class Walk:
        data, name = None, "walk"

        def init(self, hp, data, key):
            return jnp.float32(0)

        def step(self, hp, state, data, key):
            return state + hp.x, {}

        def evaluate(self, hp, state, data, key):
            return {"loss": jnp.square(state - 3.0)}

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


@pytest.mark.parametrize(
    ("trials", "abreast", "programs", "replicas", "block", "blocks"),
    [
        (1024, None, 1, 1, 256, 4), (1024, 128, 1, 1, 32, 4), (1024, 128, 16, 1, 8, 16), (1024, 128, 1000, 1, 4, 32),
        (16, 2, 1, 1, 4, 1), (64, 8, 1, 3, 6, 4), (1024, 128, 4, 1, 32, 4), (10, 2, 1, 5, 5, 2),
    ],
)  # fmt: skip
def test_lanes_are_divided_among_threads_and_programs(trials, abreast, programs, replicas, block, blocks):
    strategy, count = probe.choose(
        bytes_per_lane=1000, trials=trials, threads=4, replicas=replicas, abreast=abreast, programs=programs, **OPEN
    )
    assert (strategy.block, count) == (block, blocks)
    if abreast:
        assert count * strategy.block <= abreast * replicas + 2 * strategy.block


def test_lanes_divided_among_devices_are_bounded_too():
    strategy, count = probe.choose(bytes_per_lane=1000, trials=1024, threads=1, devices=8, abreast=128, **OPEN)
    assert (strategy.block, strategy.devices, count) == (128, 8, 1)
