"""Uses of flax.linen with a hyperparameter `h` in place of a number: initialised, applied and differentiated."""

from __future__ import annotations

import functools
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from uses import FLOATS as F
from uses import Use

I = (4, 8, 4)  # noqa: E741
ZERO = (0.0, 0.1, 0.2)
KEY = jax.random.key(0)
RNGS = {"params": KEY, "dropout": jax.random.key(1)}
X = jnp.ones((4, 8))
IMAGE = jnp.ones((2, 8, 8, 4))
SEQUENCE = jnp.ones((2, 6, 8))
TOKENS = jnp.ones((2, 6), int)


def trained(make, *inputs):
    """The use: variables of the module that `make` gives, its outputs and its gradients."""

    def use(h):
        module = make(h)
        variables = module.init(RNGS, *inputs)

        def outputs(params):
            return module.apply({**variables, "params": params}, *inputs, rngs={"dropout": KEY}, mutable=True)

        def total(params):
            return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(outputs(params)[0]))

        params = variables.get("params", {})
        return variables, outputs(params), jax.grad(total)(params) if params else 0

    return use


def of(make, *inputs, values=F):
    return Use(trained(make, *inputs), values)


class Block(nn.Module):
    rate: Any
    features: Any = 8
    gain: Any = 1.0

    @nn.compact
    def __call__(self, x, _=None):
        y = nn.Dense(self.features)(x) * self.gain
        return nn.Dropout(self.rate, deterministic=False)(y) if self.rate > 0 else y


class Cell(Block):
    @nn.compact
    def __call__(self, carry, _):
        return carry + nn.Dropout(self.rate, deterministic=False)(nn.Dense(8)(carry)) * self.gain, None


class SetUp(nn.Module):
    width: Any
    depth: Any
    rate: Any

    def setup(self):
        self.layers = [nn.Dense(self.width) for _ in range(self.depth)]
        self.dropout = nn.Dropout(self.rate, deterministic=False)
        self.options = {"rate": self.rate, "both": (self.rate, self.width)}

    def __call__(self, x):
        for layer in self.layers:
            x = self.dropout(nn.relu(layer(x)))
        return x * self.options["rate"] * self.options["both"][1]


class Scanned(nn.Module):
    rate: Any

    @nn.compact
    def __call__(self, x):
        cells = nn.scan(Cell, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True}, length=3)
        return cells(self.rate)(x, None)[0]


class RematInside(nn.Module):
    rate: Any

    @nn.compact
    def __call__(self, x):
        return nn.remat(Block)(self.rate)(x)


class Stored(nn.Module):
    h: Any

    @nn.compact
    def __call__(self, x):
        a = self.param("a", lambda key: self.h)
        b = self.param("b", nn.initializers.constant(self.h), ())
        return x * a * b * self.variable("state", "v", lambda: self.h).value


class Recurrent(nn.Module):
    h: Any

    @nn.compact
    def __call__(self, x):
        cell = nn.scan(nn.GRUCell, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)(8)
        return cell(cell.initialize_carry(KEY, (2, 8)) * self.h, x)[1]


class While(nn.Module):
    h: Any

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x)
        return nn.while_loop(lambda m, c: c[1] < 3, lambda m, c: (c[0] * self.h, c[1] + 1), self, (x, 0))[0]


class Cond(nn.Module):
    h: Any

    @nn.compact
    def __call__(self, x):
        dense = nn.Dense(8)
        return nn.cond(self.h > 0.15, lambda m, v: dense(v), lambda m, v: dense(v) * 2, self, x)


class Jitted(nn.Module):
    h: Any

    @nn.jit
    @nn.compact
    def __call__(self, x):
        return nn.Dense(8)(x) * self.h if self.h > 0.15 else nn.Dense(8)(x)


class Remat(nn.Module):
    h: Any

    @nn.remat
    @nn.compact
    def __call__(self, x):
        return nn.Dense(8)(x) * self.h if self.h > 0.15 else nn.Dense(8)(x)


class Named(nn.Module):
    h: Any

    @nn.compact
    def __call__(self, x):
        return nn.Dense(8, name=f"dense{self.h}")(x)


@flax.struct.dataclass
class Struct:
    a: float


def spectral(**options):
    def use(h):
        module = nn.SpectralNorm(nn.Dense(4), **dict.fromkeys(options, h))
        return module.init(RNGS, X, update_stats=True)

    return use


def vmapped(rate, **options):
    return nn.vmap(Block, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True})(rate, **options)


def jit_init_apply(h):
    module = Block(h, gain=h)
    return jax.jit(module.apply)(jax.jit(module.init)(RNGS, X), X, rngs=RNGS)


def jit_static_module(h):
    module = Block(h, gain=h)
    run = jax.jit(lambda m, v: m.apply(v, X, rngs=RNGS), static_argnums=0)
    return run(module, module.init(RNGS, X))


def train_state(h):
    tx = optax.adamw(h, weight_decay=h)
    state = TrainState.create(apply_fn=None, params={"w": X}, tx=tx)
    return state.apply_gradients(grads={"w": X}).params


def scaled_variables(h):
    return nn.map_variables(Block, "params", lambda v: jax.tree.map(lambda a: a * h, v), init=True)(h)


def half(h):
    dense = nn.Dense(4, dtype=jnp.bfloat16, param_dtype=jnp.bfloat16)
    return nn.Sequential([dense, lambda v: v * h, nn.Dropout(h, deterministic=False)])


LAYERS = {
    "Dropout": of(lambda h: nn.Dropout(h, deterministic=False), X),
    "Dropout, zero": of(lambda h: nn.Dropout(h, deterministic=False), X, values=(0.0, 0.2, 1.0)),
    "Dropout, broadcast": of(lambda h: nn.Dropout(h, broadcast_dims=(1,), deterministic=False), X),
    "Dropout, off": of(lambda h: nn.Dropout(0.1, deterministic=h), X, values=(True, False)),
    "BatchNorm, momentum": of(lambda h: nn.BatchNorm(False, momentum=h), X),
    "BatchNorm, epsilon": of(lambda h: nn.BatchNorm(False, epsilon=h), X),
    "LayerNorm": of(lambda h: nn.LayerNorm(epsilon=h), X),
    "RMSNorm": of(lambda h: nn.RMSNorm(epsilon=h), X),
    "GroupNorm, groups": of(lambda h: nn.GroupNorm(h), X, values=(2, 4, 2)),
    "GroupNorm, epsilon": of(lambda h: nn.GroupNorm(2, epsilon=h), X),
    "GroupNorm, size": of(lambda h: nn.GroupNorm(None, group_size=h), X, values=(2, 4)),
    "InstanceNorm": of(lambda h: nn.InstanceNorm(epsilon=h), IMAGE),
    "SpectralNorm, epsilon": Use(spectral(epsilon=...)),
    "SpectralNorm, steps": Use(spectral(n_steps=...), (1, 2)),
    "WeightNorm": of(lambda h: nn.WeightNorm(nn.Dense(4), epsilon=h), X),
    "Dense": of(lambda h: nn.Dense(h), X, values=I),
    "Dense, kernel_init": of(
        lambda h: nn.Dense(4, kernel_init=nn.initializers.variance_scaling(h, "fan_in", "normal")), X
    ),
    "Dense, bias_init": of(lambda h: nn.Dense(4, bias_init=nn.initializers.constant(h)), X),
    "DenseGeneral": of(lambda h: nn.DenseGeneral((h, 2)), X, values=I),
    "DenseGeneral, axis": of(lambda h: nn.DenseGeneral(4, axis=h), SEQUENCE, values=(-1, 1)),
    "Conv, features": of(lambda h: nn.Conv(h, (3, 3)), IMAGE, values=I),
    "Conv, kernel": of(lambda h: nn.Conv(4, (h, h)), IMAGE, values=(3, 5)),
    "Conv, one kernel": of(lambda h: nn.Conv(4, h), SEQUENCE, values=(3, 5)),
    "Conv, stride": of(lambda h: nn.Conv(4, (3, 3), strides=h), IMAGE, values=(1, 2)),
    "Conv, strides": of(lambda h: nn.Conv(4, (3, 3), strides=(h, h)), IMAGE, values=(1, 2)),
    "Conv, padding": of(lambda h: nn.Conv(4, (3, 3), padding=h), IMAGE, values=(1, 2)),
    "Conv, dilation": of(lambda h: nn.Conv(4, (3, 3), kernel_dilation=h), IMAGE, values=(1, 2)),
    "Conv, groups": of(lambda h: nn.Conv(4, (3, 3), feature_group_count=h), IMAGE, values=(1, 2)),
    "ConvTranspose": of(lambda h: nn.ConvTranspose(h, (3, 3)), IMAGE, values=I),
    "ConvLocal": of(lambda h: nn.ConvLocal(h, (3, 3)), IMAGE, values=I),
    "Embed, entries": of(lambda h: nn.Embed(h, 8), TOKENS, values=I),
    "Embed, features": of(lambda h: nn.Embed(8, h), TOKENS, values=I),
    "Einsum": of(lambda h: nn.Einsum((8, h), "bi,ij->bj"), X, values=I),
    "attention, heads": of(
        lambda h: nn.MultiHeadDotProductAttention(num_heads=h, deterministic=True), SEQUENCE, values=(2, 4, 2)
    ),
    "attention, dropout": of(
        lambda h: nn.MultiHeadDotProductAttention(2, dropout_rate=h, deterministic=False), SEQUENCE
    ),
    "attention, features": of(
        lambda h: nn.MultiHeadDotProductAttention(2, qkv_features=h, deterministic=True), SEQUENCE, values=I
    ),
    "attention, out": of(
        lambda h: nn.MultiHeadDotProductAttention(2, out_features=h, deterministic=True), SEQUENCE, values=I
    ),
    "self-attention, dropout": of(lambda h: nn.SelfAttention(2, dropout_rate=h, deterministic=False), SEQUENCE),
    "dot_product_attention": Use(
        lambda h: nn.dot_product_attention(
            *[SEQUENCE[:, :, None]] * 3, dropout_rate=h, dropout_rng=KEY, deterministic=False
        )
    ),
    "LSTM": of(lambda h: nn.RNN(nn.LSTMCell(h)), SEQUENCE, values=I),
    "OptimizedLSTM": of(lambda h: nn.RNN(nn.OptimizedLSTMCell(h)), SEQUENCE, values=I),
    "GRU": of(lambda h: nn.RNN(nn.GRUCell(h)), SEQUENCE, values=I),
    "MGU": of(lambda h: nn.RNN(nn.MGUCell(h)), SEQUENCE, values=I),
    "ConvLSTM": of(lambda h: nn.RNN(nn.ConvLSTMCell(h, (3,))), jnp.ones((2, 3, 6, 4)), values=I),
    "RNN, unroll": of(lambda h: nn.RNN(nn.GRUCell(4), unroll=h), SEQUENCE, values=(1, 2)),
    "PReLU": of(lambda h: nn.PReLU(negative_slope_init=h), X),
    "leaky_relu": Use(lambda h: nn.leaky_relu(X, h)),
    "max_pool": of(lambda h: nn.Sequential([lambda v: nn.max_pool(v, (h, h), (h, h))]), IMAGE, values=(2, 4)),
    "avg_pool": of(lambda h: nn.Sequential([lambda v: nn.avg_pool(v, (h, h))]), IMAGE, values=(2, 4)),
    "Sequential": of(
        lambda h: nn.Sequential(
            [nn.Dense(8), lambda v: v * h, nn.Dropout(h, deterministic=False), nn.LayerNorm(epsilon=h)]
        ),
        X,
    ),
    "Sequential, if": of(
        lambda h: nn.Sequential([nn.Dense(8), *([nn.Dropout(h, deterministic=False)] if h else [])]),
        X,
        values=(0.0, 0.2, 0.0),
    ),
    "Sequential, derived": of(
        lambda h: nn.Sequential([nn.Dense(4), nn.Dropout(h * 0.5 + 0.1, deterministic=False)]), X
    ),
    "bf16": of(half, X),
}

MODULES = {
    "compact": of(lambda h: Block(h, gain=h), X),
    "compact, zero": of(lambda h: Block(h, gain=h), X, values=ZERO),
    "compact, features": of(lambda h: Block(0.1, features=h), X, values=I),
    "compact, twice the features": of(lambda h: Block(0.1, features=2 * h), X, values=I),
    "setup, rate": of(lambda h: SetUp(4, 2, h), X),
    "setup, width": of(lambda h: SetUp(h, 2, 0.1), X, values=I),
    "setup, depth": of(lambda h: SetUp(4, h, 0.1), X, values=(2, 3, 2)),
    "scan": of(Scanned, X),
    "remat inside": of(RematInside, X),
    "remat": of(lambda h: nn.remat(Block)(h), X),
    "remat_scan": of(lambda h: nn.remat_scan(functools.partial(Block, rate=h), lengths=(2, 2))(), X),
    "checkpoint, policy": of(lambda h: nn.checkpoint(Block, policy=jax.checkpoint_policies.dots_saveable)(h), X),
    "jit": of(lambda h: nn.jit(Block)(h, gain=h), X),
    "jit decorator": of(Jitted, X),
    "remat decorator": of(Remat, X),
    "vmap": of(vmapped, X),
    "vmap, if": of(lambda h: vmapped(h, gain=h), X, values=ZERO),
    "while_loop": Use(lambda h: While(h).init_with_output(RNGS, X)),
    "cond": of(Cond, X),
    "stored as a parameter": of(Stored, X),
    "carry": of(Recurrent, SEQUENCE),
    "name": of(Named, X, values=I),
    "equal modules": Use(lambda h: X if Block(h) == Block(h) else 2 * X),
    "unequal modules": Use(lambda h: X if Block(h) == Block(h * 2) else 2 * X),
    "hash": Use(lambda h: X * (hash(Block(h)) is not None)),
    "clone": of(lambda h: Block(h).clone(), X),
    "copy": of(lambda h: Block(h).copy(gain=h * 2), X),
    "repr": Use(lambda h: X * bool(repr(Block(h)))),
    "tabulate": Use(lambda h: (Block(h).tabulate(RNGS, X), X)[1]),
    "lazy_init": Use(lambda h: Block(h).lazy_init(RNGS, X)),
    "eval_shape": Use(
        lambda h: jax.tree.map(lambda s: jnp.zeros(s.shape), jax.eval_shape(Block(h, gain=h).init, RNGS, X))
    ),
    "jit of init": Use(lambda h: jax.jit(Block(h, gain=h).init)(RNGS, X)),
    "jit of apply": Use(jit_init_apply),
    "jit, static module": Use(jit_static_module),
    "bind": Use(lambda h: (lambda m: m.bind(m.init(RNGS, X), rngs=RNGS)(X))(Block(h))),
    "TrainState": Use(train_state),
    "map_variables": of(scaled_variables, X),
    "struct through jit": Use(lambda h: jax.jit(lambda c: c.a * X)(Struct(h))),
}

USES = {f"linen: {name}": use for name, use in {**LAYERS, **MODULES}.items()}
