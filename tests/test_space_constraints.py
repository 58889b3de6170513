import json

import numpy as np
import pytest

from vtune.errors import ConfigError, SpaceError
from vtune.space import Choice, Float, Int, Space


def ordered(config):
    return config["low"] < config["high"]


def two(n=0, **more):
    return Space(low=Float(0, 1), high=Float(0, 1), constraints=ordered, **more)


def sample(space, n, seed=0):
    return space.sample(n, np.random.default_rng(seed))


def test_samples_satisfy_every_constraint():
    space = Space(
        low=Float(0, 1), high=Float(0, 1), constraints=[ordered, lambda config: config["low"] + config["high"] < 1]
    )
    configs = sample(space, 500)
    assert len(configs) == 500
    assert all(c["low"] < c["high"] and c["low"] + c["high"] < 1 for c in configs)


def test_satisfies_answers_for_each_config():
    configs = [{"low": 0.1, "high": 0.2}, {"low": 0.3, "high": 0.2}]
    assert two().satisfies(configs).tolist() == [True, False]
    assert two().satisfies([]).shape == (0,)
    assert Space(low=Float(0, 1)).satisfies([{"low": 0.1}]).tolist() == [True]


def test_constraints_see_filled_configs():
    seen = []

    def look(config):
        seen.append(dict(config))
        config.clear()
        return True

    space = Space(a=Choice("x", "y"), b=Int(0, 4, when={"a": "y"}), constraints=look)
    config = {"a": "x"}
    assert space.satisfies([config]).tolist() == [True]
    assert seen == [{"a": "x", "b": 2}]
    assert config == {"a": "x"}


def test_what_nothing_satisfies_is_told_with_its_name_its_line_and_the_tries():
    space = Space(a=Int(0, 10), b=Int(0, 10), constraints=[ordered_sum, lambda config: True])
    with pytest.raises(SpaceError, match=r"none of 100,\d+ .* \('ordered_sum' \(.*_constraints.py:\d+\) failed"):
        sample(space, 1)


def ordered_sum(config):
    return config["a"] + config["b"] > 20


def test_a_rare_config_is_found():
    space = Space(a=Int(0, 9), b=Int(0, 9), c=Int(0, 9), constraints=lambda c: c["a"] == c["b"] == c["c"] == 7)
    assert sample(space, 3) == [{"a": 7, "b": 7, "c": 7}] * 3


def test_validate_names_the_constraint_that_fails():
    assert two().validate({"low": 0, "high": 1}) == {"low": 0.0, "high": 1.0}
    with pytest.raises(ConfigError, match=r"must satisfy constraint 'ordered' .*; got \{'low': 1.0, 'high': 0.5\}"):
        two().validate({"low": 1, "high": 0.5})


def test_constraints_that_raise_or_do_not_answer_are_told():
    with pytest.raises(SpaceError, match=r"'<lambda>' .*it raised KeyError: 'c' for \{'a': "):
        sample(Space(a=Int(0, 1), constraints=lambda config: config["c"] > 1), 1)
    with pytest.raises(SpaceError, match=r"must return True or False; got None for \{'a': "):
        sample(Space(a=Int(0, 1), constraints=lambda config: None), 1)


def test_numpy_bools_are_answers():
    assert len(sample(Space(a=Int(0, 1), constraints=lambda config: np.bool_(config["a"] == 1)), 4)) == 4


def test_constraints_are_stored_by_name_and_given_again():
    space = two()
    stored = json.loads(json.dumps(space.to_json()))
    assert stored["constraints"] == ["ordered"]
    loaded = Space.from_json(stored)
    assert loaded == space
    assert "ordered (stored by name only)" in repr(loaded)
    assert loaded.from_unit([[0.5, 0.1]]) == [{"low": 0.5, "high": 0.1}]
    with pytest.raises(SpaceError, match=r"'ordered' was stored by its name only.*from_json"):
        sample(loaded, 1)
    again = Space.from_json(stored, constraints=[ordered])
    assert sample(again, 5) == sample(space, 5)
    with pytest.raises(SpaceError, match=r"must be those stored \(\['ordered'\]\); got \['ordered_sum'\]"):
        Space.from_json(stored, constraints=[ordered_sum])


def test_names_of_constraints_differ():
    space = Space(a=Int(0, 1), constraints=[lambda c: True, lambda c: True, ordered])
    assert [constraint.name for constraint in space.constraints] == ["<lambda>", "<lambda>#2", "ordered"]
