"""Networks in half precision: no hyperparameter may widen what Flax and Optax with Python numbers leave narrow."""

from __future__ import annotations

import functools
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contracts import cases
from flax import linen as nn
from flax import nnx

import vtune
from vtune import nn as vnn
from vtune import optim as vopt
from vtune import rng
from vtune.engine.lane import LaneTask
from vtune.engine.program import trace
from vtune.engine.strategy import Strategy
from vtune.errors import StoreError
from vtune.hyper import PlainHP, Session
from vtune.nn import nnx as vnnx
from vtune.tasks import Run

HALF, STEPS = jnp.bfloat16, 6
SPACE = vtune.Space(
    lr=vtune.Float(1e-3, 1e-1, log=True),
    momentum=vtune.Float(0.5, 0.95),
    decay=vtune.Float(1e-5, 1e-2, log=True),
    rate=vtune.Float(0.05, 0.5),
    scale=vtune.Float(0.5, 2.0),
    warmup=vtune.Int(1, 5),
    width=vtune.Int(4, 8),
)
CONFIG = {"lr": 0.03, "momentum": 0.9, "decay": 1e-3, "rate": 0.25, "scale": 1.5, "warmup": 2, "width": 6}
X, Y = cases.rows(0, 48, (8,))


class Linen(nn.Module):
    """Its layers leave the type of the computation open: one wide scalar would make every product after it wide."""

    hp: object
    param_dtype: object = HALF

    @nn.compact
    def __call__(self, x, train=False):
        hp = self.hp
        x = nn.relu(nn.Dense(8, param_dtype=self.param_dtype)(x)) * hp.scale
        x = nn.Dropout(hp.rate, deterministic=not train)(x)
        x = nn.Dense(8, param_dtype=self.param_dtype)(x * (1 - hp.rate) + jnp.tanh(hp.scale) * x ** (2 * hp.scale))
        x = nn.LayerNorm(epsilon=hp.decay, param_dtype=self.param_dtype)(jnp.where(x > hp.decay, x, -hp.scale))
        return nn.Dense(3, param_dtype=self.param_dtype)(x / hp.warmup)


class Mixed(nn.Module):
    """Params in single precision, computation in half."""

    hp: object

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(8, dtype=HALF)(x)) * self.hp.scale
        return nn.Dense(3, dtype=HALF)(nn.Dropout(self.hp.rate, deterministic=not train)(x))


class Convolutions(nn.Module):
    hp: object

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), dtype=HALF, param_dtype=HALF)(x.reshape(-1, 4, 2, 1)) * self.hp.scale
        x = nn.BatchNorm(use_running_average=not train, momentum=self.hp.momentum, dtype=HALF, param_dtype=HALF)(x)
        return nn.Dense(3, dtype=HALF, param_dtype=HALF)(x.reshape(x.shape[0], -1))


class Nnx(nnx.Module):
    def __init__(self, hp, rngs):
        self.first = nnx.Linear(8, 8, param_dtype=HALF, rngs=rngs)
        self.dropout = nnx.Dropout(hp.rate, rngs=rngs)
        self.last = nnx.Linear(8, 3, param_dtype=HALF, rngs=rngs)
        self.scale = hp.scale

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.first(x)) * self.scale) * (1 - self.scale))


PACKED = {"depth": 2, "out": 3, "norm": "layer", "dtype": HALF, "param_dtype": HALF}
MODELS = {
    "linen": lambda hp: Linen(hp),
    "linen, params of single precision": lambda hp: Mixed(hp),
    "linen, convolutions": lambda hp: Convolutions(hp),
    "nnx": lambda hp, rngs: Nnx(hp, rngs),
    "packed linen": lambda hp: vnn.MLP(features=hp.width, dropout=hp.rate, **PACKED),
    "packed nnx": lambda hp, rngs: vnnx.MLP(8, features=hp.width, dropout=hp.rate, rngs=rngs, **PACKED),
}
SOME = [pytest.param(model, marks=[pytest.mark.slow] if model == "packed nnx" else []) for model in MODELS]
OPTIMIZERS = {
    "sgd": lambda hp, run: optax.sgd(hp.lr, hp.momentum, nesterov=True),
    "adam": lambda hp, run: optax.adam(hp.lr, b1=hp.momentum, b2=1 - hp.decay),
    "adamw with a schedule": lambda hp, run: optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, hp.lr, hp.warmup, run.steps), weight_decay=hp.decay
    ),
    "weight decay times a hyperparameter": lambda hp, run: optax.chain(
        optax.add_decayed_weights(hp.decay * hp.scale), optax.trace(hp.momentum), optax.scale(-hp.lr * 2)
    ),
    "clipped by the norm": lambda hp, run: optax.chain(optax.clip_by_global_norm(hp.scale), optax.rmsprop(hp.lr)),
    "clipped": lambda hp, run: optax.chain(
        optax.clip(hp.scale), optax.adaptive_grad_clip(hp.rate), optax.lion(hp.lr, b1=hp.momentum)
    ),
    "injected": lambda hp, run: optax.inject_hyperparams(optax.sgd)(hp.lr, momentum=hp.momentum),
    "injected schedule": lambda hp, run: optax.inject_hyperparams(optax.sgd)(optax.linear_schedule(hp.lr, 0.0, 9)),
    "moments of single precision": lambda hp, run: optax.adam(hp.lr, mu_dtype=jnp.float32),
    "plateau": lambda hp, run: optax.chain(
        optax.adam(hp.lr), optax.contrib.reduce_on_plateau(factor=hp.momentum, patience=1)
    ),
    "several steps": lambda hp, run: optax.MultiSteps(optax.lamb(hp.lr), 2),
    "ema": lambda hp, run: optax.chain(optax.ema(hp.momentum), optax.scale_by_learning_rate(hp.lr)),
    "packed schedule": lambda hp, run: optax.adamw(
        vopt.warmup_cosine(hp.lr, run.steps, warmup=hp.warmup), weight_decay=hp.decay
    ),
}


def half(batch):
    return batch[0].astype(HALF), batch[1]


def task_of(model, optimizer):
    return vtune.Supervised(
        MODELS[model], OPTIMIZERS[optimizer], train=(X[:32], Y[:32]), valid=(X[32:], Y[32:]), batch_size=8, prepare=half
    ).for_run(Run(STEPS, 3))


@functools.cache
def program(model):
    task, convolutions = task_of(model, "sgd"), "patches" if "convolutions" in model else "direct"
    return trace(task, SPACE, CONFIG, task.data, Strategy(2, "vmap", convolutions), "pcg")


def types(tree):
    return {jax.tree_util.keystr(path): str(leaf.dtype) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def plain_types(model, optimizer):
    """Of params, other variables and optimizer state after two steps with Flax, Optax and Python numbers alone."""
    return types(jax.eval_shape(lambda: plain_state(model, optimizer)))


def plain_state(model, optimizer):
    hp, run, x, y = PlainHP(CONFIG), SimpleNamespace(steps=STEPS), jnp.asarray(X[:8], HALF), Y[:8]
    tx, is_nnx = OPTIMIZERS[optimizer](hp, run), model.endswith("nnx")

    def made():
        return MODELS[model](hp, nnx.Rngs(0)) if is_nnx else MODELS[model](hp)

    def init():
        if is_nnx:
            params = nnx.to_pure_dict(nnx.state(made(), nnx.Param))
            return params, {}, tx.init(params)
        variables = made().init(jax.random.key(0), x)
        return variables["params"], {k: v for k, v in variables.items() if k != "params"}, tx.init(variables["params"])

    def outputs(params, extra):
        if is_nnx:
            module = made()
            nnx.update(module, params)
            return module(x), extra
        rngs = {"dropout": jax.random.key(1)}
        return made().apply({"params": params, **extra}, x, train=True, rngs=rngs, mutable=["batch_stats"])

    def step(params, extra, opt):
        def loss(params):
            logits, changed = outputs(params, extra)
            return cases.cross_entropy(logits.astype(jnp.float32), y), changed

        (value, extra), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt = optax.with_extra_args_support(tx).update(gradients, opt, params, value=value)
        return optax.apply_updates(params, updates), dict(extra), opt

    params, extra, opt = step(*step(*init()))
    return {"params": params, "extra": extra, "opt": opt}


def same_types(leaves, expected):
    """Whether a state has the types of the plain one, in all that both hold."""
    own = r"^\['(used|order)'\]|^\['extra'\]\['(rngs|stats)'\]"
    found = {leaf.path: str(leaf.dtype) for leaf in leaves if not re.match(own, leaf.path)}
    # `inject_hyperparams` copies Python numbers into its state, and leaves hyperparameters outside.
    expected = {path: dtype for path, dtype in expected.items() if path in found or ".hyperparams[" not in path}
    assert found == expected


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_state_has_the_types_of_plain_optax(optimizer):
    task, session = task_of("linen", optimizer), Session(CONFIG, SPACE)
    lane = LaneTask(task, "pcg")

    def two_steps(hp):
        key = rng.study_key(0)
        leaves = lane.init(hp, task.data, key)
        for step in range(2):
            leaves, _ = lane.step(hp, leaves, task.data, key, key, jnp.uint32(step))
        return leaves

    jax.eval_shape(session.bind(two_steps), session.abstract_columns(None))
    same_types(lane.leaves, plain_types("linen", optimizer))


@pytest.mark.parametrize("model", SOME)
def test_state_has_the_types_of_plain_flax(model):
    same_types(program(model).leaves, plain_types(model, "sgd"))


@pytest.mark.parametrize("model", SOME)
def test_every_product_is_one_of_halves(model):
    text = program(model).lowered.as_text()
    products = re.findall(r"stablehlo\.(?:dot_general|convolution).*: \((.*)\) ->", text)
    assert len(products) >= 6
    assert all(re.fullmatch(r"tensor<\S+xbf16>, tensor<\S+xbf16>", operands) for operands in products)


def test_one_wide_scalar_would_be_found():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dense(3, param_dtype=HALF)(nn.Dense(8, param_dtype=HALF)(x) * jnp.float32(2.0))

    task = vtune.Supervised(lambda hp: Wide(), lambda hp: optax.sgd(hp.lr), train=(X, Y), batch_size=8, prepare=half)
    text = trace(task, SPACE, CONFIG, task.data, Strategy(2), "pcg").lowered.as_text()
    assert "xbf16>, tensor<8x3xbf16>" not in text


class Held:
    """A task whose state holds its learning rate, in one of the forms that plain JAX takes."""

    data = None

    def __init__(self, held, change=0.9):
        self.held, self.change = held, change

    def init(self, hp, data, key):
        return {"x": jnp.ones(4, HALF), "lr": self.held(hp), "n": 0}

    def step(self, hp, state, data, key):
        x = state["x"] - (state["lr"] * jax.random.normal(key, (4,), HALF)).astype(HALF)
        following = {"x": x, "lr": state["lr"] * self.change, "n": state["n"] + 1}
        return following, {"batch_loss": x.sum(), "half": jnp.float32((state["lr"] * x).dtype == HALF)}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state["x"]).sum(), "steps": state["n"]}


@pytest.mark.parametrize(
    ("held", "change", "stays"),
    [
        (lambda hp: hp.lr, 0.9, True),
        (lambda hp: 1 - hp.lr, 0.9, True),
        (lambda hp: jnp.asarray(hp.lr), 0.9, True),
        (lambda hp: jnp.asarray(hp.lr, jnp.float32), 0.9, False),
        (lambda hp: hp.lr, np.float32(0.9), False),
    ],
)
def test_scalars_in_a_state_are_as_weak_as_in_a_plain_loop(held, change, stays):
    study = vtune.tune(
        Held(held, change), vtune.Space(lr=vtune.Float(0.01, 0.1)), trials=2, steps=4, eval_every=4, strategy="vmap",
        progress="off",
    )  # fmt: skip
    row = study.curves().iloc[-1]
    assert (row["half"], row["steps"]) == (float(stays), 4)


class HalfMLP(nn.Module):
    rate: float

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Dense(16, dtype=HALF, param_dtype=HALF)(x))
        return nn.Dense(3, dtype=HALF, param_dtype=HALF)(nn.Dropout(self.rate, deterministic=not train)(x))


class HalfCNN(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(4, (3, 3), dtype=HALF, param_dtype=HALF)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.8, dtype=HALF)(x))
        return nn.Dense(3, dtype=HALF, param_dtype=HALF)(x.mean((1, 2)))


MODULES = {"mlp": (lambda hp: HalfMLP(hp.dropout), (8,)), "cnn": (lambda hp: HalfCNN(), (6, 6, 2))}


@functools.cache
def by_hand(module, config):
    make, shape = MODULES[module]
    task = cases.supervised(make, shape).for_run(Run(6, 3))
    return cases.linen_by_hand(make, task, dict(config), 1, 6, 3)


@pytest.mark.parametrize(
    ("module", "strategy"),
    [
        ("mlp", Strategy(2)),
        pytest.param("mlp", Strategy(2, "map"), marks=pytest.mark.slow),
        pytest.param("mlp", Strategy(1, "host"), marks=pytest.mark.slow),
        ("cnn", Strategy(2, "vmap", "patches")),
    ],
)
def test_training_is_that_of_plain_flax_up_to_the_rounding_of_halves(module, strategy):
    """Within 3 % of each loss: eight roundings of bfloat16."""
    space = vtune.Space(
        lr=vtune.Float(1e-3, 3e-2, log=True), dropout=vtune.Float(0.05, 0.5), decay=vtune.Float(1e-6, 1e-2, log=True),
        warmup=vtune.Int(1, 4), optimizer=vtune.Choice("adamw"),
    )  # fmt: skip
    study = vtune.tune(
        cases.supervised(*MODULES[module]), space, trials=2, steps=6, eval_every=3, seed=cases.SEED,
        strategy=strategy, progress="off",
    )  # fmt: skip
    assert len(study.explain().programs) == 1
    curves = study.curves().set_index(["trial", "step"])
    expected, variables = by_hand(module, tuple(study.trial(1).config.items()))
    for step, measured in expected.items():
        for name in ("loss", "train_loss", "batch_loss"):
            assert curves.loc[(1, step), name] == pytest.approx(measured[name], rel=0.03)
    assert types(study.best_params(1)) == types(variables)


class Product:
    """A task that tells in which precision its matrix products are traced."""

    data = None

    def init(self, hp, data, key):
        return {"x": jnp.ones((2, 2)) * hp.lr}

    def step(self, hp, state, data, key):
        highest = jax.config.jax_default_matmul_precision == "highest"
        return {"x": state["x"] @ state["x"]}, {"batch_loss": state["x"].sum(), "highest": jnp.float32(highest)}

    def evaluate(self, hp, state, data, key):
        return {"loss": state["x"].sum()}


def test_a_study_keeps_to_the_precision_that_it_was_made_in(tmp_path):
    options = {"trials": 2, "steps": 2, "progress": "off", "store": tmp_path / "s.db", "name": "x"}
    space = vtune.Space(lr=vtune.Float(0.01, 0.1))
    with jax.default_matmul_precision("highest"):
        study = vtune.Study(Product(), space, **options)
    study.run()
    assert study.curves()["highest"].eq(1).all()
    assert study.verify(1).largest < 1e-5
    with pytest.raises(StoreError, match=r"precision .* was matrix products highest and is now none"):
        vtune.tune(Product(), space, **options, resume=True)
    with jax.default_matmul_precision("highest"):
        assert vtune.tune(Product(), space, **options, resume=True).state == "complete"
