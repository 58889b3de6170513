"""A frozen body stored once, a head and a low-rank adapter in 64 lanes; and a state that is a TrainState."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
from contracts.cases import SEED, cross_entropy, rows
from flax import linen as nn
from flax.training.train_state import TrainState

import vtune

STEPS, BATCH, WIDTH = 20, 16, 128
SPACE = vtune.Space(
    head_lr=vtune.Float(1e-3, 1e-1, log=True),
    adapter_lr=vtune.Float(1e-4, 1e-2, log=True),
    decay=vtune.Float(1e-4, 1e-1, log=True),
)
OPTIONS = {"steps": STEPS, "eval_every": 10, "seed": SEED, "progress": "off", "cache": False, "metric": "loss"}


class Adapted(nn.Module):
    """A dense layer with a low-rank correction beside it."""

    @nn.compact
    def __call__(self, x):
        low = nn.Dense(2, use_bias=False, name="down")(x)
        return nn.Dense(WIDTH, name="body")(x) + nn.Dense(WIDTH, use_bias=False, name="up")(low)


class Model(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(WIDTH, name="body")(x))
        x = nn.relu(Adapted(name="adapted")(x))
        return nn.Dense(3, name="head")(x)


PRETRAINED = Model().init(jax.random.key(1), jnp.zeros((1, 8)))["params"]
FROZEN = {"params": {"body": PRETRAINED["body"], "adapted": {"body": PRETRAINED["adapted"]["body"]}}}


def kernels(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def parts(params):
    return {name: jax.tree.map(lambda _, name=name: name, tree) for name, tree in params.items()}


def optimizer(hp):
    def each(lr):
        return optax.adamw(lr, weight_decay=hp.decay, mask=kernels)

    return optax.multi_transform({"head": each(hp.head_lr), "adapted": each(hp.adapter_lr)}, parts)


def task():
    return vtune.Supervised(
        lambda hp: Model(), optimizer, train=rows(0, 90, (8,)), valid=rows(1, 30, (8,)), batch_size=BATCH,
        metrics=("accuracy", "n_params"), init=FROZEN, trainable=lambda path: "body" not in path,
    )  # fmt: skip


def by_hand(task, config, trial):
    hp = SimpleNamespace(**config)
    init_key = vtune.key(SEED, trial, "init")
    fresh = Model().init(init_key, task.data["train"][0][:1])["params"]
    trained = {"head": fresh["head"], "adapted": {name: fresh["adapted"][name] for name in ("down", "up")}}
    tx = optimizer(hp)
    opt = tx.init(trained)

    def whole(trained):
        adapted = {**trained["adapted"], "body": FROZEN["params"]["adapted"]["body"]}
        return {"params": {"body": FROZEN["params"]["body"], "adapted": adapted, "head": trained["head"]}}

    @jax.jit
    def step(trained, opt, x, y):
        value, gradient = jax.value_and_grad(lambda p: cross_entropy(Model().apply(whole(p), x), y))(trained)
        updates, opt = tx.update(gradient, opt, trained)
        return optax.apply_updates(trained, updates), opt, value

    x, y = task.data["train"]
    for t in range(STEPS):
        chosen = np.asarray(task.indices(init_key, t, BATCH))
        trained, opt, _ = step(trained, opt, x[chosen], y[chosen])
    x, y = task.data["valid"]
    return float(cross_entropy(Model().apply(whole(trained), x), y)), whole(trained)


def test_head_and_adapter_train_in_64_lanes_as_alone_and_the_body_is_stored_once():
    with jax.default_matmul_precision("highest"):
        study = vtune.tune(task(), SPACE, trials=64, block=64, threads=1, **OPTIONS)
        for trial in (0, 31, 63):
            loss, _ = by_hand(study.task, dict(study.trial(trial).config), trial)
            np.testing.assert_allclose(study.trial(trial).score, loss, rtol=2e-3)
        loss, variables = by_hand(study.task, dict(study.best.config), study.best.id)
    best = study.best_params()
    np.testing.assert_array_equal(best["params"]["body"]["kernel"], FROZEN["params"]["body"]["kernel"])
    np.testing.assert_allclose(
        best["params"]["head"]["kernel"], variables["params"]["head"]["kernel"], rtol=1e-2, atol=1e-4
    )
    explained = study.explain()
    assert explained.lanes == 64
    trained = (2 * WIDTH * 2 + 3 * WIDTH + 3) * 4
    assert explained.programs[0].state_bytes < 3.5 * trained < WIDTH * WIDTH * 4 * 2
    body = 8 * WIDTH + WIDTH + WIDTH * WIDTH + WIDTH
    assert study.trial(0).metrics["n_params"] == body + trained // 4


class WithTrainState:
    """A general task in Flax's own idiom: the optimizer, which closes over `hp.lr`, lives in the state."""

    def __init__(self):
        x, y = rows(0, 90, (8,))
        self.data = {"x": x, "y": y}

    def init(self, hp, data, key):
        module = nn.Dense(3)
        return TrainState.create(
            apply_fn=module.apply, params=module.init(key, data["x"][:1])["params"], tx=optax.adam(hp.lr, b2=hp.b2)
        )

    def step(self, hp, state, data, key):
        chosen = jax.random.randint(key, (BATCH,), 0, 90)

        def loss(params):
            return cross_entropy(state.apply_fn({"params": params}, data["x"][chosen]), data["y"][chosen])

        value, gradient = jax.value_and_grad(loss)(state.params)
        return state.apply_gradients(grads=gradient), {"batch_loss": value}

    def evaluate(self, hp, state, data, key):
        return {"loss": cross_entropy(state.apply_fn({"params": state.params}, data["x"]), data["y"])}


def dense_loss(params, x, y):
    return cross_entropy(nn.Dense(3).apply({"params": params}, x), y)


def test_a_train_state_that_closes_over_a_rate_trains_as_alone():
    space = vtune.Space(lr=vtune.Float(1e-3, 1e-1, log=True), b2=vtune.Float(0.9, 0.999))
    study = vtune.tune(WithTrainState(), space, trials=16, block=8, **OPTIONS)
    assert study.explain().compiles == 1
    assert study.explain().kinds["lr"] == "traced"
    task = WithTrainState()
    for trial in (0, 15):
        config = study.trial(trial).config
        x, y = jnp.asarray(task.data["x"]), jnp.asarray(task.data["y"])
        params = nn.Dense(3).init(vtune.key(SEED, trial, "init"), x[:1])["params"]
        tx = optax.adam(config["lr"], b2=config["b2"])
        opt = tx.init(params)
        for t in range(STEPS):
            chosen = jax.random.randint(vtune.key(SEED, trial, "model", t), (BATCH,), 0, 90)
            gradient = jax.grad(dense_loss)(params, x[chosen], y[chosen])
            updates, opt = tx.update(gradient, opt, params)
            params = optax.apply_updates(params, updates)
        loss = cross_entropy(nn.Dense(3).apply({"params": params}, x), y)
        np.testing.assert_allclose(study.trial(trial).score, loss, rtol=2e-3)
    assert isinstance(study.best_params(), TrainState)
    assert study.verify(3).largest < 1e-3
