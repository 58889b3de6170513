"""Draws of padded arrays: those of the true shape, bit for bit before XLA rounds, and nothing around them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nn.lanes import assert_padded, in_lanes

from vtune.errors import ArgumentError
from vtune.hyper import packed_size
from vtune.nn import draws
from vtune.rng import implementation
from vtune.space import Int, Space

WIDTHS = (10, 30, 50, 70, 90)
SPACE = Space(a=Int(0, 90), b=Int(1, 5))
DRAWS = {
    "uniform": (lambda key, sizes: draws.uniform(key, sizes), lambda key, shape: jax.random.uniform(key, shape)),
    "uniform_in": (
        lambda key, sizes: draws.uniform(key, sizes, jnp.float32, -1.0, 3.0),
        lambda key, shape: jax.random.uniform(key, shape, jnp.float32, -1.0, 3.0),
    ),
    "normal": (lambda key, sizes: draws.normal(key, sizes), lambda key, shape: jax.random.normal(key, shape)),
    "truncated_normal": (
        lambda key, sizes: draws.truncated_normal(key, -2, 2, sizes),
        lambda key, shape: jax.random.truncated_normal(key, -2, 2, shape),
    ),
    "bernoulli": (
        lambda key, sizes: draws.bernoulli(key, 0.7, sizes),
        lambda key, shape: jax.random.bernoulli(key, 0.7, shape),
    ),
    "bfloat16": (
        lambda key, sizes: draws.uniform(key, sizes, jnp.bfloat16),
        lambda key, shape: jax.random.uniform(key, shape, jnp.bfloat16),
    ),
}
SHAPES = {
    "vector": lambda a, b: (a,),
    "rows": lambda a, b: (3, a),
    "columns": lambda a, b: (a, 4),
    "both": lambda a, b: (a, b),
    "four": lambda a, b: (b, 2, a, b + 1),
}


@pytest.fixture(params=("pcg", "threefry"))
def key(request):
    return jax.random.key(5, impl=implementation(request.param))


def test_every_width_draws_the_true_array(key):
    def drawn(hp):
        sizes = (packed_size(hp.a), packed_size(hp.b))
        return {name: padded(key, sizes) for name, (padded, _) in DRAWS.items()}

    configs = [{"a": width, "b": b} for width, b in zip((*WIDTHS, 0), (3, 5, 2, 4, 5, 1), strict=True)]
    found, _ = in_lanes(drawn, SPACE, configs)
    for name, (_, true) in DRAWS.items():
        assert found[name].shape == (6, 90, 5)
        for lane, config in enumerate(configs):
            rounding = {"rtol": 1e-6, "atol": 1e-6} if name.endswith("normal") else {}
            assert_padded(found[name][lane], true(key, (config["a"], config["b"])), **rounding)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_rank_draws_the_true_array(shape):
    key = jax.random.key(5, impl=implementation("pcg"))
    configs = [{"a": 10, "b": 5}, {"a": 7, "b": 3}]
    found, _ = in_lanes(
        lambda hp: draws.uniform(key, tuple(packed_size(length) for length in shape(hp.a, hp.b))), SPACE, configs
    )
    for lane, config in enumerate(configs):
        assert_padded(found[lane], jax.random.uniform(key, shape(config["a"], config["b"])))


def test_keys_of_lanes_draw_their_own_numbers():
    key = jax.random.key(5, impl=implementation("pcg"))
    configs = [{"a": 10, "b": 5}, {"a": 10, "b": 3}]

    def drawn(hp):
        return draws.bernoulli(jax.random.fold_in(key, jnp.asarray(hp.b)), 0.5, (packed_size(4), packed_size(hp.a)))

    found, _ = in_lanes(drawn, SPACE, configs)
    for lane, config in enumerate(configs):
        assert_padded(found[lane], jax.random.bernoulli(jax.random.fold_in(key, config["b"]), 0.5, (4, 10)))


@pytest.mark.parametrize(("padded", "true"), DRAWS.values(), ids=DRAWS)
def test_plain_sizes_draw_plainly_with_any_key(padded, true):
    key = jax.random.key(5, impl="rbg")
    np.testing.assert_array_equal(padded(key, (packed_size(3), packed_size(4))), true(key, (3, 4)))


def test_packed_sizes_need_a_generator_that_draws_by_position():
    with pytest.raises(ArgumentError, match="it is of rbg"):
        in_lanes(
            lambda hp: draws.normal(jax.random.key(5, impl="rbg"), (packed_size(hp.a),)), SPACE, [{"a": 3, "b": 1}]
        )
