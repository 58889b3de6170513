"""What is particular to the modules of flax.nnx: streams of keys, modes, definitions that are split and merged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from nn.lanes import assert_padded, in_lanes

from vtune.errors import ArgumentError
from vtune.hyper import packed_size
from vtune.nn import nnx as vnnx
from vtune.nn import rows
from vtune.nn.nnx.norm import norm_layer
from vtune.space import Choice, Float, Int, Space

X = jax.random.normal(jax.random.key(0), (6, 5))
SPACE = Space(
    width=Int(2, 9),
    depth=Int(1, 3),
    rate=Float(0.0, 0.9),
    act=Choice("tanh", "relu"),
    init=Choice("he_normal", "orthogonal"),
    norm=Choice("none", "batch", "rms"),
)
CONFIGS = [
    {"width": 4, "depth": 1, "rate": 0.5, "act": "relu", "init": "orthogonal", "norm": "batch"},
    {"width": 9, "depth": 3, "rate": 0.0, "act": "tanh", "init": "he_normal", "norm": "none"},
]
LAYERS = {
    "Linear": lambda layers, rngs: layers.Linear(5, 3, rngs=rngs),
    "Linear without bias": lambda layers, rngs: layers.Linear(5, 3, use_bias=False, dtype=jnp.bfloat16, rngs=rngs),
    "LayerNorm": lambda layers, rngs: layers.LayerNorm(5, rngs=rngs),
    "RMSNorm": lambda layers, rngs: layers.RMSNorm(5, epsilon=1e-3, rngs=rngs),
    "BatchNorm": lambda layers, rngs: layers.BatchNorm(5, momentum=0.5, rngs=rngs),
    "Dropout": lambda layers, rngs: layers.Dropout(0.5, *[5] * (layers is vnnx), rngs=rngs),
    "Embed": lambda layers, rngs: layers.Embed(7, 4, rngs=rngs),
}


def mlp(hp, rngs):
    return vnnx.MLP(
        5,
        features=hp.width,
        depth=hp.depth,
        out=2,
        activation=hp.act,
        dropout=hp.rate,
        norm=hp.norm,
        kernel_init=hp.init,
        rngs=rngs,
    )


def values(module):
    return nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState)))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_plain_numbers_make_the_layers_of_flax(make):
    given, expected = (make(layers, nnx.Rngs(3)) for layers in (vnnx, nnx))
    assert isinstance(given, type(expected))
    inputs = jnp.array([[1, 6]]) if isinstance(given, nnx.Embed) else X
    for mode in ("train", "eval"):
        getattr(given, mode)()
        getattr(expected, mode)()
        outputs = given(inputs), expected(inputs)
        assert outputs[0].dtype == outputs[1].dtype
        np.testing.assert_allclose(*(np.asarray(each, np.float32) for each in outputs), rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-6), values(given), values(expected))


def test_equal_plain_modules_have_equal_definitions():
    def make(width):
        model = vnnx.MLP(5, features=width, depth=2, out=3, dropout=0.5, norm="layer", rngs=nnx.Rngs(0))
        return nnx.graphdef(model)

    assert make(4) == make(4)
    assert hash(make(4)) == hash(make(4))
    assert make(4) != make(5)


def test_packed_modules_are_split_and_merged_without_a_question():
    def trained(hp):
        graphdef, *states = nnx.split(mlp(hp, nnx.Rngs(0)), nnx.Param, ...)
        params, others = map(nnx.to_pure_dict, states)
        assert hash(graphdef) == hash(nnx.graphdef(nnx.merge(graphdef, params, others)))

        def loss(params):
            return jnp.square(nnx.merge(graphdef, params, others)(X)).mean()

        model = nnx.merge(graphdef, params, others)
        by_nnx = nnx.jit(nnx.grad(lambda model: jnp.square(model(X)).mean()))(model)
        return jax.grad(loss)(params), nnx.to_pure_dict(by_nnx)

    (found, by_nnx), session = in_lanes(trained, SPACE, CONFIGS)
    jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, rtol=1e-5, atol=1e-7), found, by_nnx)
    assert session.kinds() == {name: "traced" if name == "rate" else "packed" for name in SPACE}
    assert found["hidden_1"]["kernel"].shape == (2, 9, 9)
    assert not found["hidden_1"]["kernel"][0].any()
    assert not found["out"]["kernel"][0, 4:].any()
    assert found["out"]["kernel"][0, :4].any()


def test_keys_of_other_layers_do_not_depend_on_the_structure():
    def after(depth, norm, dropout):
        rngs = nnx.Rngs(0)
        model = vnnx.MLP(5, features=4, depth=depth, out=2, norm=norm, dropout=dropout, rngs=rngs)
        return jax.random.key_data(rngs.params()), model.out.kernel[...], model.hidden_0.kernel[...]

    expected = after(1, None, 0.0)
    for depth, norm in ((2, "layer"), (3, "batch")):
        jax.tree.map(np.testing.assert_array_equal, after(depth, norm, 0.5), expected)


def test_a_packed_embedding_is_zero_around_the_small_one():
    tokens, query = jnp.array([[0, 2], [1, 1]]), jnp.ones((1, 9))

    def run(hp):
        layer = vnnx.Embed(hp.depth, hp.width, rngs=nnx.Rngs(0))
        return layer(tokens % jnp.asarray(hp.depth)), layer.attend(query)

    (vectors, scores), _ = in_lanes(run, SPACE, CONFIGS)
    for lane, config in enumerate(CONFIGS):
        small = nnx.Embed(config["depth"], config["width"], rngs=nnx.Rngs(0))
        assert_padded(vectors[lane], small(tokens % config["depth"]), rtol=2e-6)
        assert_padded(scores[lane], small.attend(query[:, : config["width"]]), rtol=1e-5)


def test_batch_norm_leaves_padded_rows_out():
    def run(hp):
        layer = vnnx.BatchNorm(5, momentum=0.0, rngs=nnx.Rngs(0))
        with rows.packed(packed_size(hp.width)):
            layer(jnp.concatenate([X, X[:3]]))
        return layer.mean[...], layer.var[...]

    (mean, variance), _ = in_lanes(run, SPACE, CONFIGS)
    np.testing.assert_allclose(mean[0], X[:4].mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance[0], X[:4].var(0), rtol=1e-5)


def test_dropout_takes_keys_from_whatever_it_is_given():
    key = jax.random.key(5)
    layer, bare = vnnx.Dropout(0.5, 5, rngs=nnx.Rngs(0)), vnnx.Dropout(0.5, 5)
    stream = nnx.Rngs(dropout=7).dropout
    expected = layer(X, rngs=nnx.Rngs(dropout=7))
    np.testing.assert_array_equal(bare(X, rngs=stream), expected)
    np.testing.assert_array_equal(bare(X, rngs=key), nnx.Dropout(0.5)(X, rngs=key))
    assert (layer(X) != layer(X)).any()
    rowwise = vnnx.Dropout(0.5, 5, broadcast_dims=(1,), rngs=nnx.Rngs(0))(jnp.ones((9, 5)))
    assert set(rowwise.sum(1).tolist()) == {0.0, 10.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: vnnx.Dropout(0.5, 5)(X), "it was given no rngs"),
        (lambda: vnnx.Dropout(0.5, 5, deterministic=None, rngs=nnx.Rngs(0))(X), "whether to drop"),
        (lambda: vnnx.BatchNorm(5, use_running_average=None, rngs=nnx.Rngs(0))(X), "its running average"),
        (lambda: norm_layer("group", packed_size(5)), "'group' was given"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
