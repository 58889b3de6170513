import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vtune.schedulers import dump, load

arrays = hnp.arrays(
    st.sampled_from([np.float64, np.int64, np.int16, np.int8, np.bool_, ">f8"]),
    hnp.array_shapes(min_dims=0, min_side=0),
)
leaves = arrays | st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
states = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abcd"), inner))


@settings(max_examples=50, deadline=None)
@given(state=states)
def test_a_state_comes_back_from_json_as_it_was(state):
    again = load(json.loads(json.dumps(dump(state))))
    np.testing.assert_equal(again, state)
    assert json.dumps(dump(again)) == json.dumps(dump(state))


def test_arrays_that_come_back_can_be_written_and_keep_their_type():
    array = load(dump(np.array([[1, 2]], dtype=np.int16)))
    array[0, 0] = 7
    assert array.dtype == np.int16
    assert array.tolist() == [[7, 2]]


def test_numpy_numbers_become_plain_ones():
    assert dump({"n": np.int64(3), "pair": (1, 2)}) == {"n": 3, "pair": [1, 2]}
    assert type(dump(np.float64(0.5))) is float


def test_an_object_is_not_stored():
    with pytest.raises(TypeError):
        json.dumps(dump({"thing": object()}))
