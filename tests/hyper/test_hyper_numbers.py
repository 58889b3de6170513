"""Losses over 20 steps: a batch of hyperparameters against plain Python floats, one config after another."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from vtune.hyper import PlainHP, matches, trace_with_ladder
from vtune.space import Float, Int, Space

STEPS = 20
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (32, 16))
Y = jnp.argmax(X[:, :4], -1)


class MLP(nn.Module):
    rate: Any
    dtype: Any = jnp.float32
    gain: Any = 1.0

    @nn.compact
    def __call__(self, x):
        init = nn.initializers.variance_scaling(self.gain, "fan_in", "normal")
        x = nn.gelu(nn.Dense(16, kernel_init=init, dtype=self.dtype, param_dtype=self.dtype)(x))
        if self.rate > 0:
            x = nn.Dropout(self.rate, deterministic=False)(x)
        return nn.Dense(4, dtype=self.dtype, param_dtype=self.dtype)(x)


class Normed(nn.Module):
    momentum: Any
    slope: Any

    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(False, momentum=self.momentum)(nn.Dense(16)(x))
        return nn.Dense(4)(jax.nn.leaky_relu(x, self.slope))


class Attention(nn.Module):
    rate: Any

    @nn.compact
    def __call__(self, x):
        x = x.reshape(-1, 4, 4)
        x = x + nn.MultiHeadDotProductAttention(2, dropout_rate=self.rate, deterministic=False)(x)
        return nn.Dense(4)(nn.LayerNorm()(x).mean(1))


def losses(module, tx, smoothing=0.0, inputs=X):
    """Loss at each of the steps, [STEPS]; the params must keep their types."""
    targets = optax.smooth_labels(jax.nn.one_hot(Y, 4), smoothing)
    variables = module.init({"params": KEY, "dropout": KEY}, inputs)
    stats = {name: tree for name, tree in variables.items() if name != "params"}

    def step(carry, index):
        params, stats, state = carry
        rngs = {"dropout": jax.random.fold_in(KEY, index)}

        def loss(params):
            outputs, changed = module.apply({"params": params, **stats}, inputs, rngs=rngs, mutable=[*stats, "none"])
            error = optax.softmax_cross_entropy(outputs.astype(jnp.float32), targets).mean()
            return error, {name: changed[name] for name in stats}

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), stats, state), value

    carry = variables["params"], stats, tx.init(variables["params"])
    return jax.lax.scan(step, carry, jnp.arange(STEPS))[1]


def nnx_losses(hp):
    layers = (
        nnx.Linear(16, 16, rngs=nnx.Rngs(KEY)),
        nnx.relu,
        nnx.Dropout(hp.rate, rngs=nnx.Rngs(KEY)),
        nnx.Linear(16, 4, rngs=nnx.Rngs(KEY)),
    )
    model = nnx.Sequential(*layers)
    optimizer = nnx.Optimizer(model, optax.rmsprop(hp.lr, decay=hp.decay), wrt=nnx.Param)
    graph, state = nnx.split((model, optimizer))

    def step(state, _):
        model, optimizer = nnx.merge(graph, state)
        loss, grads = nnx.value_and_grad(lambda m: optax.softmax_cross_entropy_with_integer_labels(m(X), Y).mean())(
            model
        )
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), loss

    return jax.lax.scan(step, state, None, length=STEPS)[1]


LR = Float(1e-4, 1e-2, log=True)
RATE = Float(0.05, 0.4)
DECAY = Float(0.001, 0.1)
HALF = X.astype(jnp.bfloat16)
SETUPS = {
    "adamw, dropout, smoothing": (
        lambda hp: losses(MLP(hp.rate), optax.adamw(hp.lr, weight_decay=hp.decay), hp.smoothing),
        Space(lr=LR, decay=DECAY, rate=RATE, smoothing=Float(0.0, 0.2)),
    ),
    "adam, all constants": (
        lambda hp: losses(MLP(0.0), optax.adam(hp.lr, b1=hp.b1, b2=1 - hp.rest, eps=hp.eps)),
        Space(lr=LR, b1=Float(0.8, 0.95), rest=Float(1e-4, 1e-1, log=True), eps=Float(1e-9, 1e-6, log=True)),
    ),
    "momentum, schedule, gain": (
        lambda hp: losses(
            MLP(0.0, gain=hp.gain),
            optax.sgd(optax.warmup_cosine_decay_schedule(0.0, hp.lr, hp.warmup, STEPS), momentum=hp.momentum),
        ),
        Space(lr=Float(1e-2, 0.3, log=True), momentum=Float(0.5, 0.95), gain=Float(0.5, 2.0), warmup=Int(1, 5)),
    ),
    "batch norm, lamb, clipping": (
        lambda hp: losses(
            Normed(hp.momentum, hp.slope), optax.chain(optax.clip_by_global_norm(hp.clip), optax.lamb(hp.lr))
        ),
        Space(lr=LR, momentum=Float(0.8, 0.99), slope=Float(0.01, 0.3), clip=Float(0.1, 1.0)),
    ),
    "attention, lion": (
        lambda hp: losses(Attention(hp.rate), optax.lion(hp.lr, weight_decay=hp.decay)),
        Space(lr=LR, decay=DECAY, rate=RATE),
    ),
    "bf16": (
        lambda hp: losses(MLP(hp.rate, jnp.bfloat16), optax.adamw(hp.lr, weight_decay=hp.decay), inputs=HALF),
        Space(lr=LR, decay=DECAY, rate=RATE),
    ),
    "nnx, rmsprop, dropout": (nnx_losses, Space(lr=LR, rate=RATE, decay=Float(0.8, 0.99))),
}
QUICK = ("bf16",)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SETUPS]
)
def test_losses_agree_with_plain_floats(name):
    use, space = SETUPS[name]
    configs = space.sample(2 if name in QUICK else 6, np.random.default_rng(0))
    session, lowered = trace_with_ladder(
        lambda session: jax.jit(jax.vmap(session.bind(use))).lower(session.abstract_columns(len(configs))),
        configs[0],
        space,
    )
    assert not session.demotion
    assert matches(session.guards, configs).all(), "one program serves all of them"
    batch = lowered.compile()(session.layout.encode(configs))
    alone = [jax.jit(lambda config=config: use(PlainHP(config)))() for config in configs]
    np.testing.assert_allclose(batch, alone, rtol=0, atol=2e-3 if name == "bf16" else 1e-5)
    assert np.all(np.abs(np.diff(np.asarray(batch), axis=0)).max() > 1e-3), "the configs train differently"
