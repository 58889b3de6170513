import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import active, finite, spaces

from vtune.errors import ArgumentError, ConfigError, SpaceError
from vtune.space import Choice, Float, Int, Space
from vtune.space.axes import Cells

SPACE = Space(
    momentum=Float(0.5, 0.9, when={"optimizer": ("momentum", "nesterov")}),
    lr=Float(1e-5, 1e-1, log=True),
    optimizer=Choice("adam", "momentum", "nesterov"),
    depth=Int(1, 4),
    width=Int(16, 64, step=16, when={"depth": (3, 4), "optimizer": "momentum"}),
    damping=Choice(0.0, 0.1, when={"width": 64}),
)


def drawn(space, n=20, seed=0):
    return space.sample(n, np.random.default_rng(seed))


@given(spaces(), st.integers(0, 2**32))
def test_samples_lie_in_the_space_with_exactly_the_active_names(space, seed):
    for config in drawn(space, seed=seed):
        assert set(config) == active(space, config)
        assert list(config) == [name for name in space if name in config]
        assert space.validate(config) == config


@given(spaces(), st.integers(0, 2**32))
def test_configs_survive_the_way_through_the_unit_cube(space, seed):
    configs = drawn(space, seed=seed)
    u = space.to_unit(configs)
    assert u.shape == (20, space.dim)
    for config, row, back in zip(configs, u, space.from_unit(u), strict=True):
        assert [name for name, v in zip(space, row, strict=True) if not np.isnan(v)] == list(config)
        for name, value in config.items():
            if name in space.continuous:
                scale = abs(value) if space[name].log else max(abs(space[name].low), abs(space[name].high))
                assert abs(back.pop(name) - value) <= 1e-12 * scale
            else:
                assert type(back[name]) is type(value)
                assert back.pop(name) == value
        assert not back


@given(spaces(), st.integers(0, 2**32))
def test_units_come_back_as_the_centres_of_the_cells_they_lie_in(space, seed):
    u = np.random.default_rng(seed).random((20, space.dim))
    centres = space.to_unit(space.from_unit(u))
    for j, name in enumerate(space.names):
        axis, on = space[name].axis, ~np.isnan(centres[:, j])
        if isinstance(axis, Cells) and not axis.log:
            np.testing.assert_allclose(centres[on, j], (np.floor(u[on, j] * axis.count) + 0.5) / axis.count, rtol=1e-12)
        elif isinstance(axis, Cells):
            again = space.to_unit(space.from_unit(np.where(np.isnan(centres), 0.5, centres)))
            same_cell = ~np.isnan(again[:, j]) & on
            np.testing.assert_array_equal(again[same_cell, j], centres[same_cell, j])
        elif axis.high - axis.low > 1e-6 * max(abs(axis.low), abs(axis.high)):
            np.testing.assert_allclose(centres[on, j], u[on, j], atol=1e-6)


@pytest.mark.parametrize("parameter", [Int(1, 4), Int(-7, 5, step=3), Float(0, 0.5, step=0.1), Choice("a", None, 3)])
def test_every_value_has_the_same_share_of_the_unit_interval(parameter):
    count = parameter.size
    u = (np.arange(count * 1000) + 0.5)[:, None] / (count * 1000)
    values = [config["p"] for config in Space(p=parameter).from_unit(u)]
    assert values == [value for value in dict.fromkeys(values) for _ in range(1000)]
    assert len(set(values)) == count


def test_log_ints_share_the_interval_by_the_log_of_half_a_step_around_them():
    u = (np.arange(100_000) + 0.5)[:, None] / 100_000
    values = [config["width"] for config in Space(width=Int(1, 20, log=True)).from_unit(u)]
    counts = np.bincount(values, minlength=21)[1:] / 100_000
    k = np.arange(1, 21)
    np.testing.assert_allclose(counts, np.log((k + 0.5) / (k - 0.5)) / np.log(20.5 / 0.5), atol=2e-5)


def test_log_floats_share_the_interval_evenly_by_decades_and_hit_both_ends():
    space = Space(lr=Float(1e-5, 1e-1, log=True))
    assert [c["lr"] for c in space.from_unit([[0.0], [0.25], [0.5], [0.75], [1.0]])] == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]


def test_steps_read_as_decimals():
    space = Space(p=Float(0.1, 1.0, step=0.1))
    values = [config["p"] for config in space.from_unit(np.linspace(0.05, 0.95, 10)[:, None])]
    assert values == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_high_off_the_grid_of_steps_is_never_reached():
    assert Space(p=Float(0.0, 1.0, step=0.3)).from_unit([[1.0]]) == [{"p": 0.9}]
    assert Space(p=Int(0, 10, step=4)).from_unit([[1.0]]) == [{"p": 8}]


def test_no_step_leads_above_high_by_rounding():
    high = -0.001 + 11 * 0.001
    assert high < 0.01
    space = Space(p=Float(-0.001, high, step=0.001))
    assert space.from_unit([[1.0]]) == [{"p": high}]
    assert space.validate({"p": high}) == {"p": high}


def test_a_large_int_finds_its_way_back():
    for log in (False, True):
        space = Space(seed=Int(1, 2**40, log=log))
        configs = [{"seed": v} for v in (1, 2, 3, 12345, 2**31 + 1, 2**40 - 1, 2**40)]
        assert space.from_unit(space.to_unit(configs)) == configs


@pytest.mark.parametrize(
    ("parameter", "default"),
    [
        (Float(1e-4, 1e-2, log=True), 1e-3),
        (Float(0.0, 0.5), 0.25),
        (Float(0.0, 1.0, step=0.3), 0.3),
        (Int(1, 5), 3),
        (Int(16, 256, log=True), 64),
        (Int(32, 128, step=32), 64),
        (Int(1, 1000, log=True, step=10), 31),
        (Choice("b", "a"), "b"),
        (Choice("b", None), "b"),
        (Choice("b", None, default=None), None),
        (Choice(1, 2, default=2), 2),
        (Float(0, 1, default=1), 1.0),
        (Int(3, 3), 3),
        (Float(2, 2), 2.0),
    ],
)
def test_defaults(parameter, default):
    assert parameter.default == default
    assert type(parameter.default) is type(default)


def test_one_value_is_allowed():
    space = Space(a=Float(0.3, 0.3), b=Int(2, 2), c=Choice("x"), d=Float(1e-3, 1e-3, log=True))
    assert drawn(space, 2) == [{"a": 0.3, "b": 2, "c": "x", "d": 1e-3}] * 2
    assert space.from_unit(space.to_unit(drawn(space, 1))) == drawn(space, 1)
    assert space.size == 1
    assert space.continuous == frozenset()


def test_fill_puts_defaults_in_the_place_of_what_is_not_active():
    config = {"lr": 0.01, "optimizer": "adam", "depth": 2}
    filled = SPACE.fill([config])[0]
    assert filled == {**config, "momentum": 0.7, "width": 32, "damping": 0.0}
    assert SPACE.fill([filled]) == [filled]
    assert config == {"lr": 0.01, "optimizer": "adam", "depth": 2}


def test_a_tuple_that_is_a_choice_is_one_value_of_a_condition():
    space = Space(a=Choice((1, 2), 1, 2), b=Int(0, 1, when={"a": (1, 2)}), c=Int(0, 1, when={"a": [1, 2]}))
    assert set(space.from_unit([[0.0, 0, 0]])[0]) == {"a", "b"}
    assert set(space.from_unit([[0.5, 0, 0]])[0]) == {"a", "c"}


@settings(max_examples=50)
@given(spaces(most=5, count=4, continuous=False))
def test_size_counts_what_enumeration_finds(space):
    found = set()
    for row in itertools.product(*[finite(space[name]) for name in space]):
        whole = dict(zip(space, row, strict=True))
        found.add(tuple((name, repr(whole[name])) for name in sorted(active(space, whole))))
    assert space.size == len(found)


def test_size_of_large_and_of_continuous_spaces():
    space = Space(n=Int(0, 2**40), m=Int(1, 3, when={"n": 5}), s=Choice("a", "b"))
    assert space.size == 2 * (2**40 + 3)
    assert SPACE.size is None
    assert SPACE.continuous == {"momentum", "lr"}


@given(spaces())
def test_a_space_survives_json(space):
    text = json.dumps(space.to_json(), allow_nan=False)
    loaded = Space.from_json(json.loads(text))
    assert loaded == space
    assert hash(loaded) == hash(space)
    assert json.dumps(loaded.to_json()) == text
    assert drawn(loaded) == drawn(space)


@given(spaces())
def test_repr_reads_like_the_call_that_made_it(space):
    assert eval(repr(space)) == space


def test_json_keeps_the_types_of_choices():
    values = ("1", 1, 0.5, None, (1, (2.0, "x")), "True")
    stored = json.loads(json.dumps(Space(p=Choice(*values)).to_json()))
    loaded = Space.from_json(stored)["p"].values
    assert loaded == values
    assert [type(v) for v in loaded] == [type(v) for v in values]


def test_equality_sees_order_types_and_conditions():
    a, b = Int(0, 1), Choice("x", "y")
    assert Space(a=a, b=b) == Space(a=Int(0, 1), b=Choice("x", "y"))
    assert Space(a=a, b=b) != Space(b=b, a=a)
    assert Space(a=Choice(0, 1)) != Space(a=Choice(False, True))
    assert Space(a=a, b=b) != Space(a=a, b=Choice("x", "y", when={"a": 1}))
    assert Space(a=a) != {"a": a}


def test_objects_are_stored_by_label_and_come_back_as_the_label():
    def relu(x):
        return x

    class Relu:
        pass

    first, second = (lambda x: x), (lambda x: -x)
    space = Space(act=Choice(relu, "relu", Relu, first, second, (1, 2), [3], Relu()))
    labels = Space.from_json(json.loads(json.dumps(space.to_json())))["act"].values
    assert labels[:6] == ("relu#2", "relu", "Relu", "<lambda>", "<lambda>#2", (1, 2))
    assert "0x" not in labels[7]
    assert len(set(labels)) == 8
    for value in space["act"].values:
        plain = json.loads(json.dumps(space.plain([{"act": value}])))
        assert space.validate(plain[0])["act"] is value or value == (1, 2)
    assert space.from_unit(space.to_unit([{"act": [3]}])) == [{"act": [3]}]


def test_validate_normalises_values():
    valid = SPACE.validate({"depth": np.int32(3), "lr": np.float32(0.01), "optimizer": np.str_("momentum"),
                            "momentum": 0.5, "width": 64.0, "damping": 0})  # fmt: skip
    assert list(valid) == ["momentum", "lr", "optimizer", "depth", "width", "damping"]
    assert [type(v) for v in valid.values()] == [float, float, str, int, int, float]
    assert valid["width"] == 64


GOOD = {"lr": 0.01, "optimizer": "adam", "depth": 2}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**GOOD, "lr": 0.2}, r"'lr' must be a number from 1e-05 to 0.1; got 0.2"),
        ({**GOOD, "lr": float("nan")}, r"'lr' must be a number from 1e-05 to 0.1; got nan"),
        ({**GOOD, "lr": "0.01"}, r"'lr' must be a number from .*; got '0.01' \(str\)"),
        ({**GOOD, "lr": None}, r"'lr' must be a number from .*; got None"),
        ({**GOOD, "depth": 2.5}, r"'depth' must be a whole number; got 2.5"),
        ({**GOOD, "depth": True}, r"'depth' must be a whole number from 1 to 4; got True \(bool\)"),
        ({**GOOD, "depth": 5}, r"'depth' must be a whole number from 1 to 4; got 5"),
        ({**GOOD, "depth": 10**400}, r"'depth' must be a whole number from 1 to 4; got 1000"),
        ({**GOOD, "optimizer": "sgd"}, r"'optimizer' must be one of 'adam', 'momentum', 'nesterov'; got 'sgd'"),
        ({**GOOD, "momentum": 0.6}, r"'momentum' must be left out unless \{'optimizer'"),
        ({**GOOD, "lrate": 0.6}, r"a config may have 'momentum', 'lr', .*; got 'lrate'"),
        ({"lr": 0.01, "depth": 2}, r"a config must have a value for 'optimizer'; got \{"),
        ({**GOOD, "optimizer": "momentum"}, r"a config must have a value for 'momentum'"),
        (
            {**GOOD, "optimizer": "momentum", "momentum": 0.6, "depth": 3, "width": 20},
            "'width' must be 16 plus",
        ),
        ("lr", r"a config must map names to values; got 'lr'"),
    ],
)
def test_configs_outside_the_space_are_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        SPACE.validate(config)
    with pytest.raises(ConfigError, match=r"; got"):
        SPACE.to_unit([GOOD, config])


@pytest.mark.parametrize(
    ("u", "message"),
    [
        ([0.5] * 6, r"shape \[n, 6\]; got \[6\]"),
        ([[0.5] * 5], r"shape \[n, 6\]; got \[1, 5\]"),
        ([[0.5] * 6, [0.5, 1.5, 0.5, 0.5, 0.5, 0.5]], r"from 0 to 1; got 1.5 for 'lr' in row 1"),
        ([[0.5, np.nan, 0.5, 0.5, 0.5, 0.5]], r"got NaN for 'lr' in row 0"),
        ([[np.nan, 0.5, 0.9, 0.5, 0.5, 0.5]], r"got NaN for 'momentum' in row 0"),
    ],
)
def test_units_outside_the_cube_are_refused(u, message):
    with pytest.raises(ConfigError, match=message):
        SPACE.from_unit(u)


def test_batches_of_none_and_of_many():
    assert drawn(SPACE, 0) == []
    assert SPACE.to_unit([]).shape == (0, 6)
    assert SPACE.from_unit(np.zeros((0, 6))) == []
    configs = drawn(SPACE, 10_000)
    assert len(configs) == 10_000
    depths = np.bincount([config["depth"] for config in configs])[1:]
    assert np.all(np.abs(depths - 2500) < 250)
    assert np.array_equal(SPACE.to_unit(configs[:50]), SPACE.to_unit(configs)[:50], equal_nan=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Space(), "at least one hyperparameter"),
        (lambda: Space(lr=0.1), "'lr' must be a Float, an Int or a Choice; got 0.1"),
        (lambda: Space(**{"learning rate": Int(0, 1)}), "identifiers.*got 'learning rate'"),
        (lambda: Space(**{"lambda": Int(0, 1)}), "identifiers.*got 'lambda'"),
        (lambda: Space(_lr=Int(0, 1)), "without a leading underscore; got '_lr'"),
        (lambda: Space(step=Int(0, 1)), "differ from the columns.*got 'step'"),
        (
            lambda: Space(a=Int(0, 1, when={"b": 1})),
            r"'a': when must name .* of the space \('a'\); got 'b'",
        ),
        (lambda: Space(a=Int(0, 1, when={"a": 1})), "circle.*'a'"),
        (lambda: Space(a=Int(0, 1, when={"b": 1}), b=Int(0, 1, when={"a": 1})), "circle; got 'a' <- 'b' <- 'a'|'b'"),
        (
            lambda: Space(a=Int(0, 4), b=Int(0, 1, when={"a": 5})),
            "'b': when: 'a' must.*got 5, which it can never be",
        ),
        (
            lambda: Space(a=Choice("x"), b=Int(0, 1, when={"a": ("x", "y")})),
            "when: 'a' must be one of 'x'; got 'y'",
        ),
        (
            lambda: Space(a=Float(0, 1), b=Int(0, 1, when={"a": 0.5})),
            "a parent must be a Choice, an Int or a Float",
        ),
        (lambda: Space(a=Int(0, 4), b=Int(0, 1, when={"a": ()})), "at least one value"),
        (lambda: Space(a=Int(0, 1), constraints=3), "constraints must be functions"),
        (lambda: Space(a=Int(0, 1), constraints=["a < 1"]), "constraints must be functions of a config; got 'a < 1'"),
        (lambda: Space.from_json({"version": 99}), "version 1, .*; got"),
        (lambda: Space.from_json(3), "version 1, .*; got 3"),
        (lambda: Space.from_json({"version": 1}), "parameters and constraints; got"),
    ],
)
def test_spaces_that_cannot_be_are_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


def test_a_space_is_a_mapping_of_its_parameters():
    assert SPACE.names == tuple(SPACE) == ("momentum", "lr", "optimizer", "depth", "width", "damping")
    assert SPACE.dim == len(SPACE) == 6
    assert SPACE["lr"] == Float(1e-5, 1e-1, log=True)
    with pytest.raises(KeyError):
        SPACE["nothing"]


def test_spaces_proposers_and_schedulers_do_without_jax():
    code = (
        "import sys, vtune.space, vtune.proposers as p, vtune.schedulers\n"
        "s = vtune.space.Space(a=vtune.space.Float(0, 1))\n"
        "for name in ('grid', 'random', 'sobol'): p.make(name, s, 0).ask(3)\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_misuse_is_refused():
    with pytest.raises(ArgumentError, match="n must be a whole number >= 0; got -1"):
        drawn(SPACE, -1)
    with pytest.raises(ArgumentError, match=r"rng must be a NumPy Generator, .*; got 0"):
        SPACE.sample(3, 0)
    for method in (SPACE.fill, SPACE.satisfies):
        with pytest.raises(ArgumentError, match="configs must be a sequence of configs; got the one"):
            method(GOOD)


@given(spaces(), st.integers(0, 2**32))
def test_snapping_units_is_going_to_configs_and_back(space, seed):
    u = np.random.default_rng(seed).random((20, space.dim))
    np.testing.assert_array_equal(space.snap(u), space.to_unit(space.from_unit(u)))


def test_many_configs_are_checked_at_once_as_each_is_alone():
    space = Space(kind=Choice("a", "b"), x=Float(0.0, 1.0, when={"kind": "a"}), n=Int(1, 9), constraints=[odd_or_small])
    configs = space.sample(64, np.random.default_rng(0))
    assert space.validate_all(configs) == [space.validate(config) for config in configs]
    assert space.validate_all([]) == []
    with pytest.raises(ConfigError, match=r"odd_or_small.*'n': 8"):
        space.validate_all([*configs, {"kind": "b", "n": 8}])
    with pytest.raises(ConfigError, match=r"'n'.*99"):
        space.validate_all([*configs, {"kind": "b", "n": 99}])


def odd_or_small(config):
    return config["n"] % 2 == 1 or config["n"] < 4
