"""Linen modules: ordinary layers for plain numbers, exact draws and clean gradients for hyperparameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from nn.lanes import assert_padded, in_lanes
from nn.shell_linen import INITIALIZERS, PlainMLP

from vtune import nn as vnn
from vtune.errors import ArgumentError
from vtune.hyper import Packing, chosen, packed_size
from vtune.nn import rows
from vtune.nn.sizes import ledger
from vtune.rng import implementation
from vtune.space import Choice, Float, Int, Space

X = jax.random.normal(jax.random.key(0), (6, 5))
KEY = jax.random.key(1)
DROPOUT = {"dropout": jax.random.key(2)}
SPACE = Space(
    width=Int(1, 12),
    depth=Int(0, 3),
    rate=Float(0.0, 1.0),
    act=Choice("tanh", "relu"),
    init=Choice(*(name for name in INITIALIZERS if name != "orthogonal")),
    norm=Choice("none", "batch", "rms"),
)
CONFIGS = [
    {"width": 7, "depth": 1, "rate": 0.5, "act": "relu", "init": "lecun_normal", "norm": "batch"},
    {"width": 12, "depth": 3, "rate": 0.0, "act": "tanh", "init": "he_normal", "norm": "none"},
    {"width": 10, "depth": 2, "rate": 1.0, "act": "tanh", "init": "glorot_uniform", "norm": "rms"},
]
NETWORKS = {
    "Dense": lambda layers: layers.Dense(4),
    "Dense without bias": lambda layers: layers.Dense(4, use_bias=False, param_dtype=jnp.bfloat16),
    "Dense of half precision": lambda layers: layers.Dense(4, dtype=jnp.bfloat16),
    "LayerNorm": lambda layers: layers.LayerNorm(epsilon=1e-3),
    "LayerNorm alone": lambda layers: layers.LayerNorm(use_bias=False, use_scale=False),
    "RMSNorm": lambda layers: layers.RMSNorm(dtype=jnp.bfloat16),
    "BatchNorm": lambda layers: layers.BatchNorm(use_running_average=False, momentum=0.5),
    "BatchNorm in use": lambda layers: layers.BatchNorm(use_running_average=True),
    "Dropout": lambda layers: layers.Dropout(0.4, deterministic=False),
    "Dropout of rows": lambda layers: layers.Dropout(0.4, broadcast_dims=(1,), deterministic=False),
    "no Dropout": lambda layers: layers.Dropout(0.0, deterministic=False),
}


def mlp(hp):
    return vnn.MLP(hp.width, hp.depth, 2, hp.act, hp.rate, hp.norm, kernel_init=hp.init)


def equal(*trees):
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7), *trees)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_plain_numbers_make_the_layers_of_flax(make):
    results = []
    for layers in (vnn, linen):
        network = linen.Sequential([make(layers)])
        variables = network.init({"params": KEY, **DROPOUT}, X)
        results.append((variables, *network.apply(variables, X, rngs=DROPOUT, mutable=["batch_stats"])))
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    assert [leaf.dtype for leaf in jax.tree.leaves(results[0])] == [leaf.dtype for leaf in jax.tree.leaves(results[1])]
    equal(*(jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), result) for result in results))


def test_a_plain_mlp_is_the_network_written_by_hand():
    for norm in (None, "layer", "batch"):
        options = {"features": 7, "depth": 2, "activation": "gelu", "dropout": 0.3, "norm": norm, "residual": True}
        results = []
        for network in (vnn.MLP(**options), PlainMLP(**options)):
            variables = network.init(KEY, X)
            results.append((variables, network.apply(variables, X, True, rngs=DROPOUT, mutable=["batch_stats"])))
        equal(*results)


@pytest.fixture(scope="module")
def initialised():
    def run(hp, key):
        with ledger() as made:
            variables = mlp(hp).init(key, X)
        return variables, sum(jnp.prod(jnp.array([s.value for s in made.sizes(p)])) for p in jax.tree.leaves(variables))

    active = [config for config in CONFIGS if config["norm"] != "none"]
    return active, *in_lanes(run, SPACE, active, KEY)


def test_initial_params_are_bit_for_bit_those_of_the_small_network(initialised):
    configs, (found, counts), session = initialised
    for lane, config in enumerate(configs):
        small = PlainMLP(config["width"], config["depth"], 2, norm=config["norm"], kernel_init=config["init"])
        variables = small.init(KEY, X)
        for path, true in jax.tree_util.tree_leaves_with_path(variables):
            padded = found
            for part in path:
                padded = padded[part.key]
            assert_padded(padded[lane], true)
        assert counts[lane] == sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert set(session.kinds().values()) == {"packed", "traced"}


@pytest.mark.parametrize("generator", ["pcg", "threefry"])
def test_dropout_masks_are_bit_for_bit_those_of_the_small_network(generator):
    key = jax.random.key(3, impl=implementation(generator))
    x = jnp.broadcast_to(jnp.arange(1.0, 4.0)[:, None, None], (3, 2, 12))

    def run(hp, key):
        return vnn.Dropout(hp.rate, deterministic=False, inputs=hp.width).apply({}, x, rngs={"dropout": key})

    found, _ = in_lanes(run, SPACE, CONFIGS, key)
    for lane, config in enumerate(CONFIGS):
        small = linen.Dropout(config["rate"], deterministic=False)
        expected = small.apply({}, x[..., : config["width"]], rngs={"dropout": key})
        np.testing.assert_array_equal(found[lane, ..., : config["width"]], expected)


def test_gradients_are_finite_for_any_rate_input_and_choice():
    def loss(x, hp, key):
        network = vnn.MLP(hp.width, 1, 2, hp.act, hp.rate, hp.norm)
        return jnp.square(network.init_with_output({"params": key, "dropout": key}, x, True)[0]).sum()

    found, _ = in_lanes(lambda hp, key: jax.grad(loss)(X * 1e10, hp, key), SPACE, CONFIGS, KEY)
    assert np.isfinite(found).all()


def test_an_activation_that_is_not_chosen_cannot_spoil_gradients():
    functions = Space(act=Choice("relu", "softplus", "gelu", "elu", "squareplus", "mish", "celu", "log_sigmoid"))
    x = jnp.array([-1e30, -3.0, 0.5, 1e30])

    def run(hp):
        return jax.vmap(jax.value_and_grad(vnn.activation(hp.act)))(x)

    (values, slopes), session = in_lanes(run, functions, [{"act": name} for name in functions["act"].values])
    assert session.kinds() == {"act": "packed"}
    for lane, name in enumerate(functions["act"].values):
        np.testing.assert_allclose(values[lane], getattr(jax.nn, name)(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(slopes[0], [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", vnn.ACTIVATIONS)
def test_activations_are_those_of_flax(name):
    x = jnp.linspace(-4.0, 8.0, 9)
    if name in ("linear", "identity"):
        expected = x
    else:
        expected = getattr(linen, name, getattr(jax.nn, name, None))(x)
    np.testing.assert_array_equal(vnn.activation(name)(x), expected)
    assert vnn.activation(jnp.sin) is jnp.sin


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda hp: vnn.activation("rely"), r"one of celu, .*tanh, or a function; 'rely' was given"),
        (lambda hp: vnn.activation(hp.width), "An activation is one of"),
        (lambda hp: vnn.activation(hp.init), "'he_normal' was given"),
        (
            lambda hp: vnn.MLP(4, 1, norm="group").init(KEY, X),
            "None or one of batch, layer, none, rms; 'group' was given",
        ),
        (lambda hp: vnn.MLP(4, 1, norm=hp.act).init(KEY, X), "A norm is None or one of"),
        (
            lambda hp: vnn.Dense(hp.width, kernel_init=linen.initializers.lecun_normal()).init(KEY, X),
            "needs an initializer that knows its true size.*Pass a name instead",
        ),
    ],
)
def test_errors_list_what_is_possible(use, message):
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        in_lanes(lambda hp: (use(hp), jnp.zeros(()))[1], SPACE, CONFIGS)


def test_what_the_program_does_not_pack_is_guarded_and_plain():
    names = frozenset({"width"})
    found, session = in_lanes(
        lambda hp: mlp(hp).init(KEY, X)["params"], SPACE, CONFIGS[1:2], packing=Packing(names=names)
    )
    guarded = {"depth", "act", "init", "norm"}
    assert session.kinds() == {name: "guarded" if name in guarded else "packed" for name in SPACE} | {"rate": "traced"}
    assert found.keys() == {"hidden_0", "hidden_1", "hidden_2", "out"}


def test_a_trial_without_hidden_layers_has_a_program_of_its_own():
    shapes = {}
    for depth in (0, 2):
        _, session = in_lanes(
            lambda hp: jax.tree.map(jnp.shape, mlp(hp).init(KEY, X)["params"]) and jnp.zeros(()),
            SPACE,
            [{**CONFIGS[0], "depth": depth}],
        )
        shapes[depth] = [guard.outcome for guard in session.guards if guard.question == "hp.depth >= 1"]
    assert shapes == {0: [False], 2: [True]}


def test_batch_norm_leaves_padded_rows_out():
    def run(hp):
        true = packed_size(hp.depth + 3)
        poisoned = jnp.where(true.mask[:, None], X, jnp.nan)
        layer = vnn.BatchNorm(momentum=0.0)
        variables = layer.init(KEY, X, True)
        with rows.packed(true):
            return layer.apply(variables, poisoned, False, mutable=["batch_stats"])

    (outputs, changed), _ = in_lanes(run, SPACE, CONFIGS)
    for lane, config in enumerate(CONFIGS):
        true = X[: config["depth"] + 3]
        expected, statistics = linen.BatchNorm(False, momentum=0.0).init_with_output(KEY, true)
        np.testing.assert_allclose(outputs[lane][: len(true)], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(changed["batch_stats"]["mean"][lane], true.mean(0), rtol=1e-5, atol=1e-6)
        assert statistics["batch_stats"].keys() == changed["batch_stats"].keys()


def test_a_module_finds_out_how_many_inputs_are_true():
    class Network(linen.Module):
        width: object

        @linen.compact
        def __call__(self, x):
            x = vnn.MLP(self.width, 1)(x)
            x = vnn.Dense(5)(jnp.cos(x))
            return vnn.Dense(self.width, inputs=packed_size(5))(x), vnn.Dense(3)(x)

    def run(hp):
        with ledger() as made:
            params = Network(hp.width).init(KEY, X)["params"]
        return {
            name: jnp.array([size.value for size in made.sizes(params[name]["kernel"])])
            for name in params
            if "_" in name and "MLP" not in name
        }

    found, _ = in_lanes(run, SPACE, CONFIGS)
    assert found["Dense_0"].tolist() == [[7, 5], [12, 5], [10, 5]]
    assert found["Dense_1"].tolist() == [[5, 7], [5, 12], [5, 10]]
    assert found["Dense_2"].tolist() == [[5, 3]] * 3


def test_chosen_is_true_for_the_options_of_a_trial():
    (some, none), session = in_lanes(
        lambda hp: (jnp.asarray(chosen(hp.norm, "batch", "rms") * hp.width), jnp.asarray(chosen(hp.norm, "layer"))),
        SPACE,
        CONFIGS,
    )
    assert some.tolist() == [7, 0, 10]
    assert none.tolist() == [False] * 3
    assert session.kinds()["norm"] == "packed"
    assert chosen("rms", "batch", "rms")
    assert not chosen(None, "rms")
