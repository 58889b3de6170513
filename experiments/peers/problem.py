"""What every driver trains: a small Flax network on scikit-learn's digits, written once as plain single-trial code.

The learning rate, the weight decay and the dropout rate are arguments, so that one compiled function serves every trial
and `vmap` can batch it; that is what someone who knows JAX writes by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

BOUNDS = {"lr": (1e-4, 1e-1, "log"), "weight_decay": (1e-6, 1e-1, "log"), "dropout": (0.001, 0.5, "linear")}
VALID = 360
Batch = tuple[jax.Array, jax.Array]


@dataclass(frozen=True)
class Settings:
    """The size of one sweep.

    Attributes:
      network: "mlp" (2x64 with dropout), "cnn" (two convolutions and a dense layer) or "cnn_bn" (with BatchNorm).
      trials: configurations tried.
      steps: optimizer steps a trial.
      eval_every: steps between evaluations; divides `steps`.
      batch: examples a step.
    """

    network: str = "mlp"
    trials: int = 256
    steps: int = 500
    eval_every: int = 500
    batch: int = 64


class TracedDropout(nn.Module):
    """Dropout whose rate may be a tracer, which `flax.linen.Dropout` refuses; the same computation."""

    rate: Any
    deterministic: bool

    @nn.compact
    def __call__(self, x):
        if self.deterministic:
            return x
        keep = 1.0 - self.rate
        return jnp.where(jax.random.bernoulli(self.make_rng("dropout"), keep, x.shape), x / keep, 0.0)


class MLP(nn.Module):
    dropout: Any
    layer: Callable[..., nn.Module] = TracedDropout

    @nn.compact
    def __call__(self, x, train: bool):
        for _ in range(2):
            x = self.layer(self.dropout, deterministic=not train)(nn.relu(nn.Dense(64)(x)))
        return nn.Dense(10)(x)


class CNN(nn.Module):
    dropout: Any
    layer: Callable[..., nn.Module] = TracedDropout
    batch_norm: bool = False

    @nn.compact
    def __call__(self, x, train: bool):
        x = x.reshape(-1, 8, 8, 1)
        for channels in (16, 32):
            x = nn.Conv(channels, (3, 3), use_bias=not self.batch_norm)(x)
            if self.batch_norm:
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
            x = nn.avg_pool(nn.relu(x), (2, 2), (2, 2))
        x = self.layer(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(10)(x)


def network(settings: Settings, dropout: Any, layer: Callable[..., nn.Module] = TracedDropout) -> nn.Module:
    """The model of these settings at a dropout rate."""
    if settings.network == "mlp":
        return MLP(dropout, layer)
    return CNN(dropout, layer, batch_norm=settings.network == "cnn_bn")


def load() -> tuple[Batch, Batch]:
    """Training and validation examples: float32[n, 64] in [0, 1] and int32[n]."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    valid, train = ((jnp.asarray(x[part]), jnp.asarray(y[part])) for part in (slice(VALID), slice(VALID, None)))
    return train, valid


def configs(trials: int) -> list[dict[str, float]]:
    """The configurations that every driver tries, drawn once and for all."""
    rng = np.random.default_rng(1)
    columns = {}
    for name, (low, high, scale) in BOUNDS.items():
        columns[name] = (
            np.exp(rng.uniform(np.log(low), np.log(high), trials)) if scale == "log" else rng.uniform(low, high, trials)
        )
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(trials)]


def stack(chosen: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Configurations as one float32[n] a hyperparameter."""
    return {name: np.asarray([config[name] for config in chosen], np.float32) for name in BOUNDS}


def start(settings: Settings, hp: dict[str, Any], key: jax.Array, train: Batch) -> tuple[Any, Any, Any]:
    """Fresh (params, batch statistics, optimizer state)."""
    variables = network(settings, hp["dropout"]).init(key, train[0][:1], False)
    return variables["params"], variables.get("batch_stats", {}), optimizer(hp).init(variables["params"])


def optimizer(hp: dict[str, Any]) -> optax.GradientTransformation:
    return optax.adamw(hp["lr"], weight_decay=hp["weight_decay"])


def cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def step(
    settings: Settings, hp: dict[str, Any], state: Any, key: jax.Array, x: jax.Array, y: jax.Array
) -> tuple[Any, jax.Array]:
    """One optimizer step on a batch; returns the next state and the loss."""
    params, stats, opt_state = state
    model = network(settings, hp["dropout"])

    def loss_of(params):
        variables = {"params": params, "batch_stats": stats} if stats else {"params": params}
        logits, changed = model.apply(variables, x, True, rngs={"dropout": key}, mutable=["batch_stats"])
        return cross_entropy(logits, y), changed.get("batch_stats", {})

    (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
    updates, opt_state = optimizer(hp).update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), stats, opt_state), loss


def evaluate(settings: Settings, state: Any, train: Batch, valid: Batch) -> jax.Array:
    """Accuracy and loss on the validation data and on as many training examples: float32[4]."""
    params, stats, _ = state
    variables = {"params": params, "batch_stats": stats} if stats else {"params": params}
    scores = []
    for x, y in (valid, (train[0][:VALID], train[1][:VALID])):
        logits = network(settings, 0.0).apply(variables, x, False)
        scores += [(logits.argmax(-1) == y).mean(), cross_entropy(logits, y)]
    return jnp.stack(scores)


def whole_run(settings: Settings) -> Callable[[dict[str, Any], jax.Array, Batch, Batch], jax.Array]:
    """A trial from start to end as one function: float32[evaluations, 4], as `evaluate` gives them."""

    def run(hp, key, train, valid):
        init_key, batch_key, dropout_key = jax.random.split(key, 3)
        evaluations = settings.steps // settings.eval_every
        shape = (evaluations, settings.eval_every, settings.batch)
        indices = jax.random.randint(batch_key, shape, 0, len(train[0]))
        steps = jnp.arange(settings.steps).reshape(evaluations, -1)

        def one_step(state, at):
            number, index = at
            x, y = train[0][index], train[1][index]
            state, _ = step(settings, hp, state, jax.random.fold_in(dropout_key, number), x, y)
            return state, None

        def one_chunk(state, at):
            state, _ = jax.lax.scan(one_step, state, at)
            return state, evaluate(settings, state, train, valid)

        return jax.lax.scan(one_chunk, start(settings, hp, init_key, train), (steps, indices))[1]

    return run
