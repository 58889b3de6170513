"""Initializers by name: JAX's values for the true shape whatever the padding, and zeros around them."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from nn.lanes import assert_padded, in_lanes

from vtune.errors import ArgumentError
from vtune.hyper import packed_size
from vtune.nn.initializers import INITIALIZERS, initializer
from vtune.rng import implementation
from vtune.space import Choice, Float, Int

jax_has = jax.nn.initializers
TRUE = {
    "constant": jax_has.constant(0.3),
    "embedding": nn.linear.default_embed_init,
    "glorot_normal": jax_has.glorot_normal(),
    "glorot_uniform": jax_has.glorot_uniform(),
    "he_normal": jax_has.he_normal(),
    "he_uniform": jax_has.he_uniform(),
    "kaiming_normal": jax_has.kaiming_normal(),
    "kaiming_uniform": jax_has.kaiming_uniform(),
    "lecun_normal": jax_has.lecun_normal(),
    "lecun_uniform": jax_has.lecun_uniform(),
    "normal": jax_has.normal(),
    "ones": jax_has.ones,
    "orthogonal": jax_has.orthogonal(),
    "truncated_normal": jax_has.truncated_normal(),
    "uniform": jax_has.uniform(),
    "xavier_normal": jax_has.xavier_normal(),
    "xavier_uniform": jax_has.xavier_uniform(),
    "zeros": jax_has.zeros,
}
ROUNDED = {name for name in TRUE if name.endswith(("normal", "orthogonal", "embedding"))}
SCALES = {"constant": 0.3}
WIDTHS = (10, 30, 50, 70, 90)
SHAPES = (*zip(WIDTHS, (30, 10, 50, 90, 70), strict=True), (90, 10))
KEY = jax.random.key(3, impl=implementation("pcg"))


def made(name, key, sizes):
    return initializer(name, SCALES.get(name))(key, sizes)


def assert_is_true(name, padded, true):
    """Normals are compared within rounding: XLA joins constant factors, in JAX's own programs too."""
    tolerance = {"atol": 1e-5} if name == "orthogonal" else {"rtol": 1e-6, "atol": 1e-6}
    assert_padded(padded, true, **(tolerance if name in ROUNDED else {}))


def test_every_initializer_has_a_counterpart_here():
    assert set(INITIALIZERS) == set(TRUE)


@functools.cache
def kernels(cap):
    """Every initializer at every shape, and at shapes of layers that a trial does not have."""

    def make(hp):
        sizes = (packed_size(hp.a), packed_size(hp.b * hp.there))
        return {name: made(name, KEY, sizes) for name in TRUE}

    shapes = [*((a, b, 1) for a, b in SHAPES), (50, 50, 0)]
    space = {"a": Int(1, cap), "b": Int(1, cap), "there": Int(0, 1)}
    found, _ = in_lanes(make, space, [dict(zip("ab", shape, strict=False), there=shape[2]) for shape in shapes])
    return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("cap", [90, 128])
def test_a_padded_kernel_is_the_small_one(cap, name):
    for lane, shape in enumerate(SHAPES):
        assert kernels(cap)[name].shape[1:] == (cap, cap)
        assert_is_true(name, kernels(cap)[name][lane], TRUE[name](KEY, shape))


@pytest.mark.parametrize("name", TRUE)
def test_a_layer_that_is_not_there_is_zero(name):
    assert (kernels(90)[name][-1] == 0).all()


@pytest.mark.parametrize(
    ("name", "gain", "fan"),
    [
        ("glorot_uniform", 1, lambda a, b: (a + b) / 2),
        ("glorot_normal", 1, lambda a, b: (a + b) / 2),
        ("he_uniform", 2, lambda a, b: a),
        ("he_normal", 2, lambda a, b: a),
        ("lecun_uniform", 1, lambda a, b: a),
        ("lecun_normal", 1, lambda a, b: a),
    ],
)
def test_moments_and_support_follow_the_true_fans(name, gain, fan):
    for lane, (a, b) in enumerate(SHAPES):
        block, variance = kernels(128)[name][lane][:a, :b], gain / fan(a, b)
        bound = np.sqrt(3 * variance) if name.endswith("uniform") else 2 * np.sqrt(variance) / 0.8796256610342398
        assert 0.9 * bound < abs(block).max() <= bound * 1.000001
        assert abs(block.mean()) < 4 * np.sqrt(variance / (a * b))
        assert abs(block.var() / variance - 1) < 8 / np.sqrt(a * b)


def test_orthogonal_blocks_are_orthogonal():
    for lane, (a, b) in enumerate(SHAPES):
        block = kernels(128)["orthogonal"][lane][:a, :b]
        product = block.T @ block if a >= b else block @ block.T
        np.testing.assert_allclose(product, np.eye(min(a, b)), atol=1e-5)


def test_a_chosen_initializer_is_the_one_named():
    names = ("orthogonal", "zeros", "he_normal", "glorot_uniform", "constant")

    def make(hp):
        sizes = (packed_size(hp.a), packed_size(6))
        return initializer(hp.init, hp.scale)(jax.random.fold_in(KEY, jnp.asarray(hp.a)), sizes)

    configs = [{"init": name, "a": 4 + i, "scale": 0.5} for i, name in enumerate(names)]
    found, session = in_lanes(make, {"init": Choice(*names), "a": Int(1, 10), "scale": Float(0.0, 1.0)}, configs)
    assert session.kinds() == {"init": "packed", "a": "packed", "scale": "traced"}
    for lane, config in enumerate(configs):
        key, shape = jax.random.fold_in(KEY, config["a"]), (config["a"], 6)
        true = 0.5 * (TRUE if config["init"] != "constant" else {"constant": jax_has.ones})[config["init"]](key, shape)
        assert_is_true(config["init"], found[lane], true)


FLAT = ("he_normal", "glorot_uniform", "orthogonal")


def test_kernels_of_more_axes_have_the_fans_of_flax():
    def make(hp):
        inside, out = packed_size(hp.a), packed_size(hp.b)
        heads = (inside, packed_size(hp.b), packed_size(hp.c))
        conv = {name: made(name, KEY, (3, 2, inside, out)) for name in FLAT}
        general = {name: initializer(name)(KEY, heads, in_axis=0, out_axis=(1, 2)) for name in FLAT}
        back = {name: initializer(name)(KEY, heads[::-1], in_axis=(0, 1), out_axis=2) for name in FLAT}
        return conv, general, back

    configs = [{"a": 4, "b": 3, "c": 2}, {"a": 7, "b": 2, "c": 5}, {"a": 9, "b": 2, "c": 2}]
    (conv, general, back), _ = in_lanes(make, {name: Int(1, 9) for name in "abc"}, configs)
    for lane, config in enumerate(configs):
        a, b, c = config.values()
        for name in FLAT:
            assert_is_true(name, conv[name][lane], TRUE[name](KEY, (3, 2, a, b)))
            assert_is_true(name, general[name][lane], TRUE[name](KEY, (a, b * c)).reshape(a, b, c))
            assert_is_true(name, back[name][lane], TRUE[name](KEY, (c * b, a)).reshape(c, b, a))


@pytest.mark.parametrize("name", TRUE)
def test_plain_sizes_give_what_jax_gives_with_any_key(name):
    key = jax.random.key(1, impl="rbg")
    for shape in ((4, 6), (6, 4), (2, 4, 3))[: 2 if name == "embedding" else 3]:
        np.testing.assert_allclose(made(name, key, shape), TRUE[name](key, shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_values_have_the_dtype_asked_for(dtype):
    for name in ("glorot_uniform", "he_normal", "normal", "constant", "orthogonal"):
        assert initializer(name, 0.5)(KEY, (4, 6), dtype).dtype == dtype


def test_plain_sizes_of_a_layer_that_is_not_there_are_empty():
    assert {made(name, KEY, (4, 0)).shape for name in TRUE} == {(4, 0)}


def test_an_initializer_serves_layers_of_flax():
    kernel = nn.Dense(5, kernel_init=initializer("he_normal")).init(KEY, jnp.ones((1, 3)))["params"]["kernel"]
    np.testing.assert_array_equal(
        kernel, nn.Dense(5, kernel_init=nn.initializers.he_normal()).init(KEY, jnp.ones((1, 3)))["params"]["kernel"]
    )


def test_the_scale_multiplies():
    for name in TRUE:
        if name != "constant":
            unit = initializer(name, 1.0)(KEY, (3, 4))
            np.testing.assert_allclose(initializer(name, 0.25)(KEY, (3, 4)), 0.25 * unit, rtol=1e-6)


def test_functions_serve_plain_sizes_and_sizeless_ones_packed_sizes_too():
    own = initializer(lambda key, shape, dtype: jnp.full(shape, 2, dtype))
    assert own(KEY, (packed_size(2), 3), jnp.float32).tolist() == [[2, 2, 2]] * 2
    assert initializer(own) is own
    found, _ = in_lanes(
        lambda hp: initializer(nn.initializers.ones_init())(KEY, (packed_size(hp.a),)), {"a": Int(1, 4)}, [{"a": 3}]
    )
    assert found.tolist() == [[1, 1, 1, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda hp: initializer("hee_normal"), "one of constant, embedding, .*'hee_normal' was given"),
        (lambda hp: initializer(3), "3 was given"),
        (lambda hp: initializer(hp.init), "'typo' was given"),
        (lambda hp: initializer("constant"), "needs its value"),
        (lambda hp: initializer(jax_has.he_normal(), 2.0), "a function was given"),
        (lambda hp: initializer("he_normal")(KEY, (packed_size(hp.a),)), "at least two axes"),
        (lambda hp: initializer(jax_has.he_normal())(KEY, (packed_size(hp.a), 3)), "true size; .*he_normal|glorot"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        in_lanes(make, {"a": Int(1, 4), "init": Choice("zeros", "typo")}, [{"a": 3, "init": "zeros"}])
