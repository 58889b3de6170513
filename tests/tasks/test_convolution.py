from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

from vtune.errors import ArgumentError
from vtune.tasks import Supervised, convolutions
from vtune.tasks.convolution import by_patches

SOURCE = np.random.default_rng(0)
HP = SimpleNamespace(lr=0.1)


def convolved(size, window, **options):
    """(by patches, by lax), each with the gradients of both arguments."""
    spatial = len(size)
    letters = "DHW"[-spatial:]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    lhs = jnp.asarray(SOURCE.normal(size=(2, *size, 3)), jnp.float32)
    rhs = jnp.asarray(SOURCE.normal(size=(*window, 3, 4)), jnp.float32)
    settings = {"window_strides": (1,) * spatial, "padding": "SAME", "dimension_numbers": numbers, **options}

    def value(way):
        def loss(lhs, rhs):
            out = way(lhs, rhs, **settings)
            return jnp.sin(out).sum(), out

        gradients, out = jax.grad(loss, (0, 1), has_aux=True)(lhs, rhs)
        return out, gradients

    return value(by_patches), value(lax.conv_general_dilated)


@pytest.mark.parametrize(
    ("size", "window", "options"),
    [
        ((9,), (3,), {}),
        ((8, 7), (3, 3), {}),
        ((8, 7), (3, 2), {"padding": "VALID", "window_strides": (2, 3)}),
        ((8, 7), (2, 3), {"padding": "SAME", "window_strides": (2, 2)}),
        ((8, 7), (3, 3), {"padding": [(2, 1), (0, 3)], "rhs_dilation": (2, 1)}),
        ((8, 7), (3, 3), {"padding": "SAME", "rhs_dilation": (2, 2)}),
        ((8, 7), (1, 1), {"padding": [(-1, 0), (0, -2)]}),
        ((4, 5, 6), (2, 3, 2), {"window_strides": (1, 2, 1)}),
        ((8, 7), (3, 3), {"padding": [(1, 1), (1, 1)], "lhs_dilation": (2, 2)}),
    ],
)
def test_patches_give_what_the_convolution_gives(size, window, options):
    patches, direct = convolved(size, window, **options)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), patches, direct)


def test_groups_and_other_layouts_are_left_to_lax():
    grouped = by_patches(
        jnp.ones((1, 5, 5, 4)), jnp.ones((3, 3, 2, 4)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=2,
    )  # fmt: skip
    assert grouped.shape == (1, 5, 5, 4)
    assert grouped[0, 2, 2, 0] == 18
    assert by_patches(jnp.ones((1, 4, 5, 5)), jnp.ones((6, 4, 3, 3)), (1, 1), "SAME").shape == (1, 6, 5, 5)


class Shared(nn.Module):
    """One convolution that is called twice, one with a layout of its own, batch statistics."""

    @nn.compact
    def __call__(self, x, train):
        twice = nn.Conv(3, (3, 3), name="twice")
        x = nn.relu(twice(nn.relu(twice(x))))
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Conv(4, 3, strides=2, padding="CIRCULAR", use_bias=False)(x)
        return nn.Dense(3)(nn.Conv(4, (3, 3), feature_group_count=2)(x).mean((1, 2)))


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.layers = nnx.List([nnx.Conv(3, 4, (3, 3), strides=2, rngs=rngs)])
        self.last = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.layers[0](x)).mean((1, 2)))


def trained(model, way):
    task = Supervised(model, lambda hp: optax.sgd(hp.lr), train=SOURCE_DATA, batch_size=8)
    key = jax.random.key(0)

    def run(data):
        def step(count, state):
            return task.step(HP, state, data, jax.random.fold_in(key, count))[0]

        state = jax.lax.fori_loop(0, 3, step, task.init(HP, data, key))
        return state["params"], task.evaluate(HP, state, data, key)

    with convolutions(way):
        program = jax.jit(run).lower(task.data)
    return program.as_text(), program.compile()(task.data)


SOURCE_DATA = (SOURCE.normal(size=(30, 6, 6, 3)), SOURCE.integers(0, 3, 30))


@pytest.mark.parametrize(
    ("model", "left"), [(lambda hp: Shared(), True), (lambda hp, rngs: NnxNet(rngs), False)], ids=["linen", "nnx"]
)
def test_unmodified_models_train_the_same_either_way(model, left):
    (patches, found), (direct, expected) = (trained(model, way) for way in ("patches", "direct"))
    assert patches.count("stablehlo.convolution") < direct.count("stablehlo.convolution")
    assert ("stablehlo.convolution" in patches) == left
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), found, expected)


def test_the_way_holds_inside_the_block_only():
    task = Supervised(lambda hp, rngs: NnxNet(rngs), lambda hp: optax.sgd(hp.lr), train=SOURCE_DATA, batch_size=8)
    with pytest.raises(ZeroDivisionError), convolutions("patches"):
        1 / 0
    state = task.init(HP, task.data, jax.random.key(0))
    lowered = jax.jit(lambda state: task.evaluate(HP, state, task.data, jax.random.key(0))).lower(state)
    assert "stablehlo.convolution" in lowered.as_text()


def test_other_ways_are_refused():
    with pytest.raises(ArgumentError, match="direct, patches; 'fft' was given"), convolutions("fft"):
        pass
