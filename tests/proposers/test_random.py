import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import SpaceError
from vtune.proposers import Random
from vtune.space import Choice, Float, Int, Space

FREE = Space(**{f"x{i}": Float(0, 1) for i in range(5)})
BOUND = Space(
    a=Float(0, 1),
    b=Float(0, 1),
    c=Choice("x", "y"),
    d=Int(0, 9, when={"c": "y"}),
    constraints=lambda config: config["a"] + config["b"] < 0.3,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from([FREE, BOUND]), st.integers(0, 2**80))
def test_config_i_does_not_depend_on_the_batches(sizes, space, seed):
    whole, parts = Random(space, seed), Random(space, seed)
    assert whole.ask(sum(sizes)) == [config for size in sizes for config in parts.ask(size)]


def test_large_batches_agree_with_small_ones():
    one, two = Random(FREE), Random(FREE)
    assert one.ask(10_000) == [config for _ in range(40) for config in two.ask(250)]


def test_seeds_and_places_differ():
    drawn = [config["x0"] for seed in range(20) for config in Random(FREE, seed).ask(50)]
    assert len(set(drawn)) == 1000


def test_draws_are_even_and_independent():
    u = FREE.to_unit(Random(FREE, 1).ask(20_000))
    for column in u.T:
        counts = np.histogram(column, bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 50
    assert np.abs(np.corrcoef(np.hstack([u[1:], u[:-1]]).T) - np.eye(10)).max() < 0.03


def test_draws_under_a_constraint_are_even_where_it_holds():
    space = Space(a=Int(0, 9), b=Int(0, 9), constraints=lambda config: config["a"] > config["b"])
    counts = np.zeros((10, 10))
    for config in Random(space, 3).ask(4500):
        counts[config["a"], config["b"]] += 1
    inside = counts[np.tril_indices(10, -1)]
    assert inside.sum() == 4500
    assert ((inside - 100) ** 2 / 100).sum() < 90


def test_the_stream_stays_what_it_is():
    configs = Random(Space(lr=Float(0, 1), depth=Int(1, 100)), seed=42).ask(3)
    assert configs == [
        {"lr": 0.08607763073528474, "depth": 15},
        {"lr": 0.17016452673096505, "depth": 51},
        {"lr": 0.4788461649504574, "depth": 80},
    ]


def test_a_constraint_that_nothing_satisfies_is_named():
    space = Space(a=Float(0, 1), constraints=[never])
    with pytest.raises(SpaceError, match=r"none of 100,\d+ .*'never'"):
        Random(space).ask(3)


def never(config):
    return False
