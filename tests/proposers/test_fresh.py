import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import halved, spaces

from vtune.errors import SpaceError
from vtune.proposers.fresh import Fresh
from vtune.proposers.history import History
from vtune.space import Choice, Float, Int, Space


def unique(configs):
    return len({repr(sorted(config.items())) for config in configs})


def start(space, told=(), pending=(), seed=0):
    history = History(space)
    history.tell(told, np.zeros(len(told)))
    return Fresh(history, history.encode(list(pending)), np.random.default_rng(seed))


@settings(max_examples=30, deadline=None)
@given(spaces(most=3, count=5, continuous=False), st.booleans(), st.integers(0, 99))
def test_a_finite_space_is_given_whole_and_once(space, constrained, seed):
    space = halved(space) if constrained else space
    known = space.sample(5, np.random.default_rng(seed))
    fresh = start(space, told=known[:3], pending=known[3:])
    found = space.from_unit(np.concatenate([fresh.rest(2), fresh.rest(4000)]))
    assert space.satisfies(found).all()
    assert unique(found) == len(found)
    assert not any(config in known for config in found)
    if not constrained and space.size <= 4000:
        assert len(found) == space.size - unique(known)


def test_large_finite_spaces_are_not_listed():
    space = Space(a=Int(0, 2**40), b=Choice(*range(9)))
    assert unique(space.from_unit(start(space).rest(5000))) == 5000


def test_a_range_of_few_floats_is_exhausted_too():
    space = Space(a=Float(1.0, 1.0 + 8e-16))
    found = space.from_unit(start(space).rest(1000))
    assert 1 < unique(found) == len(found) < 9


def test_a_constraint_that_nothing_satisfies_is_named():
    with pytest.raises(SpaceError, match=r"none of 1\d\d,\d+ .*'never'"):
        start(Space(a=Float(0, 1), constraints=[never])).rest(3)


def never(config):
    return False


def test_the_sieve_lets_each_row_through_once_for_one_choice():
    space = Space(a=Int(0, 9), constraints=lambda config: config["a"] < 8)
    fresh = start(space, told=[{"a": 1}], pending=[{"a": 2}])
    rows = space.to_unit([{"a": a} for a in (1, 2, 3, 3, 9, 4)])
    met = set()
    assert fresh.sieve(rows, met).tolist() == [False, False, True, False, False, True]
    assert not fresh.sieve(rows, met).any()
    assert fresh.sieve(rows).tolist() == [False, False, True, False, False, True], "another choice may take them"
    fresh.take(rows[2:3])
    left = space.from_unit(fresh.rest(100))
    assert sorted(config["a"] for config in left) == [0, 4, 5, 6, 7]
