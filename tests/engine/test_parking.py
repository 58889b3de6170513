"""States of paused trials come back bit for bit, from memory and from disk."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from vtune.engine.parking import Parking


def state(seed):
    source = np.random.default_rng(seed)
    return [
        source.normal(size=(1, 3, 2)).astype("float32"),
        np.asarray(source.normal(size=(1, 4)), jnp.bfloat16),
        np.array([[np.nan, -0.0, np.inf]]),
        source.integers(0, 2**32, (1, 2), dtype=np.uint32),
        np.array([True, False]),
        np.zeros((1, 0, 5), np.float32),
    ]


def same(one, other):
    return all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("most", [0, 200, 10**9])
def test_states_come_back_bit_for_bit(most):
    parking = Parking(most_bytes=most)
    for trial in range(6):
        parking.put(trial, state(trial))
    assert sorted(parking) == list(range(6))
    assert same(parking.get(2), state(2))
    for trial in (5, 0, 2, 1, 4, 3):
        assert trial in parking
        assert same(parking.take(trial), state(trial))
        assert trial not in parking
    assert len(parking) == 0
    parking.put(3, state(7))
    assert same(parking.take(3), state(7))
    parking.close()


def test_those_that_wait_longest_go_to_disk_and_leave_nothing_there():
    size = sum(leaf.nbytes for leaf in state(0))
    parking = Parking(most_bytes=2 * size)
    for trial in range(5):
        parking.put(trial, state(trial))
    folder = parking._folder.name
    import os

    assert sorted(os.listdir(folder)) == ["0", "1", "2"]
    parking.take(1)
    assert sorted(os.listdir(folder)) == ["0", "2"]
    parking.close()
    assert not os.path.exists(folder)
