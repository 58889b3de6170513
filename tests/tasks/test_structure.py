"""Supervised tasks whose network is packed: what is counted, what is handed out, and padding that is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from vtune import nn as vnn
from vtune import optim, rng
from vtune.errors import TaskError
from vtune.hyper import Packing, PlainHP, Session, packed_size
from vtune.nn import nnx as vnnx
from vtune.space import Choice, Float, Int, Space
from vtune.tasks import Run, Supervised
from vtune.tasks.unpadded import unpadded

SOURCE = np.random.default_rng(0)
DATA = (SOURCE.normal(size=(40, 5)).astype("float32"), SOURCE.integers(0, 3, 40))
SPACE = Space(
    lr=Float(1e-3, 1.0), width=Choice(4, 6, 8), depth=Int(1, 3), act=Choice("relu", "tanh"), optimizer=Choice("a", "b")
)
CONFIGS = [
    {"lr": 0.1, "width": width, "depth": depth, "act": act, "optimizer": "a"}
    for width, depth, act in ((8, 3, "relu"), (4, 1, "tanh"), (6, 2, "relu"))
]
KEY = rng.study_key(3)
MODELS = {
    "linen": lambda hp: vnn.MLP(features=hp.width, depth=hp.depth, out=3, activation=hp.act, norm="batch"),
    "nnx": lambda hp, rngs: vnnx.MLP(
        5, features=hp.width, depth=hp.depth, out=3, activation=hp.act, norm="batch", rngs=rngs
    ),
}


def make(model, optimizer=lambda hp: optax.adam(hp.lr)):
    return Supervised(model, optimizer, train=DATA, metrics="n_params", batch_size=8).for_run(Run(4, 4))


def rehearsed(task, packing=Packing(), config=CONFIGS[0]):
    return task.rehearsed(config, SPACE, packing, KEY)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_handed_out_and_counted_is_the_small_network(model):
    task = rehearsed(make(MODELS[model]))
    session = Session(CONFIGS[0], SPACE)

    def begin(hp, key, data):
        state = task.init(hp, data, key)
        return state, task.evaluate(hp, state, data, key)["n_params"]

    lanes = jax.vmap(session.bind(begin), in_axes=(0, None, None))
    program = jax.jit(lanes).lower(session.abstract_columns(len(CONFIGS)), KEY, task.data).compile()
    states, counts = program(session.layout.encode(CONFIGS), KEY, task.data)
    for lane, config in enumerate(CONFIGS):
        hp = PlainHP(config)
        state = jax.tree.map(lambda leaf, lane=lane: leaf[lane], states)
        found = task.variables(hp, state, task.data)
        small = task.variables(
            hp, jax.jit(lambda key, data, hp=hp: task.init(hp, data, key))(KEY, task.data), task.data
        )
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7), found, small)
        params = (
            found["params"]
            if model == "linen"
            else {
                name: {part: value for part, value in layer.items() if part not in ("mean", "var")}
                for name, layer in found.items()
            }
        )
        assert counts[lane] == sum(leaf.size for leaf in jax.tree.leaves(params))


def test_unpadded_cuts_the_end_of_each_axis_and_drops_what_the_small_network_lacks():
    packed = {"a": {"w": np.arange(12).reshape(3, 4), "b": np.arange(4)}, "deep": {"w": np.ones(4)}}
    small = {"a": {"w": np.zeros((3, 2)), "b": jax.ShapeDtypeStruct((2,), jnp.float32)}}
    found = unpadded(packed, small)
    assert list(found) == ["a"]
    assert found["a"]["w"].tolist() == [[0, 1], [4, 5], [8, 9]]
    assert found["a"]["b"].tolist() == [0, 1]


class Behind(nn.Module):
    """A plain layer behind a packed one."""

    width: object
    last: type = nn.Dense

    @nn.compact
    def __call__(self, x):
        return self.last(3)(jnp.tanh(vnn.Dense(self.width)(x)))


class Deep(nn.Module):
    """As many plain layers as the deepest trial of the program has."""

    depth: object

    @nn.compact
    def __call__(self, x):
        size = packed_size(self.depth)
        for number in range(size.cap):
            x = jnp.where(number < size.value, jnp.tanh(nn.Dense(5)(x)), x)
        return x


def adam_or(second):
    return lambda hp: optim.switch(hp.optimizer, {"a": optax.adam(hp.lr), "b": second(hp.lr)})


@pytest.mark.parametrize(
    ("model", "optimizer", "message"),
    [
        (
            lambda hp: Behind(hp.width),
            lambda hp: optax.sgd(hp.lr),
            r"Dense_0/kernel is \[4, 3\] in the plain network; in the packed one it is \[8, 3\], .* inputs=hp.width",
        ),
        (
            lambda hp: Deep(hp.depth),
            lambda hp: optax.sgd(hp.lr),
            r"Dense_1/bias is a variable of the packed network, \[5\], but not of the plain one. .* MLP\(depth=",
        ),
        (
            lambda hp: Behind(hp.width, vnn.Dense),
            lambda hp: optax.chain(optax.centralize(), optax.sgd(hp.lr)),
            "must not depend on how far they are padded; .* due to centralize",
        ),
        (
            lambda hp: Behind(hp.width, vnn.Dense),
            adam_or(lambda lr: optax.chain(optax.centralize(), optax.sgd(lr))),
            "must not depend on how far they are padded",
        ),
    ],
    ids=["unknown padding", "unknown layers", "optimizer", "optimizer that another trial chooses"],
)
def test_padding_that_would_change_what_is_trained_is_refused(model, optimizer, message):
    with pytest.raises(TaskError, match=message):
        rehearsed(make(model, optimizer))
    plain = rehearsed(make(model, optimizer), Packing(names=frozenset()))
    assert plain.notes == {}


def test_the_same_is_fine_where_it_is_told():
    class Told(nn.Module):
        width: object

        @nn.compact
        def __call__(self, x):
            x = jnp.tanh(vnn.Dense(self.width)(x)) + 0.0
            return vnn.Dense(3, inputs=self.width)(x)

    assert rehearsed(make(lambda hp: Told(hp.width), adam_or(optax.lion))).notes == {}
