"""Packed convolutions, in linen and nnx: those of the small network, and found by the patches strategy."""

import functools

import jax
import numpy as np
import pytest
from flax import linen, nnx
from nn.lanes import assert_padded, in_lanes
from nn.plain_networks import LinenCNN, NnxCNN, assert_the_same, trained

from vtune import nn as vnn
from vtune.errors import ArgumentError
from vtune.hyper import PlainHP
from vtune.nn import nnx as vnnx
from vtune.space import Choice, Float, Int, Space
from vtune.tasks.convolution import convolutions, in_linen, in_nnx

X = jax.random.normal(jax.random.key(1), (6, 6, 5, 2))
SPACE = Space(features=Int(2, 5), wide=Int(2, 8))
CONFIGS = [{"features": 3, "wide": 7}, {"features": 5, "wide": 2}]
LAYERS = {
    "two axes": (X, ((3, 3),), {}),
    "strides": (X, ((3, 2), (2, 1)), {"padding": "VALID", "use_bias": False}),
    "dilated": (X, ((2, 2),), {"kernel_dilation": 2, "padding": [(1, 0), (0, 2)]}),
    "transposed": (X, ((2, 2),), {"input_dilation": 2, "padding": [(1, 1), (1, 1)]}),
    "circular": (X, ((3, 3),), {"padding": "CIRCULAR"}),
    "one axis": (X[0, 0], (3,), {"padding": "CAUSAL"}),
}


def linen_net(layers, first, second, x, *args, **options):
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return layers.Conv(second, *args, **options)(linen.sigmoid(layers.Conv(first, *args, **options)(x)))

    outputs, variables = Net().init_with_output(jax.random.key(0), x)
    return outputs, variables["params"]["Conv_1"]["kernel"]


def nnx_net(layers, first, second, x, *args, **options):
    rngs = nnx.Rngs(0)
    net = nnx.List(
        [
            layers.Conv(x.shape[-1], first, *args, rngs=rngs, **options),
            layers.Conv(first, second, *args, rngs=rngs, **options),
        ]
    )
    return net[1](nnx.sigmoid(net[0](x))), net[1].kernel[...]


NETS = {"linen": (linen_net, vnn, linen), "nnx": (nnx_net, vnnx, nnx)}


@pytest.mark.parametrize(
    ("shell", "name"), [*(("linen", name) for name in LAYERS), ("nnx", "strides"), ("nnx", "one axis")]
)
def test_a_packed_layer_is_the_small_one(shell, name):
    (net, packed, plain), (x, args, options) = NETS[shell], LAYERS[name]
    (outputs, kernels), session = in_lanes(
        lambda hp: net(packed, hp.features, hp.wide, x, *args, **options), SPACE, CONFIGS
    )
    assert session.kinds() == {"features": "packed", "wide": "packed"}
    for lane, config in enumerate(CONFIGS):
        small = functools.partial(net, plain, config["features"], config["wide"], x, *args, **options)
        expected, kernel = jax.jit(small)()
        assert_padded(kernels[lane], kernel, rtol=2e-6, atol=1e-7)
        assert_padded(outputs[lane], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shell", NETS)
def test_plain_numbers_make_the_layer_of_flax(shell):
    net, packed, plain = NETS[shell]
    given, expected = (
        jax.jit(functools.partial(net, layers, 4, 6, X, (3, 3), feature_group_count=2))() for layers in (packed, plain)
    )
    jax.tree.map(np.testing.assert_array_equal, given, expected)


def test_groups_of_packed_channels_are_refused():
    with pytest.raises(ArgumentError, match="one group of them; feature_group_count=2 was given"):
        in_lanes(lambda hp: linen_net(vnn, hp.features, 4, X, (3, 3), feature_group_count=2), SPACE, CONFIGS)


def linen_features(x):
    model = vnn.CNN(features=4, depth=1)
    variables = model.init(jax.random.key(0), X)
    with in_linen():
        return model.apply(variables, x)


def nnx_features(x):
    return in_nnx(vnnx.CNN(2, features=4, depth=1, rngs=nnx.Rngs(0)))(x)


@pytest.mark.parametrize("features", [linen_features, nnx_features])
def test_patches_take_the_place_of_convolutions(features):
    def gradients(way):
        with convolutions(way):
            return jax.jit(jax.grad(lambda x: features(x).sum())).lower(X)

    patches, direct = gradients("patches"), gradients("direct")
    assert patches.as_text().count("stablehlo.convolution") < direct.as_text().count("stablehlo.convolution")
    np.testing.assert_allclose(patches.compile()(X), direct.compile()(X), rtol=1e-4, atol=1e-6)


NETWORKS = {
    "linen": (
        lambda hp: vnn.CNN(hp.features, hp.depth, 3, 2, activation="tanh", dropout=hp.dropout, norm="batch"),
        lambda hp: LinenCNN(hp.features, hp.depth, hp.dropout),
    ),
    "nnx": (
        lambda hp, rngs: vnnx.CNN(
            2, features=hp.features, depth=hp.depth, out=3, stages=2, activation="tanh", dropout=hp.dropout,
            norm="batch", rngs=rngs,
        ),
        lambda hp, rngs: NnxCNN(hp.features, hp.depth, hp.dropout, rngs),
    ),
}  # fmt: skip


@pytest.mark.parametrize("shell", ["linen", pytest.param("nnx", marks=pytest.mark.slow)])
def test_a_packed_cnn_trains_like_the_small_one(shell):
    space = Space(features=Int(2, 5), depth=Int(1, 2), dropout=Float(0.0, 0.5), lr=Float(0.0, 1.0))
    configs = [
        {"features": 3, "depth": 1, "dropout": 0.3, "lr": 0.05},
        {"features": 5, "depth": 2, "dropout": 0.1, "lr": 0.02},
    ]
    lanes, alone, session = trained(NETWORKS[shell], space, configs, X)
    assert session.kinds() == {"features": "packed", "depth": "packed", "dropout": "traced", "lr": "traced"}
    assert_the_same(lanes, alone)


def test_plain_numbers_make_an_ordinary_cnn_in_nnx():
    hp = PlainHP({"features": 3, "depth": 2, "dropout": 0.2})
    given, expected = (jax.jit(lambda model=model: model(hp, nnx.Rngs(0))(X))() for model in NETWORKS["nnx"])
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


def test_a_cnn_without_a_last_layer_gives_pooled_features():
    model = vnn.CNN(features=4, depth=1, stages=2, pool="max")
    outputs, variables = model.init_with_output(jax.random.key(0), X)
    assert outputs.shape == (6, 8)
    assert set(variables["params"]) == {"conv_0_0", "conv_1_0"}
    with pytest.raises(ArgumentError, match="pool is mean or max; 'sum' was given"):
        vnn.CNN(4, 1, pool="sum").init(jax.random.key(0), X)
    assert vnnx.CNN(2, features=4, depth=1, pool="max", rngs=nnx.Rngs(0))(X).shape == (6, 4)


def test_initializers_of_kernels_are_drawn_with_the_true_fan():
    space = Space(features=Choice(3, 6), init=Choice("he_normal", "orthogonal"))
    configs = [{"features": 3, "init": "orthogonal"}, {"features": 6, "init": "he_normal"}]
    kernels, _ = in_lanes(
        lambda hp: vnn.Conv(hp.features, (2, 2), kernel_init=hp.init).init(jax.random.key(0), X)["params"]["kernel"],
        space,
        configs,
    )
    for lane, (features, init) in enumerate(((3, "orthogonal"), (6, "he_normal"))):
        layer = linen.Conv(features, (2, 2), kernel_init=getattr(linen.initializers, init)())
        assert_padded(kernels[lane], layer.init(jax.random.key(0), X)["params"]["kernel"], rtol=1e-5, atol=1e-6)
