"""The generators as JAX sees them: every transformation, every drawing function, the same bits alone and in a batch."""

import os
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import ArgumentError
from vtune.rng import implementation

NAMES = ("pcg", "threefry")
DRAWS = {
    "uniform": lambda key: jax.random.uniform(key, (5, 3)),
    "uniform_bf16": lambda key: jax.random.uniform(key, (5, 3), jnp.bfloat16),
    "normal": lambda key: jax.random.normal(key, (7,)),
    "truncated_normal": lambda key: jax.random.truncated_normal(key, -1.0, 1.0, (7,)),
    "bernoulli": lambda key: jax.random.bernoulli(key, 0.3, (2, 3, 4)),
    "randint": lambda key: jax.random.randint(key, (9,), -5, 17),
    "permutation": lambda key: jax.random.permutation(key, 20),
    "choice": lambda key: jax.random.choice(key, 20, (6,), replace=False),
    "gumbel": lambda key: jax.random.gumbel(key, (4,)),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(5.0), shape=(4,)),
    "exponential": lambda key: jax.random.exponential(key, (4,)),
    "gamma": lambda key: jax.random.gamma(key, 2.0, (3,)),
    "orthogonal": lambda key: jax.random.orthogonal(key, 3),
    "scalar": lambda key: jax.random.uniform(key),
    "empty": lambda key: jax.random.bits(key, (0, 3)),
    "uint8": lambda key: jax.random.bits(key, (3, 2), "uint8"),
    "uint16": lambda key: jax.random.bits(key, (5,), "uint16"),
    "uint32": lambda key: jax.random.bits(key, (5,), "uint32"),
    "split": lambda key: jax.random.key_data(jax.random.split(key, (2, 3))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 7)),
}


@pytest.fixture(params=NAMES)
def key(request):
    return jax.random.key(11, impl=implementation(request.param))


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draw_under_vmap_and_jit_is_the_draw_alone(draw):
    keys = jax.random.split(jax.random.key(3, impl=implementation("pcg")), 4)
    alone = np.stack([draw(key) for key in keys])
    batched = jax.jit(jax.vmap(draw))(keys)
    if jnp.issubdtype(batched.dtype, jnp.floating):
        np.testing.assert_allclose(np.asarray(batched, "f4"), np.asarray(alone, "f4"), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_array_equal(batched, alone)


@pytest.mark.parametrize("draw", ["uniform", "bernoulli", "randint", "uint8", "uint16", "uint32", "split", "fold_in"])
def test_bits_are_exact_under_vmap_of_lanes_or_of_steps(draw):
    base = jax.random.key(3, impl=implementation("pcg"))
    draw = DRAWS[draw]
    batched = jax.jit(jax.vmap(lambda i: draw(jax.random.fold_in(base, i))))(jnp.arange(33))
    for i in (0, 1, 32):
        np.testing.assert_array_equal(batched[i], draw(jax.random.fold_in(base, i)))
    nested = jax.vmap(jax.vmap(lambda i: draw(jax.random.fold_in(base, i))))(jnp.arange(4).reshape(2, 2))
    np.testing.assert_array_equal(nested.reshape(4, *nested.shape[2:]), batched[:4])


@settings(max_examples=6, deadline=None)
@given(shape=st.lists(st.integers(0, 5), max_size=4).map(tuple), dtype=st.sampled_from(["uint8", "uint16", "uint32"]))
def test_every_shape_draws_the_same_words_in_order(shape, dtype):
    key = jax.random.key(5, impl=implementation("pcg"))
    size = int(np.prod(shape))
    bits = jax.random.bits(key, shape, dtype)
    assert bits.shape == shape
    assert bits.dtype == dtype
    np.testing.assert_array_equal(np.ravel(bits), jax.random.bits(key, (size + 3,), dtype)[:size])


def test_scan_cond_and_while_loop_carry_keys(key):
    def body(key, _):
        key, here = jax.random.split(key)
        return key, jax.lax.cond(
            jax.random.bernoulli(here), lambda k: jax.random.uniform(k), lambda k: -jax.random.uniform(k), here
        )

    _, scanned = jax.lax.scan(body, key, None, length=6)
    expected, carried = [], key
    for _ in range(6):
        carried, value = body(carried, None)
        expected.append(value)
    np.testing.assert_array_equal(scanned, np.stack(expected))
    looped = jax.lax.fori_loop(0, 6, lambda _, k: jax.random.split(k)[0], key)
    assert looped == carried


def test_keys_are_typed_keys(key):
    data = jax.random.key_data(key)
    assert data.shape == (2,)
    assert data.dtype == jnp.uint32
    assert jax.random.wrap_key_data(data, impl=jax.random.key_impl(key)) == key
    assert jax.random.clone(key) == key
    np.testing.assert_array_equal(
        jax.random.uniform(jax.random.wrap_key_data(data, impl=jax.random.key_impl(key)), (3,)),
        jax.random.uniform(key, (3,)),
    )


@pytest.mark.parametrize("name", NAMES)
def test_seed_may_be_traced(name):
    def make(seed):
        return jax.random.key(seed, impl=implementation(name))

    keys = jax.jit(jax.vmap(make))(jnp.arange(5))
    assert all(keys[i] == make(i) for i in range(5))
    assert len({tuple(row) for row in jax.random.key_data(keys).tolist()}) == 5


def test_64_bit_words_and_seeds_in_64_bit_mode():
    program = """
        import jax, numpy as np
        jax.config.update("jax_enable_x64", True)
        from vtune.rng import implementation
        key = jax.random.key(11, impl=implementation("pcg"))
        words = jax.random.bits(key, (1000,), "uint64")
        assert words.dtype == np.uint64
        assert len(set((np.asarray(words) & 0xFFFFFFFF).tolist())) > 990
        high = np.asarray(words) >> np.uint64(32)
        np.testing.assert_array_equal(high, jax.random.bits(key, (1000,), "uint32"))
        batched = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i), (5,), "uint64"))(np.arange(3))
        np.testing.assert_array_equal(batched[2], jax.random.bits(jax.random.fold_in(key, 2), (5,), "uint64"))
        assert jax.random.key(2**32, impl=implementation("pcg")) != jax.random.key(0, impl=implementation("pcg"))
        assert jax.random.uniform(key, (3,)).dtype == np.float64
        print(*jax.random.key_data(key))
    """
    out = _python(program)
    assert [int(word) for word in out.split()] == jax.random.key_data(
        jax.random.key(11, impl=implementation("pcg"))
    ).tolist()


def test_the_bits_of_a_key_never_change():
    """Stored studies go on with the same numbers only if these stay as they are."""
    key = jax.random.key(11, impl=implementation("pcg"))
    assert jax.random.key_data(key).tolist() == [753293266, 2995213983]
    assert jax.random.key_data(jax.random.split(key)).tolist() == [[3637697922, 2717208278], [2338582508, 3816974508]]
    assert jax.random.key_data(jax.random.fold_in(key, 2**32 - 1)).tolist() == [3125702763, 3620368727]
    assert jax.random.bits(key, (3,)).tolist() == [3954600061, 981656329, 2947470768]


def test_threefry_is_the_default_of_jax():
    key = jax.random.key(7, impl=implementation("threefry"))
    np.testing.assert_array_equal(jax.random.uniform(key, (4,)), jax.random.uniform(jax.random.key(7), (4,)))


def test_implementation_is_made_once():
    assert implementation("pcg") is implementation("pcg")


@pytest.mark.parametrize("name", ["philox", "", None])
def test_unknown_generator_lists_the_valid_ones(name):
    with pytest.raises(ArgumentError, match='"pcg" or "threefry"'):
        implementation(name)


def test_a_draw_beyond_32_bit_indices_is_refused():
    key = jax.random.key(0, impl=implementation("pcg"))
    with pytest.raises(ArgumentError, match=r"at most 2\*\*32 elements"):
        jax.jit(lambda k: jax.random.bits(k, (2**17, 2**16)).sum()).lower(key)


def test_linen_dropout_draws_a_mask_per_lane(key):
    x = jnp.ones((64, 32))
    layer = nn.Dropout(0.25, deterministic=False)

    def drop(lane):
        return layer.apply({}, x, rngs={"dropout": jax.random.fold_in(key, lane)})

    out = jax.jit(jax.vmap(drop))(jnp.arange(8))
    np.testing.assert_array_equal(out[5], drop(5))
    np.testing.assert_allclose(np.unique(out), [0.0, 1 / 0.75], rtol=1e-6)
    assert abs(float((out == 0).mean()) - 0.25) < 0.01
    assert bool((out[0] != out[1]).any())


def test_nnx_dropout_takes_the_key(key):
    layer = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))
    first, second = layer(jnp.ones((40, 40))), layer(jnp.ones((40, 40)))
    assert bool((first != second).any())
    again = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=key))(jnp.ones((40, 40)))
    np.testing.assert_array_equal(first, again)


def test_import_starts_no_backend():
    program = """
        import jax
        import vtune.rng
        vtune.rng.implementation("pcg")
        try:
            jax.devices()
        except RuntimeError:
            print("the backend starts only now, and fails")
    """
    assert "only now" in _python(program, JAX_PLATFORMS="no_such_platform")


def _python(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
