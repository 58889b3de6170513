"""Packed attention, embeddings and transformers, in linen and nnx."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from nn.lanes import assert_padded, in_lanes
from nn.plain_networks import LinenStack, LinenTokens, NnxStack, NnxTokens, assert_the_same, by_path, trained

from vtune import nn as vnn
from vtune.errors import ArgumentError
from vtune.hyper import PlainHP
from vtune.nn import nnx as vnnx
from vtune.space import Choice, Float, Int, Space

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (2, 5, 6))
MASK = linen.make_causal_mask(jnp.ones((2, 5)))
SPACE = Space(heads=Choice(4, 1, 2), width=Int(4, 12, step=4), depth=Int(1, 2))
CONFIGS = [
    {"heads": 2, "width": 8, "depth": 2},
    {"heads": 4, "width": 4, "depth": 1},
    {"heads": 1, "width": 12, "depth": 2},
]


def linen_attention(layers, heads, width, x):
    layer = layers.MultiHeadDotProductAttention(heads, qkv_features=width, out_features=width)
    outputs, variables = layer.init_with_output(KEY, x, mask=MASK)
    return outputs, variables["params"]


def nnx_attention(layers, heads, width, x):
    options = {} if layers is vnnx else {"decode": False}
    layer = layers.MultiHeadAttention(heads, 6, width, width, rngs=nnx.Rngs(0), **options)
    return layer(x, mask=MASK), nnx.to_pure_dict(nnx.state(layer, nnx.Param))


ATTENTION = {"linen": (linen_attention, vnn, linen), "nnx": (nnx_attention, vnnx, nnx)}


@pytest.mark.parametrize("shell", ATTENTION)
def test_packed_attention_is_the_small_one(shell):
    attention, packed, plain = ATTENTION[shell]
    (outputs, params), session = in_lanes(lambda hp: attention(packed, hp.heads, hp.width, X), SPACE, CONFIGS)
    assert session.kinds() == {"heads": "packed", "width": "packed", "depth": "traced"}
    assert params["query"]["kernel"].shape == (3, 6, 4, 12)
    for lane, config in enumerate(CONFIGS):
        expected, values = jax.jit(functools.partial(attention, plain, config["heads"], config["width"], X))()
        assert_padded(outputs[lane], expected, rtol=1e-5, atol=1e-6)
        for path, true in by_path(values).items():
            assert_padded(by_path(params)[path][lane], true, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("shell", ATTENTION)
def test_plain_numbers_make_the_attention_of_flax(shell):
    attention, packed, plain = ATTENTION[shell]
    given, expected = (jax.jit(functools.partial(attention, layers, 2, 8, X))() for layers in (packed, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), given, expected)


def test_attention_looks_at_another_sequence():
    other = jax.random.normal(KEY, (2, 3, 6))
    layers = (vnn.MultiHeadDotProductAttention(2), linen.MultiHeadDotProductAttention(2))
    given, expected = (jax.jit(layer.init_with_output)(KEY, X, other)[0] for layer in layers)
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-6)


def test_a_function_initializes_as_in_flax():
    init = linen.initializers.he_uniform()
    modules = (vnn.MultiHeadDotProductAttention, linen.MultiHeadDotProductAttention)
    given, expected = (jax.jit(module(2, kernel_init=init).init)(KEY, X) for module in modules)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), given, expected)


def test_heads_must_share_the_width():
    with pytest.raises(ArgumentError, match="width 6 and 4 heads were given"):
        vnn.MultiHeadDotProductAttention(4).init(KEY, X)
    space = Space(heads=Int(1, 4), width=Int(4, 8))
    with pytest.raises(ArgumentError, match="constraints="):
        in_lanes(lambda hp: linen_attention(vnn, hp.heads, hp.width, X)[0], space, [{"heads": 3, "width": 8}])


def test_a_block_says_what_it_needs():
    with pytest.raises(ArgumentError, match=r"width 8 takes \[..., positions, 8\]; \[2, 5, 6\] was given"):
        vnn.TransformerBlock(2, 8).init(KEY, X)
    with pytest.raises(ArgumentError, match="whole numbers; an array of float32"):
        vnn.Embed(5, 4).init(KEY, X)


@pytest.mark.parametrize("mask", [None, MASK], ids=["free", "causal"])
def test_positions_look_where_they_may(mask):
    block = vnn.TransformerBlock(2, 6)
    variables = jax.jit(block.init)(KEY, X)
    apply = jax.jit(lambda x: block.apply(variables, x, mask))
    before, after = apply(X), apply(X.at[:, -1].add(1.0))
    assert bool((before[:, :-1] == after[:, :-1]).all()) == (mask is not None)


def test_packed_embeddings_are_the_small_ones():
    tokens = jnp.array([[0, 3, 1]])
    embedded, session = in_lanes(lambda hp: vnn.Embed(5, 2 * hp.width).init_with_output(KEY, tokens)[0], SPACE, CONFIGS)
    assert session.kinds()["width"] == "packed"
    for lane, config in enumerate(CONFIGS):
        assert_padded(embedded[lane], linen.Embed(5, 2 * config["width"]).init_with_output(KEY, tokens)[0], rtol=2e-6)


def linen_tokens(layers, stack):
    def model(hp):
        return LinenTokens(
            layers, stack(hp.heads, hp.width, hp.depth, hp.hidden, dropout=hp.dropout, name="net"), hp.width
        )

    return model


def nnx_tokens(layers, stack):
    def model(hp, rngs):
        made = stack(hp.heads, hp.width, hp.depth, hp.hidden, dropout=hp.dropout, rngs=rngs)
        return NnxTokens(layers, made, hp.width, rngs)

    return model


NETWORKS = {
    "linen": (linen_tokens(vnn, vnn.Transformer), linen_tokens(linen, LinenStack)),
    "nnx": (nnx_tokens(vnnx, vnnx.Transformer), nnx_tokens(nnx, NnxStack)),
}


@pytest.mark.parametrize("shell", ["linen", pytest.param("nnx", marks=pytest.mark.slow)])
def test_a_packed_transformer_trains_like_the_small_one(shell):
    space = Space(
        heads=Choice(2, 1), width=Int(4, 8, step=4), depth=Int(1, 2), hidden=Int(4, 10), dropout=Float(0.0, 0.5),
        lr=Float(0.0, 1.0),
    )  # fmt: skip
    configs = [
        {"heads": 2, "width": 4, "depth": 1, "hidden": 7, "dropout": 0.3, "lr": 0.02},
        {"heads": 1, "width": 8, "depth": 2, "hidden": 10, "dropout": 0.0, "lr": 0.01},
    ]
    tokens = jax.random.randint(KEY, (6, 4), 0, 7)
    lanes, alone, session = trained(NETWORKS[shell], space, configs, tokens)
    assert [name for name, kind in session.kinds().items() if kind == "packed"] == ["heads", "width", "depth", "hidden"]
    assert_the_same(lanes, alone)


def test_plain_numbers_make_an_ordinary_transformer_in_nnx():
    hp = PlainHP({"heads": 2, "width": 4, "depth": 2, "hidden": 7, "dropout": 0.2})
    tokens = jnp.array([[0, 3, 1]])
    given, expected = (jax.jit(lambda model=model: model(hp, nnx.Rngs(0))(tokens))() for model in NETWORKS["nnx"])
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)
