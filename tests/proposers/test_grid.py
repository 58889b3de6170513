import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import active, finite, halved, spaces

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers import Grid
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(1e-4, 1e-2, log=True),
    optimizer=Choice("momentum", "adam"),
    momentum=Float(0.5, 0.9, when={"optimizer": "momentum"}),
    depth=Int(1, 3),
)


def test_a_plain_grid_runs_as_a_product_does():
    space = Space(lr=Float(1e-4, 1e-2, log=True), act=Choice("relu", "gelu"), depth=Int(1, 3))
    expected = [
        {"lr": lr, "act": act, "depth": depth}
        for lr, act, depth in itertools.product([1e-4, 1e-3, 1e-2], ["relu", "gelu"], [1, 2, 3])
    ]
    grid = Grid(space, points=3)
    assert len(grid) == 18
    assert list(grid) == expected
    assert grid.ask(100) == expected
    assert grid.ask(1) == []


def test_conditions_make_no_duplicates():
    grid = Grid(SPACE, points={"lr": 2, "momentum": 4})
    configs = grid.ask(10**9)
    assert len(grid) == len(configs) == 2 * (4 + 1) * 3
    assert len({repr(sorted(config.items())) for config in configs}) == len(configs)
    assert sum(config["optimizer"] == "adam" for config in configs) == 6


@settings(max_examples=60, deadline=None)
@given(spaces(most=4, count=4, continuous=False), st.booleans(), st.booleans())
def test_a_grid_holds_every_config_of_a_finite_space_once(space, constrained, shuffle):
    space = halved(space) if constrained else space
    free = Space(**dict(space))
    rows = itertools.product(*[finite(space[name]) for name in space])
    wholes = [dict(zip(space, row, strict=True)) for row in rows]
    configs = [free.validate({n: whole[n] for n in space if n in active(space, whole)}) for whole in wholes]
    expected = {repr(config) for config in configs if space.satisfies([config]).all()}
    found = [repr(config) for config in Grid(space, shuffle=shuffle).ask(10**6)]
    assert len(found) == len(expected)
    assert set(found) == expected


@given(st.lists(st.integers(0, 12), max_size=6), st.booleans(), st.integers(0, 5))
def test_indexing_and_any_batches_agree(sizes, shuffle, seed):
    grid = Grid(SPACE, points=2, shuffle=shuffle, seed=seed)
    asked = [config for size in sizes for config in grid.ask(size)]
    assert asked == [grid[i] for i in range(min(sum(sizes), len(grid)))]
    assert grid[-1] == grid[len(grid) - 1]


def test_a_shuffle_is_another_order_of_the_same():
    plain, one, two = Grid(SPACE), Grid(SPACE, shuffle=True, seed=1), Grid(SPACE, shuffle=True, seed=2)
    orders = [list(plain), list(one), list(two)]
    assert orders[0] != orders[1] != orders[2]
    assert len({tuple(sorted(map(repr, order))) for order in orders}) == 1


def test_constraints_leave_combinations_out():
    space = Space(a=Int(1, 30), b=Int(1, 30), constraints=lambda config: config["a"] * config["b"] == 12)
    grid = Grid(space)
    assert [(c["a"], c["b"]) for c in grid] == [(1, 12), (2, 6), (3, 4), (4, 3), (6, 2), (12, 1)]
    assert len(grid) == 6
    with pytest.raises(ProposerError, match=r"none of the 4 combinations of the grid satisfies .*'<lambda>'"):
        Grid(space, points={"a": [1, 2], "b": [1, 2]}).ask(1)


def test_points_may_be_counts_or_values_of_any_hyperparameter():
    def values(parameter, **points):
        return [config["p"] for config in Grid(Space(p=parameter), **points)]

    assert values(Float(0, 1)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert values(Float(0, 1), points=2) == [0.0, 1.0]
    assert values(Float(0, 1), points=1) == [0.5]
    assert values(Float(2, 2)) == [2.0]
    assert values(Float(0, 1, step=0.1), points=2) == [round(0.1 * k, 1) for k in range(11)]
    assert values(Float(0, 1, step=0.1), points={"p": 3}) == [0.0, 0.5, 1.0]
    assert values(Int(1, 2**40, log=True), points={"p": 2}) == [1, 2**40]
    assert values(Int(1, 4), points={"p": 99}) == [1, 2, 3, 4]
    assert values(Int(1, 1000), points={"p": [8, 3, 8, 500]}) == [8, 3, 500]
    assert values(Float(0, 1), points={"p": np.array([0.1, 0.3])}) == [0.1, 0.3]
    assert values(Choice("a", "b", "c"), points={"p": ["c"]}) == ["c"]


def test_a_grid_of_many_combinations_is_indexed_without_being_built():
    space = Space(**{f"p{i}": Int(0, 9) for i in range(9)})
    grid = Grid(space)
    assert len(grid) == 10**9
    assert list(grid[123_456_789].values()) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({"momentun": 3}, r"points may name 'lr', 'optimizer', .*; got \['momentun'\]"),
        (0, "points of 'lr' must be from 1"),
        ({"lr": -1}, "points of 'lr' must be a whole number >= 0; got -1"),
        (2.5, "points must be a whole number >= 0; got 2.5"),
        ({"lr": "many"}, "points of 'lr' must be a whole number >= 0; got 'many'"),
        ({"lr": [1e-3, 1.0]}, "points of 'lr' must be a number from 0.0001 to 0.01; got 1.0"),
        ({"lr": []}, "points of 'lr' must be at least one value"),
        ({"lr": 10**6, "momentum": 10**6}, r"up to 2\*\*31 combinations; this one has 3,000,003,000,000"),
    ],
)
def test_points_that_cannot_be_are_refused(points, message):
    with pytest.raises(ArgumentError, match=message):
        Grid(SPACE, points=points)


def test_other_misuse_is_refused():
    with pytest.raises(ArgumentError, match="shuffle must be True or False; got 1"):
        Grid(SPACE, shuffle=1)
    with pytest.raises(ArgumentError, match=r"points of 'n' must be from 1 to 2\*\*31; got 1099511627777"):
        Grid(Space(n=Int(0, 2**40)))
    with pytest.raises(IndexError, match="a grid of 12 has no config 12"):
        Grid(Space(a=Int(1, 3), b=Int(1, 4)))[12]
