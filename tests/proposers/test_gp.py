import json
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import active, halved, spaces

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers import GP, Random
from vtune.proposers.standing import front
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(1e-5, 1.0, log=True),
    depth=Int(1, 6),
    optimizer=Choice("sgd", "momentum", "adam"),
    momentum=Float(0.0, 1.0, when={"optimizer": "momentum"}),
)


def error(config):
    """Best, at 0, with momentum 0.9, lr 1e-2 and depth 4."""
    best = {"sgd": -1.0, "momentum": -2.0, "adam": -3.0}[config["optimizer"]]
    loss = (math.log10(config["lr"]) - best) ** 2 / 4 + 0.1 * (config["depth"] - 4) ** 2
    return loss + (2 * (config["momentum"] - 0.9) ** 2 if "momentum" in config else 0.3)


def play(proposer, rounds, batch, score=error):
    configs, scores = [], []
    for _ in range(rounds):
        asked = proposer.ask(batch)
        told = [score(config) for config in asked]
        proposer.tell(asked, told)
        configs += asked
        scores += told
    return configs, np.array(scores)


def ids(configs):
    return [repr(sorted(config.items())) for config in configs]


@pytest.fixture(scope="module")
def taught():
    """A state after 48 trials."""
    proposer = GP(SPACE, seed=1)
    play(proposer, 3, 16)
    return json.dumps(proposer.state())


def again(taught, **arguments):
    proposer = GP(SPACE, seed=1, **arguments)
    proposer.restore(json.loads(taught))
    return proposer


def test_it_finds_the_optimum_that_random_search_does_not():
    for seed in range(2):
        _, found = play(GP(SPACE, seed), 5, 16)
        _, drawn = play(Random(SPACE, seed), 5, 16)
        assert found.min() < 0.01
        assert np.median(found[32:]) < 0.2 * np.median(drawn)


@pytest.mark.parametrize("acquisition", ["logei", "thompson"])
def test_every_acquisition_closes_in_on_the_best(acquisition):
    _, found = play(GP(SPACE, 0, acquisition=acquisition), 4, 16)
    assert found[32:].min() < 0.05
    assert np.median(found[32:]) < np.median(found[:16])


@settings(max_examples=8, deadline=None)
@given(spaces(most=3, count=6), st.booleans(), st.integers(0, 99), st.integers(1, 40))
def test_every_proposal_lies_in_the_space_and_is_new(space, constrained, seed, n):
    space = halved(space) if constrained else space
    proposer = GP(space, seed)
    told, _ = play(proposer, 1, 20, lambda config: len(repr(config)))
    configs = proposer.ask(n)
    for config in configs:
        assert space.validate(config) == config
        assert set(config) == active(space, space.fill([config])[0])
    assert len(set(ids(told + configs))) == len(told + configs)
    assert len(configs) == n or space.size is not None or constrained
    assert len(proposer.origins()) == len(configs)


def test_a_finite_space_is_proposed_whole_and_then_no_more():
    space = Space(a=Int(1, 6), b=Choice("x", "y", "z"))
    proposer = GP(space, seed=0)
    configs, _ = play(proposer, 3, 7, lambda config: config["a"])
    assert sorted(ids(configs)) == sorted(set(ids(configs)))
    assert len(configs) == space.size
    assert proposer.ask(4) == []


def test_pending_configs_are_not_proposed_again(taught):
    first = again(taught).ask(8)
    assert not set(ids(first)) & set(ids(again(taught).ask(8, pending=first)))


def test_proposals_depend_on_seed_history_and_number_alone(taught):
    one, two = again(taught), again(taught)
    assert two.promise() is not None
    assert one.ask(5) == two.ask(5)
    assert one.ask(3) == two.ask(3)
    other = GP(SPACE, seed=2)
    other.restore({**json.loads(taught), "seed": 2})
    assert other.ask(5) != again(taught).ask(5)


@pytest.mark.parametrize("score", [1.0, math.nan])
def test_scores_without_a_difference_leave_it_searching(score):
    configs, _ = play(GP(SPACE, 0), 3, 12, lambda config: score)
    assert len(set(ids(configs))) == 36


def test_diverged_trials_count_as_the_worst():
    def half(config):
        return math.nan if config["lr"] > 1e-3 else error(config)

    _, scores = play(GP(SPACE, 0), 4, 16, half)
    assert np.isnan(scores[:16]).sum() >= 4
    assert np.isnan(scores[32:]).mean() < np.isnan(scores[:16]).mean()
    assert np.nanmin(scores) < np.nanmin(scores[:16])


def test_one_absurd_score_does_not_blind_it():
    proposer = GP(SPACE, seed=0)
    proposer.tell([{"lr": 1.0, "depth": 1, "optimizer": "sgd"}], [1e30])
    _, scores = play(proposer, 4, 16)
    assert scores.min() < 0.02


def test_noise_is_told_from_signal():
    rng = np.random.default_rng(0)
    proposer = GP(SPACE, seed=0)
    configs, _ = play(proposer, 5, 16, lambda config: error(config) + 0.2 * rng.standard_normal())
    late = [error(config) for config in configs[48:]]
    assert np.median(late) < 0.3
    assert np.median([origin["deviation"] for origin in proposer.origins()]) < 0.5


def test_trials_that_were_stopped_early_count_where_they_stood():
    configs = GP(SPACE, seed=3).ask(48)
    scores = np.array([error(config) for config in configs])
    order = np.argsort(scores)
    whole, early = order[::3], order[np.arange(48) % 3 > 0]
    proposer = GP(SPACE, seed=0)
    proposer.tell(configs, scores + 10, steps=[10] * 48)
    proposer.tell([configs[i] for i in whole], scores[whole], steps=[100] * len(whole))
    alone = GP(SPACE, seed=0)
    alone.tell([configs[i] for i in whole], scores[whole])
    known, guessed = ([error(config) for config in each.ask(16)] for each in (proposer, alone))
    assert np.median(known) < np.median(guessed) + 0.1
    assert all(origin["mean"] < 5 for origin in proposer.origins())
    assert len(early) == 32


def test_several_objectives_push_the_front_forward():
    space = Space(x=Float(0, 1), y=Float(0, 1), kind=Choice("a", "b"))

    def both(config):
        away = config["y"] + 0.2 * (config["kind"] == "b")
        return [config["x"] ** 2 + away, (config["x"] - 1) ** 2 + away]

    proposer = GP(space, seed=0)
    scores = []
    for _ in range(3):
        configs = proposer.ask(16)
        told = [both(config) for config in configs]
        proposer.tell(configs, told)
        scores += told
    late = np.array(scores)[32:]
    ends = late[front(np.array(scores))[32:]]
    assert len(ends) >= 8
    assert ends[:, 0].min() < 0.15
    assert ends[:, 1].min() < 0.15
    assert np.median(np.array([config["y"] for config in configs])) < 0.05
    assert len(proposer.origins()[0]["mean"]) == 2
    assert proposer.promise() is None


def test_it_says_where_a_proposal_came_from(taught):
    proposer = again(taught)
    told = np.array([error(config) for config in proposer.space.from_unit(np.nan_to_num(proposer._history.unit))])
    configs = proposer.ask(6)
    assert json.loads(json.dumps(proposer.origins())) == proposer.origins()
    for config, origin in zip(configs, proposer.origins(), strict=True):
        assert origin["model"] == "gp"
        assert abs(origin["mean"] - error(config)) < 5 * origin["deviation"] + 0.3
        assert origin["gain"] >= 0
        assert all(told[parent] <= np.quantile(told, 0.5) for parent in origin["parents"])
    early = GP(SPACE, seed=0)
    early.ask(3)
    assert early.origins() == [{"model": "prior"}] * 3


def test_what_more_trials_promise_shrinks():
    proposer = GP(SPACE, seed=0)
    assert proposer.promise() is None
    play(proposer, 1, 16)
    gain, deviation = proposer.promise()
    before = proposer.state()
    assert gain > 0
    assert deviation > 0
    play(proposer, 3, 16)
    assert proposer.promise()[0] < 0.5 * gain
    assert before != proposer.state()


def test_a_batch_beyond_what_is_chosen_at_once(taught):
    configs = again(taught).ask(300)
    assert len(set(ids(configs))) == 300


def test_a_history_beyond_what_the_model_is_conditioned_on(monkeypatch):
    monkeypatch.setattr("vtune.proposers.gaussian.learned.ROWS", 64)
    proposer = GP(SPACE, seed=0)
    play(Told(proposer, SPACE), 1, 200)
    _, scores = play(proposer, 2, 16)
    assert scores.min() < 0.02


class Told:
    """Random configs whose scores go to another proposer."""

    def __init__(self, proposer, space):
        self.ask, self.tell = Random(space, 9).ask, proposer.tell


def test_settings_of_jax_stay_as_they_are(taught):
    again(taught).ask(2)
    assert not jax.config.jax_enable_x64
    assert jnp.zeros(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"acquisition": "ucb"}, "acquisition must be one of 'both', 'logei', 'thompson'; got 'ucb'"),
        ({"start": -1}, "start must be a whole number >= 0; got -1"),
        ({"seed": 0.5}, "seed must be a whole number >= 0; got 0.5"),
    ],
)
def test_misuse_is_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        GP(SPACE, **arguments)


def test_the_state_of_another_acquisition_is_refused(taught):
    with pytest.raises(ProposerError, match="a state must come from a proposer with acquisition='logei'"):
        GP(SPACE, seed=1, acquisition="logei").restore(json.loads(taught))


def test_naming_it_brings_jax_and_nothing_else_does():
    code = (
        "import sys, vtune.proposers as p; from vtune.space import Space, Int; assert 'jax' not in sys.modules; "
        "p.make('sobol', Space(a=Int(1, 9))).ask(4); assert 'jax' not in sys.modules; p.GP; assert 'jax' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
