"""The keyed shuffle: a bijection for every key and n, the same alone and in a batch, and as even as random orders."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from vtune.errors import ArgumentError
from vtune.rng import implementation, key, permuted

ALARM = 1e-6


def _keys(count, name="pcg"):
    base = jax.random.key(21, impl=implementation(name))
    return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.arange(count))


@functools.cache
def _orders(n, count, positions=None):
    """[count, positions] of independent keys; all positions unless told otherwise."""
    at = jnp.arange(n if positions is None else positions)
    return np.asarray(jax.jit(jax.vmap(lambda k: permuted(k, at, n)))(_keys(count))).astype(int)


@settings(max_examples=6, deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**64 - 1))
@example(n=1, seed=0)
@example(n=2, seed=0)
def test_all_positions_together_are_a_permutation(n, seed):
    order = permuted(key(seed, 0, "batch"), jnp.arange(n), n)
    assert order.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@settings(max_examples=6, deadline=None)
@given(n=st.integers(1, 2**31 - 1), data=st.data())
@example(n=2**31 - 1, data=None)
def test_positions_of_a_large_n_stay_apart_and_in_range(n, data):
    most = n - 1
    positions = (
        np.array([0, 1, most - 1, most])
        if data is None
        else np.array(data.draw(st.lists(st.integers(0, most), min_size=1, max_size=8, unique=True)))
    )
    order = np.asarray(permuted(key(1, 2, "batch"), positions, n)).astype(np.int64)
    assert len(set(order.tolist())) == len(positions)
    assert order.min() >= 0
    assert order.max() < n


@settings(max_examples=6, deadline=None)
@given(n=st.integers(1, 2**31 - 1), shape=st.lists(st.integers(0, 4), max_size=3).map(tuple))
def test_any_shape_and_integer_type_of_positions(n, shape):
    positions = np.arange(math.prod(shape)).reshape(shape) % n
    order = permuted(key(0, 0, "batch"), positions.astype(np.uint8), n)
    assert order.shape == shape
    flat = [int(permuted(key(0, 0, "batch"), int(p), n)) for p in positions.ravel()[:3]]
    assert np.ravel(order)[:3].tolist() == flat


@pytest.mark.parametrize("name", ["pcg", "threefry"])
@pytest.mark.parametrize("n", [1, 7, 1437, 2**31 - 1])
def test_lanes_of_one_program_are_exactly_the_shuffles_alone(name, n):
    keys = _keys(6, name)
    positions = (np.arange(6 * 10).reshape(6, 10) * 7919) % n
    batched = jax.jit(jax.vmap(lambda k, p: permuted(k, p, n)))(keys, positions)
    for lane in range(6):
        np.testing.assert_array_equal(batched[lane], permuted(keys[lane], positions[lane], n))


def test_inside_a_loop_with_traced_positions():
    @jax.jit
    def epoch(k):
        def body(step, seen):
            return seen.at[permuted(k, step * 5 + jnp.arange(5), 35)].add(1)

        return jax.lax.fori_loop(0, 7, body, jnp.zeros(35, jnp.int32))

    np.testing.assert_array_equal(epoch(key(0, 0, "batch")), np.ones(35))


def test_different_keys_give_different_orders():
    orders = _orders(37, 2**10)
    assert len({tuple(order) for order in orders.tolist()}) == len(orders)


def test_the_order_of_a_key_never_changes():
    """Stored studies go on with the same batches only if this stays as it is."""
    order = permuted(jax.random.key(11, impl=implementation("pcg")), jnp.arange(10), 10)
    assert order.tolist() == [4, 0, 3, 7, 2, 8, 6, 1, 9, 5]


@pytest.mark.parametrize("n", [0, -1, 2**31, 2.0, None, "3"])
def test_bad_n_is_refused(n):
    with pytest.raises(ArgumentError, match=r"n of a shuffle|from 1 to 2\*\*31 - 1"):
        permuted(key(0, 0, "batch"), jnp.arange(3), n)


def test_orders_of_different_lengths_share_a_program():
    orders = jax.jit(jax.vmap(lambda n: permuted(key(0, 0, "batch"), jnp.arange(7), n)))(jnp.array([7, 8, 2**31 - 1]))
    for n, order in zip((7, 8, 2**31 - 1), orders, strict=True):
        np.testing.assert_array_equal(order, permuted(key(0, 0, "batch"), jnp.arange(7), n))


def test_fractional_positions_are_refused():
    with pytest.raises(ArgumentError, match="positions of a shuffle are whole numbers; an array of float32"):
        permuted(key(0, 0, "batch"), jnp.linspace(0, 1, 3), 5)


def _assert_even(values, cells):
    assert stats.chisquare(np.bincount(np.ravel(values), minlength=cells)).pvalue > ALARM


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_all_orders_of_few_are_equally_likely(n):
    orders = _orders(n, 2**17)
    codes, counts = np.unique(orders @ n ** np.arange(n), return_counts=True)
    assert len(codes) == math.factorial(n)
    assert stats.chisquare(counts).pvalue > ALARM


@pytest.mark.parametrize("n", [16, 37])
def test_every_position_goes_everywhere(n):
    orders = _orders(n, 2**14)
    pairs = orders + n * np.arange(n)
    counts = np.bincount(pairs.ravel(), minlength=n * n).reshape(n, n)
    statistic = ((counts - len(orders) / n) ** 2).sum() / (len(orders) / n)
    assert stats.chi2.sf(statistic * (n - 1) / n, (n - 1) ** 2) > ALARM


@pytest.mark.parametrize("n", [16, 37])
def test_neighbours_and_any_two_positions_keep_no_relation(n):
    orders = _orders(n, 2**14)
    for distance in (1, 2, n // 2, n - 1):
        first, second = orders[:, 0], orders[:, distance]
        _assert_even((second - first) % n - 1, n - 1)
        _assert_even(first * (n - 1) + (second - (second > first)), n * (n - 1))


@pytest.mark.parametrize("n", [16, 37])
def test_shape_of_the_orders_is_that_of_random_ones(n):
    """Parity, fixed points (Poisson-like, mean 1, variance 1), ascents (mean (n-1)/2, variance (n+1)/12)."""
    orders = _orders(n, 2**14)
    bound = stats.norm.isf(ALARM / 2)
    inversions = sum((orders[:, i : i + 1] > orders[:, i + 1 :]).sum(1) for i in range(n - 1))
    assert abs((inversions % 2).mean() - 0.5) * 2 * len(orders) ** 0.5 < bound
    mean = n * (n - 1) / 4
    variance = n * (n - 1) * (2 * n + 5) / 72
    assert abs(inversions.mean() - mean) * (len(orders) / variance) ** 0.5 < bound
    fixed = (orders == np.arange(n)).sum(1)
    assert abs(fixed.mean() - 1) * len(orders) ** 0.5 < bound
    poisson = stats.poisson.pmf(np.arange(6), 1)
    observed = np.bincount(np.minimum(fixed, 6), minlength=7)
    assert stats.chisquare(observed, np.append(poisson, 1 - poisson.sum()) * len(orders)).pvalue > ALARM
    ascents = (np.diff(orders, axis=1) > 0).sum(1)
    assert abs(ascents.mean() - (n - 1) / 2) * (len(orders) / ((n + 1) / 12)) ** 0.5 < bound
    assert abs(ascents.var() / ((n + 1) / 12) - 1) * (len(orders) / 2) ** 0.5 < bound


def test_batches_are_random_samples_of_the_data():
    """64 consecutive positions of 1437: how many of them fall into a part of the data is hypergeometric."""
    n, batch = 1437, 64
    orders = _orders(n, 2**13, batch)
    _assert_even(orders, n)
    _assert_even(np.diff(orders, axis=1) % n - 1, n - 1)
    everything = np.arange(n)
    for part in (
        everything < n // 2,
        everything < n // 16,
        everything % 2 == 0,
        everything % 16 == 0,
        everything % 64 < 5,
    ):
        hits = stats.hypergeom(n, part.sum(), batch)
        counts = part[orders].sum(1)
        deviation = (counts.mean() - hits.mean()) / hits.std() * len(counts) ** 0.5
        assert abs(deviation) < stats.norm.isf(ALARM / 2)
        error_of_variance = ((hits.stats("k") + 2) / len(counts)) ** 0.5
        assert abs(counts.var() / hits.var() - 1) / error_of_variance < stats.norm.isf(ALARM / 2)


def test_batches_of_consecutive_keys_are_independent():
    n = 1437
    orders = _orders(n, 2**13, 64)
    _assert_even((orders[1:] - orders[:-1]) % n, n)
    repeats = (orders[1:] == orders[:-1]).sum()
    expected = orders[1:].size / n
    assert stats.poisson.ppf(ALARM / 2, expected) <= repeats <= stats.poisson.isf(ALARM / 2, expected)
