"""Twenty steps of a task against the same training written with Flax and Optax alone."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from vtune import rng
from vtune.tasks import Run, Supervised

STEPS, BATCH = 20, 16
HP = SimpleNamespace(lr=0.05, momentum=0.9, dropout=0.3, decay=1e-3)


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
        self.norm = nnx.BatchNorm(16, momentum=0.8, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(16, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


OPTIMIZERS = {
    "sgd": lambda hp, run: optax.sgd(hp.lr, hp.momentum),
    "adamw": lambda hp, run: optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, hp.lr, run.steps_per_epoch, run.steps), weight_decay=hp.decay
    ),
    "adadelta": lambda hp, run: optax.adadelta(hp.lr),
}
RUN = SimpleNamespace(steps=STEPS, steps_per_epoch=3)


def keys(purpose):
    return [rng.key(7, 3, purpose, step) for step in range(STEPS)]


def rows(seed, count, shape):
    source = np.random.default_rng(seed)
    return source.normal(size=(count, *shape)).astype("float32"), source.integers(0, 3, count).astype("int32")


def trained(model, optimizer, shape):
    """The task's (state, batch losses, gradient norms, measurement)."""
    task = Supervised(
        model, optimizer, train=rows(0, 41, shape), valid=rows(1, 13, shape), metrics="accuracy", batch_size=BATCH
    ).for_run(Run(STEPS, 10))
    state = jax.jit(lambda data, key: task.init(HP, data, key))(task.data, rng.key(7, 3, "init"))
    step = jax.jit(lambda state, data, key: task.step(HP, state, data, key))
    infos = []
    for key in keys("model"):
        state, info = step(state, task.data, key)
        infos.append(info)
    evaluate = jax.jit(lambda state, data, key: task.evaluate(HP, state, data, key))
    return task, state, infos, evaluate(state, task.data, rng.key(7, 3, "evaluate", STEPS))


def batches(task):
    x, y = task.data["train"]
    for step, key in enumerate(keys("model")):
        picked = np.asarray(task.indices(rng.key(7, 3, "init"), step, BATCH))
        yield x[picked], y[picked], key


def cross_entropy(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def agrees(task, infos, measured, losses, norms, logits):
    np.testing.assert_allclose([info["batch_loss"] for info in infos], losses, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose([info["grad_norm"] for info in infos], norms, rtol=2e-4, atol=1e-6)
    for prefix, part in (("", "valid"), ("train_", "subset")):
        x, y = task.data[part]
        outputs = logits(x)
        np.testing.assert_allclose(measured[prefix + "loss"], cross_entropy(outputs, y), rtol=2e-5)
        np.testing.assert_allclose(measured[prefix + "accuracy"], (outputs.argmax(-1) == y).mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("module", "shape", "name"),
    [
        (LinenMLP(HP.dropout), (8,), "sgd"),
        (LinenMLP(HP.dropout), (8,), "adamw"),
        (LinenCNN(), (6, 6, 2), "adadelta"),
    ],
    ids=["mlp-sgd", "mlp-adamw", "cnn-adadelta"],
)
def test_linen_training_is_plain_flax_and_optax(module, shape, name):
    task, state, infos, measured = trained(lambda hp: module, OPTIMIZERS[name], shape)

    tx = OPTIMIZERS[name](HP, RUN)
    variables = module.init(rng.key(7, 3, "init"), task.data["train"][0][:1], train=False)
    params, stats = variables["params"], {name: each for name, each in variables.items() if name != "params"}
    opt = tx.init(params)

    @jax.jit
    def step(params, stats, opt, x, y, key):
        def loss(params):
            logits, changed = module.apply(
                {"params": params, **stats}, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
            )
            return cross_entropy(logits, y), changed

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), stats, opt, value, optax.global_norm(grads)

    losses, norms = [], []
    for x, y, key in batches(task):
        params, stats, opt, value, norm = step(params, stats, opt, x, y, key)
        losses.append(value)
        norms.append(norm)
    agrees(task, infos, measured, losses, norms, lambda x: module.apply({"params": params, **stats}, x))
    loaded = task.variables(HP, state, task.data)
    x = task.data["valid"][0]
    np.testing.assert_allclose(
        module.apply(loaded, x), module.apply({"params": params, **stats}, x), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("name", ["adamw", "adadelta"])
def test_nnx_training_is_plain_flax_and_optax(name):
    task, state, infos, measured = trained(lambda hp, rngs: NnxMLP(hp.dropout, rngs), OPTIMIZERS[name], (8,))

    module = NnxMLP(HP.dropout, nnx.Rngs(rng.key(7, 3, "init")))
    optimizer = nnx.Optimizer(module, OPTIMIZERS[name](HP, RUN), wrt=nnx.Param)
    module.train()

    @nnx.jit
    def step(module, optimizer, x, y):
        value, grads = nnx.value_and_grad(lambda module: cross_entropy(module(x), y))(module)
        optimizer.update(module, grads)
        return value, optax.global_norm(grads)

    losses, norms = zip(*(step(module, optimizer, x, y) for x, y, _ in batches(task)), strict=True)
    module.eval()
    agrees(task, infos, measured, losses, norms, module)
    loaded = NnxMLP(HP.dropout, nnx.Rngs(0))
    nnx.update(loaded, task.variables(HP, state, task.data))
    loaded.eval()
    x = task.data["valid"][0]
    np.testing.assert_allclose(loaded(x), module(x), rtol=1e-3, atol=1e-5)


def test_a_state_is_plain_arrays_of_a_fixed_form():
    task = Supervised(
        lambda hp, rngs: NnxMLP(hp.dropout, rngs), lambda hp: optax.adamw(hp.lr), train=rows(0, 100, (8,))
    )
    fresh, after = jax.eval_shape(
        lambda data, key: (state := task.init(HP, data, key), task.step(HP, state, data, key)[0]),
        task.data,
        rng.key(7, 3, "init"),
    )
    assert jax.tree.structure(fresh) == jax.tree.structure(after)
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(each)] for each in (fresh, after)]
    assert shapes[0] == shapes[1]
    assert {type(node) for node in (fresh["params"], fresh["extra"])} == {dict}
