"""The nine hyperparameters of a guide, as someone without a packing tuner writes them: plain Flax and Optax.

Six of the nine change the program that XLA compiles: layers, width, activation, initializer, optimizer and batch size.
Learning rate, momentum and dropout rate may be arguments of a compiled program. `guide.py` is the same space for vtune.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from peers import problem
from peers.problem import Batch, TracedDropout

CHOICES = {
    "layers": (1, 2, 3, 4),
    "width": (16, 32, 64, 128),
    "activation": ("relu", "gelu", "tanh", "sigmoid"),
    "initializer": ("glorot_uniform", "he_normal", "lecun_normal", "normal"),
    "optimizer": ("sgd", "momentum", "nesterov", "adadelta", "adam"),
    "batch": (16, 32, 64, 128),
}
BOUNDS = {"dropout": (0.0, 0.5, "linear"), "lr": (1e-3, 1.0, "log"), "momentum": (0.5, 0.99, "linear")}
WITH_MOMENTUM = ("momentum", "nesterov")
VALUES = tuple(BOUNDS)
"""Hyperparameters that may be arguments of a compiled program."""

Config = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The size of one sweep.

    Attributes:
      trials: configurations tried.
      steps: optimizer steps a trial; the trial is evaluated after the last one.
    """

    trials: int = 256
    steps: int = 500


def drawn(trials: int) -> list[Config]:
    """Every draw of a random search, momentum included where the optimizer has none; more trials begin alike."""
    rng = np.random.default_rng(2)
    return [_draw(rng) for _ in range(trials)]


def _draw(rng: np.random.Generator) -> Config:
    config: Config = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    for name, (low, high, scale) in BOUNDS.items():
        config[name] = float(
            np.exp(rng.uniform(np.log(low), np.log(high))) if scale == "log" else rng.uniform(low, high)
        )
    return config


def configs(trials: int) -> list[Config]:
    """The configurations that every driver tries: momentum only for those optimizers that have one."""
    return [
        {name: value for name, value in config.items() if name != "momentum" or config["optimizer"] in WITH_MOMENTUM}
        for config in drawn(trials)
    ]


def values(config: Mapping[str, Any]) -> dict[str, np.float32]:
    """What a compiled program takes as arguments."""
    return {name: np.float32(config.get(name, 0.0)) for name in VALUES}


def structures(config: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What is compiled for a trial alone: the run, which takes initial params, and the operations that make them."""
    kinds = {
        "run": ("layers", "width", "activation", "optimizer", "batch"),
        "init": ("width", "initializer"),
    }
    return {kind: tuple(config[name] for name in names) for kind, names in kinds.items()}


class MLP(nn.Module):
    """A multi-layer perceptron; its dropout may take a traced rate."""

    layers: int
    width: int
    activation: Callable[[jax.Array], jax.Array]
    initializer: Callable[..., jax.Array]
    dropout: Any
    dropout_layer: Callable[..., nn.Module] = TracedDropout

    @nn.compact
    def __call__(self, x, train: bool):
        for _ in range(self.layers):
            x = self.activation(nn.Dense(self.width, kernel_init=self.initializer)(x))
            x = self.dropout_layer(self.dropout, deterministic=not train)(x)
        return nn.Dense(10, kernel_init=self.initializer)(x)


def network(config: Mapping[str, Any], dropout: Any, dropout_layer: Callable[..., nn.Module] = TracedDropout) -> MLP:
    activation, initializer = getattr(nn, config["activation"]), getattr(nn.initializers, config["initializer"])()
    return MLP(config["layers"], config["width"], activation, initializer, dropout, dropout_layer)


def optimizer(name: str, lr: Any, momentum: Any) -> optax.GradientTransformation:
    if name in WITH_MOMENTUM:
        return optax.sgd(lr, momentum, nesterov=name == "nesterov")
    return {"sgd": optax.sgd, "adadelta": optax.adadelta, "adam": optax.adam}[name](lr)


def initial(config: Mapping[str, Any], key: jax.Array) -> Any:
    """Initial params."""
    return network(config, 0.0).init(key, jnp.zeros((1, 64)), False)["params"]


def accuracy(model: MLP, params: Any, data: Batch) -> jax.Array:
    """Share of right answers; NaN where the network has diverged."""
    logits = model.apply({"params": params}, data[0], False)
    return jnp.where(jnp.isfinite(logits).all(), (logits.argmax(-1) == data[1]).mean(), jnp.nan)


def whole_run(config: Mapping[str, Any], steps: int) -> Callable[..., jax.Array]:
    """The training of one structure as one function, (values, params, key, train, valid) -> float32[2].

    Gives the accuracy on the validation data and on as many training examples.
    """

    def run(hp, params, key, train, valid):
        batch_key, dropout_key = jax.random.split(key)
        model = network(config, hp["dropout"])
        tx = optimizer(config["optimizer"], hp["lr"], hp["momentum"])
        indices = jax.random.randint(batch_key, (steps, config["batch"]), 0, len(train[0]))

        def step(state, at):
            (params, opt_state), (number, index) = state, at
            x, y, key = train[0][index], train[1][index], jax.random.fold_in(dropout_key, number)

            def loss_of(params):
                return problem.cross_entropy(model.apply({"params": params}, x, True, rngs={"dropout": key}), y)

            updates, opt_state = tx.update(jax.grad(loss_of)(params), opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), (jnp.arange(steps), indices))
        seen = train[0][: len(valid[0])], train[1][: len(valid[1])]
        return jnp.stack([accuracy(model, params, part) for part in (valid, seen)])

    return run
