"""Branches of conditional spaces: which there are, and that no search that learns neglects one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import spaces

from vtune import proposers
from vtune.proposers.branches import ENOUGH, SHARE, Branches
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    kind=Choice("plain", "deep"),
    a=Float(0.0, 1.0, when={"kind": "plain"}),
    b=Float(0.0, 1.0, when={"kind": "deep"}),
    c=Float(0.0, 1.0, when={"kind": "deep"}),
)


def encoded(space, n, seed=0):
    return space.snap(np.random.default_rng(seed).random((n, space.dim)))


@given(spaces(), st.integers(0, 2**31))
def test_rows_are_of_one_branch_if_the_same_hyperparameters_are_active(space, seed):
    branches, rows = Branches(space), encoded(space, 64, seed)
    found = branches.of(rows)
    active = [tuple(row) for row in ~np.isnan(rows)]
    known = [(place, kind) for place, kind in zip(found.tolist(), active, strict=True) if place >= 0]
    assert len(set(known)) == len({place for place, _ in known}) == len({kind for _, kind in known})
    assert ((found >= -1) & (found < len(branches))).all()


@given(spaces(), st.integers(0, 200), st.integers(0, 100))
def test_picks_are_owed_only_to_what_has_less_than_its_share(space, told, n):
    branches = Branches(space)
    tried = branches.of(encoded(space, told))
    owed = branches.owed(tried, n)
    assert owed.shape == (n,)
    for branch in np.unique(owed[owed >= 0]):
        assert (tried == branch).sum() + (owed == branch).sum() <= SHARE * (told + n)


def test_nothing_is_owed_in_a_space_without_conditions():
    branches = Branches(Space(a=Float(0.0, 1.0), b=Choice("x", "y")))
    assert len(branches) == 1
    assert branches.owed(np.empty(0, dtype=np.int64), 8).tolist() == [-1] * 8


def test_nothing_is_owed_to_a_branch_that_constraints_forbid():
    free = Space(kind=Choice("a", "b", "c"), x=Float(0.0, 1.0, when={"kind": "a"}), y=Int(0, 3, when={"kind": "b"}))
    bound = Space(constraints=lambda config: config["kind"] != "b", **dict(free))
    tried = free.to_unit([{"kind": "a", "x": 0.5}] * 100)
    assert len(np.unique(Branches(free).owed(Branches(free).of(tried), 16))) == 3
    owed = Branches(bound).owed(Branches(bound).of(tried), 16)
    assert set(owed.tolist()) == {-1, *Branches(bound).of(free.to_unit([{"kind": "c"}])).tolist()}


def test_a_branch_is_owed_no_more_than_it_can_hold():
    space = Space(kind=Choice("none", "a", "b"), x=Float(0.0, 1.0, when={"kind": "a"}), y=Int(0, 3, when={"kind": "b"}))
    branches = Branches(space)
    none, a, *b = branches.of(
        space.to_unit([{"kind": "none"}, {"kind": "a", "x": 0.5}, *({"kind": "b", "y": y} for y in range(4))])
    ).tolist()
    kinds, numbers = 3, 4
    assert branches.owed(np.array([none] * 90 + kinds * b), 8).tolist() == [a] * 4 + [-1] * 4
    assert branches.owed(np.array([a] * 90), 80).tolist().count(none) == kinds
    assert branches.owed(np.array([a] * 90), 80).tolist().count(b[0]) == kinds * numbers


def test_in_small_batches_neglected_branches_take_turns():
    space = Space(kind=Choice(*"abc"), **{name: Float(0.0, 1.0, when={"kind": name}) for name in "abc"})
    branches = Branches(space)
    known, *others = branches.of(space.to_unit([{"kind": name, name: 0.5} for name in "abc"])).tolist()
    tried = [known] * 300
    for _ in range(24):
        owed = branches.owed(np.array(tried), 1).tolist()
        tried += [known if owed == [-1] else owed[0]]
    assert all(3 <= tried.count(other) <= 9 for other in others)


def test_rare_branches_are_owed_nothing():
    flags = {f"on{i}": Choice(False, True) for i in range(12)}
    values = {f"x{i}": Float(0.0, 1.0, when={f"on{i}": True}) for i in range(12)}
    space = Space(**flags, **values)
    branches, rows = Branches(space), encoded(space, 4000)
    assert (branches.owed(branches.of(rows), 16) == -1).all()


def test_a_space_without_conditions_asks_its_constraints_nothing():
    def broken(config):
        raise AssertionError

    branches = Branches(Space(a=Float(0.0, 1.0), constraints=broken))
    assert branches.owed(branches.of(np.array([[0.5]])), 2).tolist() == [-1, -1]


@pytest.mark.parametrize("name", ["gp", "tpe"])
def test_free_picks_go_where_they_would_go_without_rare_branches(name):
    """A rare branch is no branch of its own: what is free must not be drawn to it."""
    flags = {f"on{i}": Choice(False, True) for i in range(10)}
    space = Space(**flags, **{f"x{i}": Float(0.0, 1.0, when={f"on{i}": True}) for i in range(10)})
    proposer, drawn = proposers.make(name, space, 0), space.sample(64, np.random.default_rng(0))

    def error(config):
        return sum(config.get(f"x{i}", 0.3) for i in range(10))

    proposer.tell(drawn, [error(config) for config in drawn])
    best = sorted(map(error, drawn))[16]
    assert np.mean([error(config) for config in proposer.ask(16)]) < best


def test_neglected_branches_leave_the_others_their_candidates():
    """On a discrete space: what a branch drew and did not take may be picked afterwards."""
    cells = {f"{kind}{i}": Int(0, 19, when={"kind": kind}) for kind in "abc" for i in range(2)}
    space = Space(kind=Choice(*"abc"), **cells)
    proposer = proposers.make("tpe", space, 0)
    drawn = [config for config in space.sample(300, np.random.default_rng(0)) if config["kind"] == "a"]

    def error(config):
        return config["a0"] + config["a1"] if config["kind"] == "a" else 100

    told = [config for config in drawn if error(config) > 5]
    proposer.tell(told, list(map(error, told)))
    picked = proposer.ask(16)
    free = [config for config, origin in zip(picked, proposer.origins(), strict=True) if "neglected" not in origin]
    assert len(free) == 8
    assert sum(error(config) < 12 for config in free) >= 6


def test_a_branch_with_enough_trials_may_be_given_up():
    branches = Branches(SPACE)
    plain, deep = branches.of(SPACE.to_unit([{"kind": "plain", "a": 0.5}, {"kind": "deep", "b": 0.5, "c": 0.5}]))
    few, many = np.full(1000, plain), np.append(np.full(1000, plain), np.full(3 * ENOUGH, deep))
    assert branches.owed(few, 4).tolist() == [deep, deep, -1, -1]
    assert branches.owed(many, 4).tolist() == [-1] * 4


def test_neglected_branches_share_half_of_the_picks():
    space = Space(kind=Choice(*"abcd"), **{name: Float(0.0, 1.0, when={"kind": name}) for name in "abcd"})
    branches = Branches(space)
    known, *others = branches.of(space.to_unit([{"kind": name, name: 0.5} for name in "abcd"])).tolist()
    owed = branches.owed(np.full(200, known), 16).tolist()
    assert owed[8:] == [-1] * 8
    assert [owed[:8].count(other) for other in sorted(others)] == [3, 3, 2]
    tried = np.full(200, known)
    for _ in range(20):
        tried = np.append(tried, branches.owed(tried, 1))
    assert (tried[200:] == -1).sum() == 10


@pytest.mark.parametrize("name", ["gp", "tpe"])
def test_a_search_goes_back_to_a_branch_that_was_bad(name):
    proposer = proposers.make(name, SPACE, 0)
    for _ in range(8):
        configs = proposer.ask(16)
        proposer.tell(configs, [config.get("a", 5.0 + config.get("b", 0.0)) for config in configs])
    last = proposer.ask(16)
    told = [config for config in [*configs, *last] if config["kind"] == "deep"]
    assert len(told) >= 32 * SHARE / 2 - 2
    assert np.mean([config["b"] for config in told]) < 0.4, "and searches it, rather than drawing there at random"
