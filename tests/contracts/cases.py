"""Four tasks that every contract must hold for, each with the same training written in plain Flax and Optax.

The plain side uses nothing of vtune but `vtune.key`, which gives a trial's keys, and `task.indices`, which gives the
rows of a batch.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

import vtune

SEED, BATCH = 5, 16
SPACE = vtune.Space(
    lr=vtune.Float(1e-3, 1e-1, log=True),
    dropout=vtune.Float(0.05, 0.5),
    decay=vtune.Float(1e-6, 1e-2, log=True),
    warmup=vtune.Int(1, 8),
    optimizer=vtune.Choice("momentum", "adamw", "adadelta"),
    momentum=vtune.Float(0.5, 0.95, when={"optimizer": "momentum"}),
)


def optimizer(hp, run):
    if hp.optimizer == "momentum":
        return optax.sgd(hp.lr, hp.momentum)
    if hp.optimizer == "adamw":
        schedule = optax.warmup_cosine_decay_schedule(0.0, hp.lr, hp.warmup, run.steps)
        return optax.adamw(schedule, weight_decay=hp.decay)
    return optax.adadelta(hp.lr * 10)


class LinenMLP(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(16)(x))
        x = nn.Dropout(self.rate, deterministic=not train)(x)
        return nn.Dense(3)(x)


class LinenCNN(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3))(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8)(x))
        return nn.Dense(3)(x.mean((1, 2)))


class NnxMLP(nnx.Module):
    def __init__(self, rate, rngs):
        self.first = nnx.Linear(8, 16, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.first(x))))


def rows(seed, count, shape):
    source = np.random.default_rng(seed)
    x = source.normal(size=(count, *shape)).astype("float32")
    return x, (x.reshape(count, -1)[:, :3]).argmax(1).astype("int32")


def supervised(model, shape):
    return vtune.Supervised(
        model, optimizer, train=rows(0, 90, shape), valid=rows(1, 30, shape), metrics="accuracy", batch_size=BATCH
    )


class Regression:
    """A task written by hand: noisy linear regression whose state holds its optimizer's state."""

    def __init__(self):
        x, _ = rows(0, 90, (8,))
        self.data = {"x": x, "y": x @ np.arange(8, dtype="float32")}
        self.run = None

    def for_run(self, run):
        task = Regression()
        task.run = run
        return task

    def init(self, hp, data, key):
        params = jax.random.normal(key, (8,))
        return {"params": params, "opt": optimizer(hp, self.run).init(params)}

    def step(self, hp, state, data, key):
        chosen = jax.random.randint(key, (BATCH,), 0, 90)
        kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - hp.dropout, (BATCH, 8))

        def loss(params):
            return jnp.square((data["x"][chosen] * kept) @ params - data["y"][chosen]).mean()

        value, gradient = jax.value_and_grad(loss)(state["params"])
        updates, opt = optimizer(hp, self.run).update(gradient, state["opt"], state["params"])
        return {"params": optax.apply_updates(state["params"], updates), "opt": opt}, {"batch_loss": value}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(data["x"] @ state["params"] - data["y"]).mean()}


def cross_entropy(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype("float32"), y).mean()


def measured(task, logits, every):
    out = {"batch_loss": float(np.mean(every))}
    for prefix, part in (("", "valid"), ("train_", "subset")):
        x, y = task.data[part]
        outputs = logits(x)
        out[prefix + "loss"] = float(cross_entropy(outputs, y))
        out[prefix + "accuracy"] = float((outputs.argmax(-1) == y).mean())
    return out


def hyperparameters(config):
    return SimpleNamespace(**{"momentum": 0.0, **config})


def linen_by_hand(module_of, task, config, trial, steps, eval_every):
    hp = hyperparameters(config)
    module, tx = module_of(hp), optimizer(hp, SimpleNamespace(steps=steps))
    x, y = task.data["train"]
    init_key = vtune.key(SEED, trial, "init")
    variables = module.init(init_key, x[:1])
    params = variables["params"]
    stats = {name: value for name, value in variables.items() if name != "params"}
    opt = tx.init(params)

    @jax.jit
    def step(params, stats, opt, x, y, key):
        def loss(params):
            logits, changed = module.apply(
                {"params": params, **stats}, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
            )
            return cross_entropy(logits, y), changed

        (value, stats), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt = tx.update(gradients, opt, params)
        return optax.apply_updates(params, updates), stats, opt, value

    curve, losses = {}, []
    for t in range(steps):
        chosen = np.asarray(task.indices(init_key, t, BATCH))
        params, stats, opt, value = step(params, stats, opt, x[chosen], y[chosen], vtune.key(SEED, trial, "model", t))
        losses.append(value)
        if (t + 1) % eval_every == 0:
            now = {"params": params, **stats}
            curve[t + 1] = measured(task, lambda x, now=now: module.apply(now, x), losses)
            losses = []
    return curve, {"params": params, **stats}


def nnx_by_hand(task, config, trial, steps, eval_every):
    hp = hyperparameters(config)
    init_key = vtune.key(SEED, trial, "init")
    module = NnxMLP(hp.dropout, nnx.Rngs(init_key))
    opt = nnx.Optimizer(module, optimizer(hp, SimpleNamespace(steps=steps)), wrt=nnx.Param)
    x, y = task.data["train"]

    @nnx.jit
    def step(module, opt, x, y):
        value, gradients = nnx.value_and_grad(lambda module: cross_entropy(module(x), y))(module)
        opt.update(module, gradients)
        return value

    curve, losses = {}, []
    for t in range(steps):
        module.train()
        chosen = np.asarray(task.indices(init_key, t, BATCH))
        losses.append(step(module, opt, x[chosen], y[chosen]))
        if (t + 1) % eval_every == 0:
            module.eval()
            curve[t + 1] = measured(task, module, losses)
            losses = []
    return curve, nnx.to_pure_dict(nnx.state(module, nnx.Param))


def regression_by_hand(task, config, trial, steps, eval_every):
    hp = hyperparameters(config)
    tx = optimizer(hp, SimpleNamespace(steps=steps))
    x, y = task.data["x"], task.data["y"]
    params = jax.random.normal(vtune.key(SEED, trial, "init"), (8,))
    opt = tx.init(params)

    @jax.jit
    def step(params, opt, key):
        chosen = jax.random.randint(key, (BATCH,), 0, 90)
        kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - hp.dropout, (BATCH, 8))
        value, gradient = jax.value_and_grad(
            lambda params: jnp.square((jnp.asarray(x)[chosen] * kept) @ params - jnp.asarray(y)[chosen]).mean()
        )(params)
        updates, opt = tx.update(gradient, opt, params)
        return optax.apply_updates(params, updates), opt, value

    curve, losses = {}, []
    for t in range(steps):
        params, opt, value = step(params, opt, vtune.key(SEED, trial, "model", t))
        losses.append(value)
        if (t + 1) % eval_every == 0:
            loss = float(jnp.square(x @ params - y).mean())
            curve[t + 1] = {"batch_loss": float(np.mean(losses)), "loss": loss}
            losses = []
    return curve, {"params": params}


CASES = {
    "linen mlp": (
        lambda: supervised(lambda hp: LinenMLP(hp.dropout), (8,)),
        lambda *a: linen_by_hand(lambda hp: LinenMLP(hp.dropout), *a),
    ),
    "linen cnn": (
        lambda: supervised(lambda hp: LinenCNN(), (6, 6, 2)),
        lambda *a: linen_by_hand(lambda hp: LinenCNN(), *a),
    ),
    "nnx mlp": (lambda: supervised(lambda hp, rngs: NnxMLP(hp.dropout, rngs), (8,)), nnx_by_hand),
    "own task": (Regression, regression_by_hand),
}
"""Name -> (makes the task, trains a trial by hand: (task, config, trial, steps, eval_every) -> curve, state)."""
