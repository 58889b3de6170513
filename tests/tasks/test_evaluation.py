import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtune.tasks.evaluation import batch_rows, totals


@pytest.mark.parametrize("total", [1, 2, 5, 7, 8, 9, 13, 16, 17, 24])
def test_totals_count_every_row_once_whatever_its_batch(total):
    def sums(batch, key):
        assert batch.shape[0] <= 8
        return {"sum": batch.sum(0), "rows": jnp.float32(batch.shape[0])}

    first = np.random.default_rng(0).integers(-9, 9, (total, 2)).astype("float32")
    found = totals(sums, [first, -first], jax.random.key(0), most=8)
    for each, data in zip(found, (first, -first), strict=True):
        np.testing.assert_array_equal(each["sum"], data.sum(0))
        assert each["rows"] == total


def test_sets_of_other_lengths_are_measured_apart():
    first, second = totals(lambda batch, key: batch.sum(), [np.ones(20), np.ones(3)], jax.random.key(0), most=8)
    assert (first, second) == (20, 3)


def test_every_batch_has_a_key_of_its_own():
    drawn = totals(
        lambda batch, key: jax.nn.one_hot(jax.random.randint(key, (), 0, 10**6), 10**6), [np.ones(20)],
        jax.random.key(0), most=8,
    )  # fmt: skip
    assert drawn[0].max() == 1


def test_batches_are_equal_where_a_divisor_allows():
    for total in range(1, 3000, 7):
        size = batch_rows(total)
        assert size <= 512
        assert total <= 512 or size > 256
