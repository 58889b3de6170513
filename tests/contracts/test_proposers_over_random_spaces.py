"""Every proposer over random spaces, with scores of every kind, in any batches, and taken through JSON on the way."""

import inspect
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spaces import active, halved, spaces

from vtune import proposers
from vtune.space import Choice, Float, Int, Space

SCORES = {
    "all equal": lambda rng, n: np.ones(n),
    "all NaN": lambda rng, n: np.full(n, np.nan),
    "all infinite": lambda rng, n: np.full(n, np.inf),
    "plain": lambda rng, n: rng.normal(size=n),
    "some NaN": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    "huge and tiny": lambda rng, n: rng.choice([1e300, -1e300, 1e-300, 0.0], n),
    "two objectives": lambda rng, n: rng.normal(size=(n, 2)),
    "two objectives, some NaN": lambda rng, n: np.where(rng.random((n, 2)) < 0.2, np.nan, rng.normal(size=(n, 2))),
}
REPEATING = {"random", "sobol"}
"""Proposers of independent draws and of a fixed sequence: configs of discrete spaces come again."""
COMPILING = {"bayes", "gp"}

games = st.fixed_dictionaries({
    "space": spaces(most=5, count=12),
    "constrained": st.booleans(),
    "sizes": st.lists(st.integers(0, 16), min_size=1, max_size=4),
    "scores": st.sampled_from(sorted(SCORES)),
    "stopped": st.booleans(),
    "exceeding": st.booleans(),
    "seed": st.integers(0, 2**20),
})  # fmt: skip


def row(space, config):
    return repr(space.to_unit([config]).tolist())


def holds_more(space, known):
    """Whether draws from a space, whose ranges may be a few bits wide or never active, find what is not known."""
    return any(row(space, config) not in known for config in space.sample(500, np.random.default_rng(0)))


def play(name, game):
    """Asks and tells in some order, with trials under way, and checks all that is proposed."""
    space = halved(game["space"]) if game["constrained"] else game["space"]
    rng = np.random.default_rng(game["seed"])
    proposer = proposers.make(name, space, game["seed"])
    takes = inspect.signature(proposer.tell).parameters
    waiting, known = [], set()
    for size in game["sizes"]:
        configs = proposer.ask(size, waiting)
        assert len(configs) <= size
        for config in configs:
            assert space.validate(config) == config
            assert set(config) == active(space, space.fill([config])[0])
        assert space.satisfies(configs).all()
        names = [row(space, config) for config in configs]
        if name not in REPEATING:
            assert len(set(names)) == len(names)
            assert not known & set(names)
        known |= set(names)
        exhausted = len(configs) < size
        assert not exhausted or space.size is not None or name == "grid" or not holds_more(space, known)
        if hasattr(proposer, "origins"):
            origins = proposer.origins()
            assert len(origins) == len(configs)
            assert all("model" in json.loads(json.dumps(origin, allow_nan=False)) for origin in origins)
        waiting += configs
        rng.shuffle(waiting)
        now, waiting = waiting[: len(waiting) // 2], waiting[len(waiting) // 2 :]
        more = {}
        if game["stopped"] and "steps" in takes:
            more["steps"] = rng.choice([1, 3, 9], len(now))
        if game["exceeding"] and "excess" in takes:
            more["excess"] = rng.choice([-1.0, 0.0, 0.5, np.nan], len(now))
        proposer.tell(now, SCORES[game["scores"]](rng, len(now)), **more)
    again = proposers.make(name, space, game["seed"])
    again.restore(json.loads(json.dumps(proposer.state(), allow_nan=False)))
    assert again.state() == proposer.state()
    assert again.ask(5, waiting) == proposer.ask(5, waiting)


@pytest.mark.parametrize("name", [name for name in proposers.names() if name not in COMPILING])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(game=games)
def test_all_that_is_proposed_is_right_and_goes_on_exactly(name, game):
    play(name, game)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", proposers.names())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(game=games)
def test_all_that_is_proposed_is_right_and_goes_on_exactly_in_many_spaces(name, game):
    play(name, game)


@pytest.mark.parametrize("name", proposers.names())
@pytest.mark.parametrize("scores", ["all equal", "all NaN", "plain"])
def test_one_trial_is_enough_to_go_on_from(name, scores):
    space = Space(x=Int(1, 1000, log=True), c=Choice("a", "b"), y=Float(0.0, 1.0, step=0.1, when={"c": "a"}))
    proposer = proposers.make(name, space, 0)
    configs = proposer.ask(1)
    proposer.tell(configs, SCORES[scores](np.random.default_rng(0), 1))
    assert len(proposer.ask(3)) == 3
