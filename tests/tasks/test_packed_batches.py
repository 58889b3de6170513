"""One program for batch sizes that have nothing in common, and what keeps a batch from being padded."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from vtune import nn as vnn
from vtune import plan, rng
from vtune.errors import TaskError
from vtune.hyper import Packing, Session, matches
from vtune.space import Choice, Float, Int, Space
from vtune.tasks import Run, Supervised

STEPS, SIZES = 50, (10, 30, 50, 70, 90)
SOURCE = np.random.default_rng(0)
DATA = (SOURCE.normal(size=(180, 5)).astype("float32"), SOURCE.integers(0, 3, 180))
SPACE = Space(lr=Float(1e-3, 1.0), dropout=Float(0.1, 0.5), batch=Choice(*SIZES))
KEY = rng.study_key(3)


class LinenNet(nn.Module):
    rate: float
    norm: type | None = None

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(8)(x)
        if self.norm is not None:
            x = self.norm(use_running_average=not train)(x)
        return nn.Dense(3)(nn.Dropout(self.rate, deterministic=not train)(nn.relu(x)))


class NnxNet(nnx.Module):
    def __init__(self, rate, rngs):
        self.first = nnx.Linear(5, 8, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.first(x))))


MODELS = {
    "linen": lambda hp: LinenNet(hp.dropout),
    "nnx": lambda hp, rngs: NnxNet(hp.dropout, rngs),
    "packed norm": lambda hp: LinenNet(hp.dropout, vnn.BatchNorm),
}


def optimizer(hp, run):
    return optax.adamw(optax.warmup_cosine_decay_schedule(0.0, hp.lr, run.steps_per_epoch, run.steps))


def make(model=MODELS["linen"], **options):
    given = {"train": DATA, "batch_size": lambda hp: hp.batch, **options}
    return Supervised(model, given.pop("optimizer", optimizer), **given).for_run(Run(STEPS, STEPS))


def rehearsed(task, space=SPACE, config=None, key=KEY):
    return task.rehearsed(config or {"lr": 0.1, "dropout": 0.3, "batch": 30}, space, Packing(), key)


def losses(task, hp, key, data):
    """Batch losses and gradient norms of a trial, and the rows that it has used."""

    def body(state, step):
        state, info = task.step(hp, state, data, rng.step_key(key, "model", step))
        return state, info

    state, infos = jax.lax.scan(body, task.init(hp, data, rng.step_key(key, "init")), jnp.arange(STEPS))
    return infos["batch_loss"], infos["grad_norm"], state["used"]


@pytest.mark.parametrize(
    ("model", "cap", "compared"), [("linen", 90, SIZES), ("nnx", 128, (10, 70)), ("packed norm", 90, (30, 50))]
)
def test_a_padded_batch_trains_as_the_plain_one(model, cap, compared):
    space = Space(lr=SPACE["lr"], dropout=SPACE["dropout"], batch=Choice(*sorted({*SIZES, cap})))
    configs = [{"lr": 0.01, "dropout": 0.3, "batch": size} for size in SIZES]
    task = rehearsed(make(MODELS[model]), space, configs[1])
    assert task.notes == {}
    session = Session(configs[1], space)
    trials = jax.vmap(lambda trial: rng.trial_key(KEY, trial))(np.arange(len(SIZES)))
    lanes = jax.vmap(session.bind(lambda hp, key, data: losses(task, hp, key, data)), in_axes=(0, 0, None))
    program = jax.jit(lanes).lower(session.abstract_columns(len(SIZES)), trials, task.data).compile()
    assert matches(session.guards, configs).all()
    together = program(session.layout.encode(configs), trials, task.data)
    for lane, config in enumerate(configs):
        if config["batch"] not in compared:
            continue
        alone = jax.jit(lambda key, data, hp=SimpleNamespace(**config): losses(task, hp, key, data))
        for packed, plain in zip(together, alone(trials[lane], task.data), strict=True):
            np.testing.assert_allclose(packed[lane], plain, rtol=2e-3, atol=1e-5, err_msg=str(config))


def noisy(hp, batch, key):
    x, y = batch
    return x + jax.random.normal(key, x.shape), y


def mixed(hp, batch, key):
    x, y = batch
    return x + 0.1 * x[jax.random.permutation(key, len(x))], y


def by_row(hp, outputs, batch):
    return optax.softmax_cross_entropy_with_integer_labels(outputs, batch[1])


def scaled(hp, batch, key):
    x, y = batch
    return x * jnp.sqrt(x.shape[0]), y


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({"model": lambda hp: LinenNet(hp.dropout, nn.BatchNorm)}, r"padded rows change .* as nn.BatchNorm does"),
        ({"augment": mixed}, "padded rows change"),
        ({"augment": scaled}, "a longer batch changes"),
        ({"loss": lambda *given: by_row(*given).mean()}, r"needs a loss of one value a row \[30\]"),
        ({"loss": lambda *given: by_row(*given) * float(given[0].batch)}, "Python asks for it: hp.batch -> 10 at "),
        ({"augment": noisy, "loss": lambda hp, *given: by_row(hp, *given) * hp.batch}, None),
    ],
    ids=["batch norm", "rows mixed", "size seen", "scalar loss", "pinned", "fine"],
)
def test_what_sees_padded_rows_keeps_batches_as_they_are(options, note):
    task = rehearsed(make(**options))
    if note is None:
        assert task.notes == {}
        return
    assert list(task.notes) == ["batch"]
    with pytest.raises(AssertionError, match=f"not packed: .*{note}"):
        raise AssertionError(task.notes["batch"])
    session = Session({"lr": 0.1, "dropout": 0.3, "batch": 30}, SPACE)
    jax.eval_shape(session.bind(task.init), session.abstract_columns(None), task.data, KEY)
    assert session.kinds()["batch"] == "guarded"


def test_a_plan_says_why_a_batch_size_is_not_packed():
    space = Space(lr=SPACE["lr"], dropout=SPACE["dropout"], batch=Choice(10, 30))
    planned = plan(make(loss=lambda *given: by_row(*given).mean()), space, trials=8, steps=STEPS, block=4)
    assert planned.kinds["batch"] == "guarded"
    assert "one value a row" in planned.notes["batch"]
    assert planned.notes["batch"][:30] in repr(planned)
    assert len(planned.programs) == 2


def test_draws_that_depend_on_the_length_are_found():
    """Without partitionable threefry, the first numbers of a longer draw are others."""
    key = rng.study_key(3, "threefry")
    with jax.threefry_partitionable(False):
        notes = rehearsed(make(augment=noisy), key=key).notes
    assert "a longer batch changes" in notes["batch"]
    assert rehearsed(make(augment=noisy), key=key).notes == {}


def test_configs_that_ask_alike_are_rehearsed_once():
    task = make()
    first = rehearsed(task, config={"lr": 0.1, "dropout": 0.3, "batch": 30})
    again = rehearsed(task, config={"lr": 0.2, "dropout": 0.4, "batch": 90})
    assert again.notes is first.notes


def test_a_batch_that_is_larger_than_the_data_is_refused_before_anything_is_traced():
    with pytest.raises(TaskError, match=r"between 1 and the rows of training data \(144\); it is 200"):
        rehearsed(make(), Space(lr=SPACE["lr"], dropout=SPACE["dropout"], batch=Int(10, 200, step=190)))
