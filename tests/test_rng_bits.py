"""Draws by position: what the whole draw has there, for both generators and under every transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import ArgumentError
from vtune.rng import bits_at, implementation, keys_at
from vtune.rng.bits import each

NAMES = ("pcg", "threefry")
ONE_WORD = {
    "uniform": lambda key, shape: jax.random.uniform(key, shape, minval=-1.0),
    "bernoulli": lambda key, shape: jax.random.bernoulli(key, 0.3, shape),
    "normal": jax.random.normal,
    "gumbel": jax.random.gumbel,
    "bfloat16": lambda key, shape: jax.random.uniform(key, shape, jnp.bfloat16),
    "float16": lambda key, shape: jax.random.uniform(key, shape, jnp.float16),
}


@pytest.fixture(params=NAMES)
def key(request):
    return jax.random.key(11, impl=implementation(request.param))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    positions=st.lists(st.integers(0, 299), min_size=6, max_size=6),
    spare=st.sampled_from([1, 2, 77]),
    dtype=st.sampled_from(["uint8", "uint16", "uint32"]),
)
def test_bits_are_those_of_a_draw_of_any_length(name, seed, positions, spare, dtype):
    key = jax.random.key(seed, impl=implementation(name))
    whole = jax.random.bits(key, (299 + spare,), dtype)
    found = bits_at(key, np.array(positions).reshape(2, 3), dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, whole[np.array(positions).reshape(2, 3)])


@pytest.mark.parametrize("name", NAMES)
def test_bits_of_64_are_those_of_a_draw(name):
    with jax.enable_x64(True):
        key = jax.random.key(3, impl=implementation(name))
        np.testing.assert_array_equal(bits_at(key, np.arange(5), "uint64"), jax.random.bits(key, (5,), "uint64"))


def test_a_padded_row_draws_the_row_of_the_true_array(key):
    @jax.jit
    @jax.vmap
    def padded(width):
        return bits_at(key, jnp.arange(4)[:, None] * width + jnp.arange(9))

    widths = [3, 7, 9]
    for width, bits in zip(widths, padded(jnp.array(widths)), strict=True):
        np.testing.assert_array_equal(bits[:, :width], jax.random.bits(key, (4, width)))


def test_bits_are_exact_for_batches_of_keys_and_in_a_scan(key):
    keys = jax.random.split(key, 3)
    alone = np.stack([jax.random.bits(key, (6,)) for key in keys])
    np.testing.assert_array_equal(jax.vmap(lambda key: bits_at(key, jnp.arange(6)))(keys), alone)
    _, scanned = jax.lax.scan(lambda carry, key: (carry, bits_at(key, jnp.arange(6))), 0, keys)
    np.testing.assert_array_equal(scanned, alone)


@pytest.mark.parametrize("draw", ONE_WORD.values(), ids=ONE_WORD)
def test_keys_of_positions_draw_what_the_whole_draw_has_there(key, draw):
    positions = jnp.array([[0, 8], [5, 19]])
    found = each(keys_at(key, positions), lambda one: draw(one, ()))
    np.testing.assert_array_equal(found, draw(key, (20,))[positions])


def test_keys_of_positions_are_not_split(key):
    with pytest.raises(ArgumentError, match="cannot be seeded, split"):
        jax.random.split(keys_at(key, jnp.arange(2))[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: jax.random.key(0, impl="rbg"), "pcg or threefry; it is of rbg"),
        (lambda: jax.random.PRNGKey(0), "one typed key"),
        (lambda: jax.random.split(jax.random.key(0)), "one typed key"),
        (lambda: 7, "one typed key"),
    ],
)
def test_other_keys_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        bits_at(wrong(), jnp.arange(2))


def test_threefry_that_depends_on_the_shape_is_refused():
    with jax.threefry_partitionable(False), pytest.raises(ArgumentError, match="jax_threefry_partitionable"):
        bits_at(jax.random.key(0), jnp.arange(2))
