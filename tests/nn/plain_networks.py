"""Convolutional networks and transformers of ordinary Flax, which the packed ones must equal, and how to compare them.

In nnx, keys are drawn in the order of the packed networks.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx
from nn.lanes import assert_padded, in_lanes

from vtune.hyper import PlainHP
from vtune.nn.sizes import ledger, masked
from vtune.rng import implementation
from vtune.tasks.network import build


class LinenCNN(linen.Module):
    features: int
    depth: int
    dropout: float

    @linen.compact
    def __call__(self, x, train=False):
        for stage in range(2):
            for at in range(self.depth):
                name, strides = f"{stage}_{at}", 2 if stage and at == 0 else 1
                x = linen.Conv(self.features * 2**stage, (3, 3), strides, name=f"conv_{name}")(x)
                x = linen.tanh(linen.BatchNorm(use_running_average=not train, name=f"norm_{name}")(x))
                x = linen.Dropout(self.dropout, deterministic=not train, name=f"dropout_{name}")(x)
        return linen.Dense(3, name="out")(x.mean((1, 2)))


class NnxCNN(nnx.Module):
    def __init__(self, features, depth, dropout, rngs):
        rngs, inputs = rngs.fork(), 2
        self.out, self.depth = nnx.Linear(2 * features, 3, rngs=rngs), depth
        for stage in range(2):
            keys = rngs.fork()
            for at in range(depth):
                name, strides, channels = f"{stage}_{at}", 2 if stage and at == 0 else 1, features * 2**stage
                setattr(self, f"conv_{name}", nnx.Conv(inputs, channels, (3, 3), strides, rngs=keys))
                setattr(self, f"norm_{name}", nnx.BatchNorm(channels, rngs=nnx.Rngs(0)))
                setattr(self, f"dropout_{name}", nnx.Dropout(dropout, rngs=keys))
                inputs = channels

    def __call__(self, x):
        for stage in range(2):
            for at in range(self.depth):
                name = f"{stage}_{at}"
                x = nnx.tanh(getattr(self, f"norm_{name}")(getattr(self, f"conv_{name}")(x)))
                x = getattr(self, f"dropout_{name}")(x)
        return self.out(x.mean((1, 2)))


class LinenBlock(linen.Module):
    heads: int
    width: int
    hidden: int
    dropout: float

    @linen.compact
    def __call__(self, x, train):
        drop = functools.partial(linen.Dropout, self.dropout, deterministic=not train)
        attention = linen.MultiHeadDotProductAttention(self.heads, name="attention")
        x = x + drop(name="dropout_0")(attention(linen.LayerNorm(name="norm_0")(x)))
        y = linen.gelu(linen.Dense(self.hidden, name="hidden")(linen.LayerNorm(name="norm_1")(x)))
        return x + drop(name="dropout_1")(linen.Dense(self.width, name="out")(y))


class LinenStack(linen.Module):
    heads: int
    width: int
    depth: int
    hidden: int
    dropout: float

    @linen.compact
    def __call__(self, x, train=False):
        for at in range(self.depth):
            x = LinenBlock(self.heads, self.width, self.hidden, self.dropout, name=f"block_{at}")(x, train)
        return linen.LayerNorm(name="norm")(x)


class LinenTokens(linen.Module):
    """A stack between an embedding and a last layer, which are packed or not."""

    layers: object
    stack: linen.Module
    width: object

    @linen.compact
    def __call__(self, x, train=False):
        x = self.layers.Embed(7, self.width)(x)
        return self.layers.Dense(3)(self.stack(x, train=train).mean(-2))


class NnxBlock(nnx.Module):
    def __init__(self, heads, width, hidden, dropout, rngs):
        self.norm_0, self.norm_1 = (nnx.LayerNorm(width, rngs=nnx.Rngs(0)) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.hidden, self.out = nnx.Linear(width, hidden, rngs=rngs), nnx.Linear(hidden, width, rngs=rngs)
        self.dropout_0, self.dropout_1 = nnx.Dropout(dropout, rngs=rngs), nnx.Dropout(dropout, rngs=rngs)

    def __call__(self, x):
        x = x + self.dropout_0(self.attention(self.norm_0(x)))
        return x + self.dropout_1(self.out(nnx.gelu(self.hidden(self.norm_1(x)))))


class NnxStack(nnx.Module):
    def __init__(self, heads, width, depth, hidden, dropout, rngs):
        rngs, self.depth = rngs.fork(), depth
        self.norm = nnx.LayerNorm(width, rngs=nnx.Rngs(0))
        for at in range(depth):
            setattr(self, f"block_{at}", NnxBlock(heads, width, hidden, dropout, rngs))

    def __call__(self, x):
        for at in range(self.depth):
            x = getattr(self, f"block_{at}")(x)
        return self.norm(x)


class NnxTokens(nnx.Module):
    """A stack between an embedding and a last layer, which are packed or not."""

    def __init__(self, layers, stack, width, rngs):
        self.embed, self.last = layers.Embed(7, width, rngs=rngs), layers.Linear(width, 3, rngs=rngs)
        self.stack = stack

    def __call__(self, x):
        return self.last(self.stack(self.embed(x)).mean(-2))


def trained(models, space, configs, x, steps=50):
    """(lanes of one packed program, each small network alone, the program's session); models are (packed, plain)."""
    packed, plain = (functools.partial(_train, model, x, steps) for model in models)
    lanes, session = in_lanes(packed, space, configs)
    return lanes, [jax.jit(functools.partial(plain, PlainHP(config)))() for config in configs], session


def _train(model, x, steps, hp):
    key, labels = jax.random.key(3, impl=implementation("pcg")), jnp.arange(len(x)) % 3
    with ledger() as made:
        network = build(model, hp, key)
        params, extra = network.init(key, (x,))
        sizes = jax.tree.map(made.sizes, params)
    optimizer = optax.sgd(hp.lr, 0.9)

    def loss(params, extra, key):
        outputs, extra = network.apply(params, extra, (x,), key, True)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels).mean(), extra

    def step(carried, count):
        params, extra, state = carried
        (value, extra), grads = jax.value_and_grad(loss, has_aux=True)(params, extra, jax.random.fold_in(key, count))
        updates, state = optimizer.update(grads, state, params)
        padding = optax.global_norm(jax.tree.map(lambda grad, size: grad - masked(grad, size), grads, sizes))
        return (optax.apply_updates(params, updates), extra, state), (value, padding)

    (last, extra, _), (losses, padding) = jax.lax.scan(step, (params, extra, optimizer.init(params)), jnp.arange(steps))
    outputs, _ = network.apply(last, extra, (x,), key, False)
    return {"params": by_path(params), "losses": losses, "padding": padding, "outputs": outputs}


def by_path(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def assert_the_same(lanes, alone):
    """Each lane starts as the small network, padded with zeros, and trains like it; padding never has a gradient."""
    assert not lanes["padding"].any()
    for lane, expected in enumerate(alone):
        assert set(expected["params"]) <= set(lanes["params"])
        for path, padded in lanes["params"].items():
            true = expected["params"].get(path, np.zeros((0,) * (padded.ndim - 1)))
            assert_padded(padded[lane], true, rtol=2e-6, atol=1e-7)
        np.testing.assert_allclose(lanes["losses"][lane], expected["losses"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(lanes["outputs"][lane], expected["outputs"], rtol=1e-2, atol=1e-3)
