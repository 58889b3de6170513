"""One program for many trials: the same task with hyperparameters that stay tracers."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from vtune import rng
from vtune.hyper import Session, matches
from vtune.space import Choice, Float, Int, Space
from vtune.tasks import Run, Supervised

STEPS = 6
SOURCE = np.random.default_rng(0)
DATA = (SOURCE.normal(size=(40, 5)), SOURCE.integers(0, 3, 40))
SPACE = Space(
    lr=Float(1e-3, 1.0), dropout=Float(0.1, 0.5), smooth=Float(0.0, 0.5), batch=Choice(8, 16), width=Int(4, 8)
)
CONFIGS = [
    {"lr": 0.01, "dropout": 0.2, "smooth": 0.1, "batch": 8, "width": 6},
    {"lr": 0.05, "dropout": 0.4, "smooth": 0.0, "batch": 8, "width": 6},
]


class LinenNet(nn.Module):
    width: int
    rate: float

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(self.width)(x))
        return nn.Dense(3)(nn.Dropout(self.rate, deterministic=not train)(nn.relu(x)))


class NnxNet(nnx.Module):
    def __init__(self, width, rate, rngs):
        self.first = nnx.Linear(5, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(width, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


def make(model):
    def smoothed(hp, outputs, batch):
        labels = jax.nn.one_hot(batch[1], 3) * (1 - hp.smooth) + hp.smooth / 3
        return optax.softmax_cross_entropy(outputs, labels)

    def optimizer(hp, run):
        return optax.adamw(optax.warmup_cosine_decay_schedule(0.0, hp.lr, 2, run.steps), weight_decay=hp.lr / 10)

    return Supervised(
        model, optimizer, train=DATA, loss=smoothed, metrics="accuracy", batch_size=lambda hp: hp.batch
    ).for_run(Run(STEPS, STEPS))


def chunk(task, init, step, evaluate):
    """A trial as a loop over steps, from three functions of (hyperparameters, ...)."""

    def run(hp, init_key, data):
        def body(state, key):
            state, info = step(hp, state, data, key)
            return state, info["batch_loss"]

        keys = jax.vmap(lambda at: jax.random.fold_in(init_key, at))(np.arange(1, 1 + STEPS))
        state, losses = jax.lax.scan(body, init(hp, data, init_key), keys)
        return losses, evaluate(hp, state, data, init_key)

    return run


@pytest.mark.parametrize(
    "model",
    [lambda hp: LinenNet(hp.width, hp.dropout), lambda hp, rngs: NnxNet(hp.width, hp.dropout, rngs)],
    ids=["linen", "nnx"],
)
def test_lanes_with_tracers_train_as_plain_values_do(model):
    task = make(model)
    session = Session(CONFIGS[0], SPACE)
    lanes = jax.vmap(chunk(task, *map(session.bind, (task.init, task.step, task.evaluate))), in_axes=(0, 0, None))
    keys = jax.vmap(lambda trial: rng.trial_key(rng.study_key(0), trial))(np.arange(2))
    program = jax.jit(lanes).lower(session.abstract_columns(2), keys, task.data).compile()
    together = program(session.layout.encode(CONFIGS), keys, task.data)

    other = [{**CONFIGS[1], "batch": 16}, {**CONFIGS[1], "width": 7}]
    assert matches(session.guards, CONFIGS + other).tolist() == [True, True, False, False]
    alone = chunk(task, task.init, task.step, task.evaluate)
    other = SimpleNamespace(**CONFIGS[1])
    losses, found = jax.jit(lambda key, data: alone(other, key, data))(keys[1], task.data)
    np.testing.assert_allclose(together[0][1], losses, rtol=2e-5)
    for name, value in found.items():
        np.testing.assert_allclose(together[1][name][1], value, rtol=1e-4)
