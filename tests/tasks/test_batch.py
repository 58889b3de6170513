import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import rng
from vtune.errors import TaskError
from vtune.tasks.batch import default_inputs, labels, shuffled

step_rows = jax.jit(shuffled, static_argnums=(3, 4))


@settings(max_examples=8, deadline=None)
@given(total=st.integers(1, 40), data=st.data(), seed=st.integers(0, 100))
def test_every_epoch_visits_every_row_once_and_batches_are_full(total, data, seed):
    batch = data.draw(st.integers(1, total))
    order = rng.key(seed, 0, "init")
    steps = -(-3 * total // batch)
    rows = [np.asarray(step_rows(order, *divmod(step * batch, total), batch, total)) for step in range(steps)]
    assert {len(each) for each in rows} == {batch}
    flat = np.concatenate(rows)
    for epoch in range(3):
        assert sorted(flat[epoch * total : (epoch + 1) * total]) == list(range(total))


def test_epochs_and_keys_have_orders_of_their_own():
    def first(seed, epoch):
        return step_rows(rng.key(seed, 0, "init"), epoch, 0, 30, 30).tolist()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(0, 1)
    assert first(0, 0) != first(1, 0)


def test_inputs_and_labels_are_found_in_tuples_and_dicts():
    assert default_inputs((1, 2)) == default_inputs({"x": 1, "y": 2}) == default_inputs({"inputs": 1, "label": 2}) == 1
    assert labels((1, 2)) == labels({"x": 1, "y": 2}) == labels({"inputs": 1, "targets": 2}) == 2
    whole = np.zeros(3)
    assert default_inputs(whole) is whole


def test_what_is_not_found_is_named():
    with pytest.raises(TaskError, match="one of x, input, inputs; it has image, y"):
        default_inputs({"image": 1, "y": 2})
    with pytest.raises(TaskError, match="these batches are a ndarray"):
        labels(np.zeros(3))
