"""What must hold for every proposer; each one that is registered is tested here by itself."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import active, halved, spaces

from vtune import proposers
from vtune.errors import ArgumentError, ProposerError
from vtune.space import Choice, Float, Int, Space

every_proposer = pytest.mark.parametrize("name", proposers.names())
small = spaces(most=4, count=5)
few = settings(max_examples=25, deadline=None)

SPACE = Space(
    lr=Float(1e-5, 1e-1, log=True),
    optimizer=Choice("momentum", "adam"),
    momentum=Float(0.5, 0.9, when={"optimizer": "momentum"}),
    depth=Int(1, 4),
    constraints=lambda config: config["depth"] < 4,
)


def play(proposer, sizes, score):
    """Asks for batches of the given sizes, tells the scores of each, and gives all that was proposed."""
    configs = []
    for size in sizes:
        batch = proposer.ask(size)
        assert len(batch) <= size
        proposer.tell(batch, [score(config) for config in batch])
        configs += batch
    return configs


def quality(config):
    return float(len(repr(sorted(config.items()))) % 7)


@every_proposer
@few
@given(space=small, constrained=st.booleans(), sizes=st.lists(st.integers(0, 9), max_size=4), seed=st.integers(0, 99))
def test_every_proposal_lies_in_the_space(name, space, constrained, sizes, seed):
    space = halved(space) if constrained else space
    for config in play(proposers.make(name, space, seed), sizes, quality):
        assert space.validate(config) == config
        assert set(config) == active(space, space.fill([config])[0])
        assert space.satisfies([config]).all()


@every_proposer
@few
@given(space=small, seed=st.integers(0, 99))
def test_the_same_seed_and_history_give_the_same_proposals(name, space, seed):
    one, two = (play(proposers.make(name, space, seed), [3, 5, 4], quality) for _ in range(2))
    assert one == two


@every_proposer
@few
@given(space=small, constrained=st.booleans(), before=st.integers(0, 9), seed=st.integers(0, 99))
def test_a_state_taken_through_json_goes_on_identically(name, space, constrained, before, seed):
    space = halved(space) if constrained else space
    first = proposers.make(name, space, seed)
    play(first, [before], quality)
    second = proposers.make(name, space, seed)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert second.state() == first.state()
    assert play(second, [4, 3], quality) == play(first, [4, 3], quality)


@every_proposer
def test_the_state_of_the_beginning_leads_back_to_it(name):
    proposer = proposers.make(name, SPACE, 0)
    beginning = proposer.state()
    configs = proposer.ask(5)
    proposer.restore(beginning)
    assert proposer.ask(5) == configs


@every_proposer
@pytest.mark.parametrize("score", [1.0, math.nan, math.inf])
def test_scores_that_say_nothing_are_no_obstacle(name, score):
    proposer = proposers.make(name, SPACE, 0)
    for _ in range(3):
        configs = proposer.ask(5)
        proposer.tell(configs, np.full(len(configs), score))
        assert SPACE.satisfies(configs).all()


@every_proposer
def test_one_trial_and_none(name):
    proposer = proposers.make(name, SPACE, 0)
    assert proposer.ask(0) == []
    proposer.tell([], [])
    configs = proposer.ask(1)
    assert len(configs) == 1
    proposer.tell(configs, [0.5])


@every_proposer
def test_tells_may_come_in_any_order_and_from_elsewhere(name):
    proposer = proposers.make(name, SPACE, 0)
    configs = proposer.ask(8)
    foreign = {"lr": 0.02, "optimizer": "adam", "depth": 2}
    proposer.tell([configs[5], foreign, configs[0]], [0.3, 0.2, math.nan])
    more = proposer.ask(4, pending=[configs[1], configs[2]])
    assert [SPACE.validate(config) for config in more] == more


@every_proposer
def test_asking_does_not_change_what_was_told(name):
    proposer = proposers.make(name, SPACE, 0)
    configs = proposer.ask(6)
    scores = np.arange(6.0)
    told = json.dumps(configs)
    proposer.tell(configs, scores)
    proposer.ask(6, pending=configs)
    assert json.dumps(configs) == told
    assert scores.tolist() == [0, 1, 2, 3, 4, 5]


@every_proposer
def test_what_was_proposed_may_be_changed_by_the_one_who_asked(name):
    one, two = proposers.make(name, SPACE, 0), proposers.make(name, SPACE, 0)
    for config in one.ask(4):
        config.clear()
    two.ask(4)
    assert one.ask(4) == two.ask(4)


@every_proposer
def test_it_is_a_proposer_under_its_own_name(name):
    proposer = proposers.make(name, SPACE, 0)
    assert isinstance(proposer, proposers.Proposer)
    assert proposer.name == name
    assert proposer.space is SPACE


@every_proposer
def test_misuse_is_refused(name):
    proposer = proposers.make(name, SPACE, 0)
    configs = proposer.ask(2)
    for n in (-1, 1.5, True, "3", None):
        with pytest.raises(ArgumentError, match="n must be a whole number >= 0; got"):
            proposer.ask(n)
    with pytest.raises(ArgumentError, match=r"one number for each of the 2 configs; got shape \[3\]"):
        proposer.tell(configs, [1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="one number for each of the 2 configs"):
        proposer.tell(configs, 1.0)
    with pytest.raises(ArgumentError, match="scores must be numbers"):
        proposer.tell(configs, ["good", "bad"])
    with pytest.raises(ArgumentError, match="seed must be a whole number >= 0; got -1"):
        proposers.make(name, SPACE, -1)
    with pytest.raises(ArgumentError, match=r"space must be a vtune.Space; got 3"):
        proposers.make(name, 3, 0)


@every_proposer
def test_the_state_of_another_is_refused(name):
    proposer = proposers.make(name, SPACE, 0)
    before = proposer.state()
    for state in ({}, {"position": 3}, None, proposers.make(name, SPACE, 1).state()):
        with pytest.raises(ProposerError, match=r"state .*; got"):
            proposer.restore(state)
    assert proposer.state() == before
