"""Studies whose proposer learns: from stopped trials, along fronts, until the space is exhausted, and what is left."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune.driver.told import told
from vtune.errors import ArgumentError, ResultError
from vtune.proposers import TPE, Random
from vtune.proposers.history import History
from vtune.proposers.standing import standing
from vtune.space import Choice, Float, Int, Space

quiet = {"progress": "off", "lanes": 8}
LINE = Space(x=Float(0.0, 1.0), batch=Choice(1, 2, 4))


class Line:
    """Trials that need fewer steps the larger their batches are; the loss falls with the share of them."""

    data = None
    name = "line"

    def init(self, hp, data, key):
        return jnp.float32(0)

    def step(self, hp, state, data, key):
        return state + hp.batch, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.abs(hp.x - 0.5) + 36.0 - state}

    def cost(self, hp):
        return hp.batch


class Watched(TPE):
    """Remembers what it is told."""

    def __init__(self, space, seed=0):
        super().__init__(space, seed)
        self.heard = []

    def tell(self, configs, scores, steps=None, excess=None):
        self.heard += zip(configs, np.asarray(scores).tolist(), np.asarray(steps).tolist(), strict=True)
        super().tell(configs, scores, steps, excess)


@pytest.fixture(scope="module")
def stopped():
    proposer = Watched(LINE)
    scheduler = vtune.schedulers.ASHA(min_steps=4, reduction=3)
    arguments = {"examples": 36, "eval_every": 9, "scheduler": scheduler, "trials": 48, "proposer": proposer}
    return vtune.tune(Line(), LINE, **arguments, **quiet), proposer


def test_the_proposer_hears_of_every_trial_with_its_steps_on_one_clock(stopped):
    study, proposer = stopped
    frame = study.frame()
    full = study.record.steps
    assert len(frame) == 48
    assert set(frame["state"]) == {"complete", "stopped"}
    done = {json.dumps(config): (score, steps) for config, score, steps in proposer.heard}
    lengths = 36 / frame["batch"]
    for trial, length in zip(study.trials(), lengths, strict=True):
        score, steps = done[json.dumps(trial.config)]
        assert score == trial.score
        assert steps in (4, 12, full)
        assert steps == pytest.approx(trial.step / length * full, abs=full / length)
        assert (steps == full) == (trial.state == "complete")


def test_the_proposer_hears_of_trials_that_go_on_at_every_rung_that_they_pass(stopped):
    study, proposer = stopped
    marks, full = (4, 12), study.record.steps
    heard = {}
    for config, _, steps in proposer.heard:
        heard.setdefault(json.dumps(config), []).append(steps)
    for trial, batch in zip(study.trials(), study.frame()["batch"], strict=True):
        share = 1.0 if trial.state == "complete" else trial.step * batch / 36
        passed = [mark for mark in marks if mark <= share * full]
        assert heard[json.dumps(trial.config)] == passed + [full] * (trial.state == "complete")


class Ends(Random):
    """Hears of ends alone, and of their steps."""

    learns = True

    def __init__(self, space, seed=0):
        super().__init__(space, seed)
        self.heard = []

    def tell(self, configs, scores, steps=None):
        self.heard += zip(map(json.dumps, configs), np.asarray(steps).tolist(), strict=True)


@pytest.mark.parametrize("scheduler", [vtune.schedulers.ASHA(min_steps=4), vtune.schedulers.Patience(patience=1)])
def test_a_proposer_that_does_not_follow_hears_of_each_trial_once_and_of_whole_ones_as_such(scheduler):
    proposer = Ends(LINE)
    arguments = {"examples": 36, "eval_every": 9, "scheduler": scheduler, "trials": 12, "proposer": proposer}
    study = vtune.tune(Line(), LINE, **arguments, **quiet)
    heard = dict(proposer.heard)
    assert len(proposer.heard) == len(heard) == 12
    for trial in study.trials():
        assert (heard[json.dumps(trial.config)] == study.record.steps) == (trial.state == "complete")


def test_a_study_tells_of_its_trials_what_its_proposer_heard():
    proposer = Watched(Space(x=Float(0.0, 1.0)))
    task = Line()
    space, arguments = proposer.space, {"steps": 36, "eval_every": 9, "trials": 24, "proposer": proposer}
    task.step = lambda hp, state, data, key: (state + 1, {})
    study = vtune.tune(task, space, scheduler=vtune.schedulers.ASHA(min_steps=4), **arguments, **quiet)
    known = told(study)
    mine = sorted(zip(map(json.dumps, known.configs), known.scores[:, 0].tolist(), known.steps.tolist(), strict=True))
    assert mine == sorted((json.dumps(config), score, steps) for config, score, steps in proposer.heard)
    assert known.trials == 24 < len(known.configs)
    assert len(known.ranked(space)) == 24


def test_stopped_trials_stand_at_their_rung_in_what_the_model_learns(stopped):
    _, proposer = stopped
    history = History(LINE)
    history.restore(proposer.state()["history"])
    order = standing(history)
    away = np.abs(history.unit[order, 0] - 0.5)
    assert len(order) == 48
    assert away[:8].mean() < away[-24:].mean() / 2


def test_each_proposal_stores_where_it_came_from(stopped):
    study, _ = stopped
    events = [event.detail for event in study._reader.events(study.record.id) if event.kind == "proposed"]
    assert sorted(event["trial"] for event in events) == list(range(48))
    assert {event["model"] for event in events} == {"prior", "tpe"}
    assert all({"gain", "parents"} <= event.keys() for event in events if event["model"] == "tpe")


def test_an_exhausted_space_ends_the_study_without_repeats_and_says_so():
    space = Space(a=Int(0, 3), b=Choice("x", "y"), c=Int(0, 2, when={"b": "y"}))
    task = vtune.Function(lambda hp, key: {"loss": hp.a * 1.0})
    study = vtune.tune(task, space, proposer="tpe", trials=64, **quiet)
    configs = [json.dumps(dict(trial.config), sort_keys=True) for trial in study.trials()]
    assert len(configs) == len(set(configs)) == space.size == 16
    assert study.state == "complete"
    assert "tpe had no more configurations after 16 of 64 trials" in repr(study.explain())


ZDT = Space(**{name: Float(0.0, 1.0) for name in "abcd"})


def zdt1(config):
    """Zitzler, Deb and Thiele (2000): the front is f2 = 1 - sqrt(f1), where all but the first variable are 0."""
    first, *rest = (config[name] for name in "abcd")
    g = 1 + 9 * np.mean(rest)
    return first, g * (1 - np.sqrt(first / g))


def volume(proposer, batches, batch=16):
    found = []
    for _ in range(batches):
        configs = proposer.ask(batch)
        values = [zdt1(config) for config in configs]
        proposer.tell(configs, values)
        found += values
    return vtune.analysis.hypervolume(found, ("min", "min"), (1.1, 1.1))


def test_fronts_of_a_known_problem_are_found_far_sooner_than_at_random():
    """The whole front dominates 0.21 + 2/3 up to (1.1, 1.1)."""
    ours, at_random = (np.median([volume(kind(ZDT, seed), 16) for seed in range(3)]) for kind in (TPE, Random))
    assert at_random < 0.25
    assert ours > 0.6


def test_a_study_of_several_metrics_has_a_front_and_its_volume():
    def run(hp, key):
        g = 1 + 3 * (hp.b + hp.c + hp.d)
        return {"loss": hp.a, "size": g * (1 - jnp.sqrt(hp.a / g))}

    arguments = {"metric": ["loss", "size"], "mode": "min", "proposer": "tpe", "trials": 96, **quiet}
    study = vtune.tune(vtune.Function(run), ZDT, **arguments)
    front = study.front()
    values, mine = study.frame()[["loss", "size"]].to_numpy(), front[["loss", "size"]].to_numpy()
    for row in values:
        beaten = ((mine <= row).all(axis=1) & (mine < row).any(axis=1)).any()
        assert beaten != (row == mine).all(axis=1).any()
    assert study.hypervolume([1.1, 1.1]) > 0.2
    assert study.hypervolume([9.0, 9.0]) > study.hypervolume()
    with pytest.raises(ArgumentError, match="needs a study of one metric"):
        study.room_left()


@pytest.mark.slow
def test_what_is_left_shrinks_as_a_study_goes_on():
    def run(hp, key):
        return {"return": -jnp.square(hp.x - 0.3) - jnp.square(hp.y - 0.6)}

    space, rooms = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)), []
    for trials in (16, 96):
        study = vtune.tune(vtune.Function(run), space, metric="return", trials=trials, **quiet)
        rooms.append(study.room_left())
        assert rooms[-1].best == study.best.score
        assert rooms[-1].gain >= 0.0
        assert rooms[-1].best + rooms[-1].gain - 3 * rooms[-1].deviation < 0.02
    assert rooms[1].gain < rooms[0].gain
    assert rooms[1].trials == 96


def test_room_left_needs_trials():
    task = vtune.Function(lambda hp, key: {"loss": hp.x})
    study = vtune.tune(task, Space(x=Float(0.0, 1.0)), trials=3, **quiet)
    with pytest.raises(ResultError, match="the model needs 8 trials with a score"):
        study.room_left()
