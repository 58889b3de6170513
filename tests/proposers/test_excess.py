"""Constraints on results: what keeps to them ranks first, and every proposer that heeds them finds it."""

import json

import numpy as np
import pytest

from vtune.errors import ArgumentError
from vtune.proposers import CMAES, GP, TPE
from vtune.proposers.history import History
from vtune.proposers.standing import standing
from vtune.space import Choice, Float, Int, Space

DISC = Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0), kind=Choice("a", "b"))
LINE = Space(a=Int(0, 9))


def score(config):
    return -config["x"] - config["y"]


def over(config):
    """The best of the allowed lie on a circle around the middle."""
    return config["x"] ** 2 + config["y"] ** 2 - 0.25 + (config["kind"] == "b")


def told(proposer, rounds, batch):
    best, allowed = [], []
    for _ in range(rounds):
        configs = proposer.ask(batch)
        proposer.tell(configs, [score(config) for config in configs], None, [over(config) for config in configs])
        allowed = [over(config) <= 0 for config in configs]
        best += [score(config) for config, kept in zip(configs, allowed, strict=True) if kept]
    return min(best, default=np.inf), np.mean(allowed)


def test_what_keeps_to_the_allowed_stands_before_what_exceeds_it_by_how_much():
    history = History(LINE)
    configs = [{"a": a} for a in range(6)]
    history.tell(configs, [0.1, 0.2, 0.3, 0.4, np.nan, 0.0], None, [0.5, 0.1, 0.0, -3.0, np.nan, np.nan])
    assert [int(history.unit[row, 0] * 10) for row in standing(history)] == [5, 2, 3, 1, 0, 4]
    assert history.allowed.tolist() == [False, False, True, True, True, True]


def test_trials_that_were_stopped_stand_by_what_is_allowed_first_too():
    history = History(LINE)
    history.tell([{"a": 1}, {"a": 2}, {"a": 3}], [0.1, 0.2, 0.3], [10, 10, 30], [1.0, -1.0, -1.0])
    assert [int(history.unit[row, 0] * 10) for row in standing(history)] == [3, 2, 1]


def test_a_state_keeps_it_and_one_without_it_can_be_read():
    history, other = History(LINE), History(LINE)
    history.tell([{"a": 1}, {"a": 2}], [0.1, 0.2], None, [1.0, np.nan])
    other.restore(json.loads(json.dumps(history.state())))
    np.testing.assert_array_equal(other.excess, [1.0, np.nan])
    plain = {key: value for key, value in history.state().items() if key != "excess"}
    other.restore(plain)
    assert np.isnan(other.excess).all()
    assert other.scores[:, 0].tolist() == [0.1, 0.2]


@pytest.mark.parametrize(("kind", "rounds"), [(TPE, 12), (CMAES, 12), pytest.param(GP, 6, marks=pytest.mark.slow)])
def test_search_ends_on_the_edge_of_the_allowed(kind, rounds):
    found = [told(kind(DISC, seed=seed), rounds, 12) for seed in range(2)]
    assert np.median([best for best, _ in found]) < -0.57
    assert np.median([share for _, share in found]) > 0.3


@pytest.mark.slow
def test_the_process_says_how_likely_a_proposal_is_allowed():
    gp = GP(DISC, seed=0)
    told(gp, 4, 12)
    gp.ask(8)
    chances = [origin["allowed"] for origin in gp.origins() if origin["model"] == "gp"]
    assert chances
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    assert gp.promise()[0] >= 0.0


def test_what_is_no_excess_is_refused():
    history = History(LINE)
    with pytest.raises(ArgumentError, match="excess must be one number for each of the 1 configs"):
        history.tell([{"a": 1}], [0.1], None, [1.0, 2.0])
    with pytest.raises(ArgumentError, match="excess must be numbers"):
        history.tell([{"a": 1}], [0.1], None, ["much"])
