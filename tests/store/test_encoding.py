import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.store.encoding import dumps, label, loads, loads_all

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=4,
)
configs = st.dictionaries(st.text() | st.just("__tuple__") | st.just("__dict__"), values)


def same(one, other):
    """Equality that tells True from 1 and (1,) from [1]."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@settings(max_examples=50, deadline=None)
@given(configs)
def test_configs_come_back_as_they_were(config):
    assert same(loads(dumps(config)), config)


@settings(max_examples=50, deadline=None)
@given(st.lists(configs, max_size=5))
def test_many_texts_are_read_as_one_by_one(several):
    assert same(loads_all([dumps(config) for config in several]), several)


@settings(max_examples=50, deadline=None)
@given(st.floats(allow_nan=False))
def test_floats_are_exact(value):
    assert loads(dumps({"lr": value}))["lr"].hex() == value.hex()


def test_nan_and_infinity_survive():
    back = loads(dumps({"a": math.nan, "b": math.inf, "c": (-math.inf,)}))
    assert math.isnan(back["a"])
    assert (back["b"], back["c"]) == (math.inf, (-math.inf,))


@pytest.mark.parametrize(
    ("given", "plain"),
    [(np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.arange(3), [0, 1, 2]), (np.str_("a"), "a")],
)
def test_numpy_values_become_plain(given, plain):
    assert same(loads(dumps({"value": given})), {"value": plain})


def test_other_objects_become_their_label():
    back = loads(dumps({"activation": math.tanh, "thing": object()}))
    assert back["activation"] == "tanh"
    assert "0x" not in back["thing"]
    assert label(json.JSONDecoder) == "JSONDecoder"
