"""A task so small that whole studies take a moment, and the same training in plain Flax and Optax, leg by leg.

A leg is (until which step, whose keys, which configuration): trials that go on from copies of others have several. The
plain side uses nothing of vtune but `vtune.key` and `task.indices`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import vtune

SEED, BATCH, STEPS = 3, 8, 12
SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), decay=vtune.Float(1e-4, 1e-1, log=True))
SOURCE = np.random.default_rng(0)
X = SOURCE.normal(size=(61, 5)).astype("float32")
Y = X[:, :3].argmax(1).astype("int32")
OPTIONS = {
    "metric": "accuracy", "mode": "max", "steps": STEPS, "eval_every": 3, "seed": SEED, "block": 4, "lanes": 8,
    "progress": "off", "cache": False, "keep": 3,
}  # fmt: skip
MEASURED = ["loss", "accuracy", "train_loss", "train_accuracy"]


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dropout(0.2, deterministic=not train)(nn.relu(nn.Dense(6)(x)))
        return nn.Dense(3)(x)


def optimizer(hp):
    return optax.adamw(hp.lr, weight_decay=hp.decay)


def task(**options):
    options = {"valid": (X[:20], Y[:20]), **options}
    train = (X, Y) if "folds" in options or options["valid"] == 0.2 else (X[20:], Y[20:])
    options.pop("folds", None)
    return vtune.Supervised(
        lambda hp: Net(), optimizer, train=train, batch_size=BATCH, metrics=("accuracy",), **options
    )


def study(trials=18, given=None, **options):
    return vtune.tune(given or task(), SPACE, trials=trials, **{**OPTIONS, **options})


@functools.cache
def without_scheduler(trials=18):
    """The same trials trained in full and measured after every step."""
    with jax.default_matmul_precision("highest"):
        return study(trials, eval_every=1)


def curves(of):
    return of.curves().sort_values(["trial", "step"]).set_index(["trial", "step"])


@jax.jit
def _step(params, opt, x, y, key, lr, decay):
    tx = optax.adamw(lr, weight_decay=decay)

    def loss(params):
        logits = Net().apply({"params": params}, x, train=True, rngs={"dropout": key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    updates, opt = tx.update(jax.grad(loss)(params), opt, params)
    return optax.apply_updates(params, updates), opt


def by_hand(given, legs, step, replica=0, fold=0):
    """Params after some steps."""
    root = vtune.key(SEED, legs[0][1], "init", replica=replica)
    x, y = given.data["train"]
    params = Net().init(root, x[:1])["params"]
    opt = optax.adamw(0.1).init(params)
    done = 0
    for until, trial, config in legs:
        while done < min(until, step):
            rows = np.asarray(given.indices(root, done, BATCH, fold))
            key = vtune.key(SEED, trial, "model", done, replica=replica)
            params, opt = _step(params, opt, x[rows], y[rows], key, config["lr"], config["decay"])
            done += 1
    return params


def scores(params, x, y):
    """(loss, accuracy) of params on some data."""
    logits = Net().apply({"params": params}, x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    return float(loss), float((jnp.argmax(logits, -1) == y).mean())


def legs_of(of, trial, steps=STEPS):
    """How a trial came to be, from the events of its study alone."""
    events = [event for event in of._reader.events(of.record.id) if event.kind == "copy"]
    return _legs(of, events, len(events), trial, steps)


def _legs(of, events, count, trial, until):
    """Legs of a trial up to a step, after the first `count` events."""
    mine = [event for event in events[:count] if event.detail["trial"] == trial]
    if not mine:
        return [(until, trial, _first_config(of, events, trial))]
    last = mine[-1]
    together = next(place for place, event in enumerate(events) if event.clock == last.clock)
    before = _legs(of, events, together, last.detail["source"], last.detail["step"])
    return [*before, (until, trial, last.detail["config"])]


def _first_config(of, events, trial):
    changed = [event.detail["before"] for event in events if event.detail["trial"] == trial]
    return changed[0] if changed else dict(of.trial(trial).config)
