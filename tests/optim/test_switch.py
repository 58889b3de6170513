"""`switch`: every lane trains as with its own plain transformation, in one program and one set of buffers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from vtune.errors import ArgumentError
from vtune.hyper import Session
from vtune.optim import switch
from vtune.space import Choice, Float, Space

OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": lambda lr: optax.sgd(lr, 0.9),
    "nesterov": lambda lr: optax.sgd(lr, 0.9, nesterov=True),
    "adadelta": optax.adadelta,
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
    "lion": optax.lion,
    "adagrad": optax.adagrad,
    "lamb": optax.lamb,
}
PARAMS = {"kernel": jnp.linspace(-1, 1, 12).reshape(3, 4), "other": jnp.ones((3, 4)), "bias": jnp.zeros(4)}
CONFIGS = [{"optimizer": name, "lr": 0.01 * place} for place, name in enumerate(OPTIMIZERS, 1)]


def gradients(params, count):
    return jax.tree.map(lambda leaf: jnp.sin(3 * leaf + count) + 0.1 * leaf, params)


def trained(tx, steps=50):
    def step(carried, count):
        params, state = carried
        updates, state = tx.update(gradients(params, count), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (PARAMS, tx.init(PARAMS)), jnp.arange(steps))[0]


def in_lanes(function, configs, space, batch=jax.vmap):
    session = Session(configs[0], space)
    lanes = jax.jit(batch(session.bind(function)))
    lanes.lower(session.abstract_columns(len(configs)))
    return session, lanes(session.layout.encode(configs))


def one_after_another(function):
    return lambda columns: jax.lax.map(function, columns)


@pytest.fixture(scope="module", params=[jax.vmap, one_after_another], ids=["vmap", "one after another"])
def lanes(request):
    space = Space(optimizer=Choice(*OPTIMIZERS), lr=Float(0.0, 1.0))
    return in_lanes(
        lambda hp: trained(switch(hp.optimizer, {name: make(hp.lr) for name, make in OPTIMIZERS.items()})),
        CONFIGS,
        space,
        request.param,
    )


@pytest.fixture(scope="module")
def alone():
    return {name: jax.jit(lambda lr, make=make: trained(make(lr))) for name, make in OPTIMIZERS.items()}


def test_fifty_steps_are_those_of_the_plain_transformation(lanes, alone):
    session, (params, _) = lanes
    assert session.guards == ()
    assert session.kinds() == {"optimizer": "packed", "lr": "traced"}
    for lane, config in enumerate(CONFIGS):
        expected, _ = alone[config["optimizer"]](config["lr"])
        for given, plain in zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(given[lane], plain, rtol=1e-6, atol=2e-6, err_msg=config["optimizer"])


def test_the_state_is_as_large_as_the_largest_one(lanes):
    def bytes_of(state):
        return sum(leaf.nbytes for leaf in jax.tree.leaves(state))

    _, (_, state) = lanes
    each = [bytes_of(make(0.1).init(PARAMS)) for make in OPTIMIZERS.values()]
    assert bytes_of(state) == len(CONFIGS) * max(each) < len(CONFIGS) * sum(each) / 5


def test_a_plain_name_gives_that_very_transformation():
    adam = optax.adam(0.1)
    assert switch("adam", {"sgd": optax.sgd(0.1), "adam": adam}) is adam
    assert switch(True, {False: optax.sgd(0.1), True: adam}) is adam


def test_a_name_without_a_transformation():
    with pytest.raises(ArgumentError, match="'adamw' was given, and there are 'sgd', 'adam'"):
        switch("adamw", {"sgd": optax.sgd(0.1), "adam": optax.adam(0.1)})
    with pytest.raises(ArgumentError, match="'adam' is a float"):
        switch("sgd", {"sgd": optax.sgd(0.1), "adam": 0.1})
    space = Space(optimizer=Choice("sgd", "lion", "adam"))
    with pytest.raises(ArgumentError, match="'lion', 'adam' may be chosen, and there are 'sgd'"):
        in_lanes(lambda hp: switch(hp.optimizer, {"sgd": optax.sgd(0.1)}).init(PARAMS), [{"optimizer": "sgd"}], space)


@pytest.mark.parametrize("values", [(0.0, 0.9), (2, 1, 7), ("b", "a"), (True, False)])
def test_values_are_matched_by_name_whatever_their_order(values):
    entries = {"unused": optax.adam(1.0)} | {value: optax.scale(float(place)) for place, value in enumerate(values)}

    def scale(hp):
        tx = switch(hp.which, entries)
        return tx.update(jnp.ones(()), tx.init(jnp.ones(())))[0]

    configs = [{"which": value} for value in values]
    if isinstance(values[0], bool):
        scales = [in_lanes(scale, [config], Space(which=Choice(*values)))[1][0] for config in configs]
    else:
        _, scales = in_lanes(scale, configs, Space(which=Choice(*values)))
    assert np.asarray(scales).tolist() == list(range(len(values)))


def poisoned():
    """Not finite in value and in slope."""
    return optax.stateless(lambda updates, params: jax.tree.map(lambda each: jnp.sqrt(each * 0 - 1) / 0, updates))


def test_what_is_not_finite_in_another_branch_stays_there():
    def loss(rate, optimizer):
        tx = switch(optimizer, {"nan": poisoned(), "adam": optax.adam(rate), "sgd": optax.sgd(rate)})
        updates, state = tx.update(jnp.full(3, 2.0), tx.init(jnp.ones(3)))
        return jnp.sum(tx.update(updates, state)[0] ** 2)

    value_and_slope = jax.value_and_grad(loss)
    space = Space(optimizer=Choice("sgd", "nan", "adam"), lr=Float(0.0, 1.0))
    configs = [{"optimizer": name, "lr": 0.1} for name in ("sgd", "nan", "adam")]
    _, (values, slopes) = in_lanes(lambda hp: value_and_slope(hp.lr + 0.0, hp.optimizer), configs, space)
    assert np.isfinite(values).tolist() == [True, False, True]
    for lane in (0, 2):
        expected = value_and_slope(0.1, configs[lane]["optimizer"])
        np.testing.assert_allclose([values[lane], slopes[lane]], expected, rtol=1e-5)


def test_extra_arguments_reach_those_that_take_them():
    def losses(hp):
        plateau = optax.chain(optax.sgd(1.0), contrib.reduce_on_plateau(factor=0.5, patience=1))
        tx = switch(hp.optimizer, {"sgd": optax.sgd(1.0), "plateau": plateau})
        params = jnp.ones(())
        state, made = tx.init(params), []
        for _ in range(5):
            updates, state = tx.update(jnp.ones(()), state, params, value=jnp.ones(()))
            made.append(updates)
        return jnp.stack(made)

    space = Space(optimizer=Choice("sgd", "plateau"))
    _, updates = in_lanes(losses, [{"optimizer": "sgd"}, {"optimizer": "plateau"}], space)
    assert updates[0].tolist() == [-1.0] * 5
    assert -1 < updates[1, -1] < 0


def test_updates_and_states_of_several_types_and_keys():
    params = {"w": jnp.ones(3, jnp.bfloat16)}

    def first(hp):
        tx = switch(
            hp.optimizer,
            {"noise": optax.add_noise(0.1, 0.5, jax.random.key(0)), "adam": optax.adam(0.5, mu_dtype=jnp.float32)},
        )
        return tx.update(params, tx.init(params), params)

    _, (updates, state) = in_lanes(first, [{"optimizer": "adam"}], Space(optimizer=Choice("noise", "adam")))
    tx = optax.adam(0.5, mu_dtype=jnp.float32)
    np.testing.assert_array_equal(updates["w"][0], tx.update(params, tx.init(params), params)[0]["w"])
    assert jax.tree.all(jax.tree.map(lambda leaf: isinstance(leaf, jax.Array), state))


def test_without_params():
    def update(hp):
        tx = switch(hp.optimizer, {"sgd": optax.sgd(2.0), "momentum": optax.sgd(3.0, 0.9)})
        return tx.update(jnp.ones(()), tx.init(jnp.ones(())))[0]

    space = Space(optimizer=Choice("sgd", "momentum"))
    _, updates = in_lanes(update, [{"optimizer": "sgd"}, {"optimizer": "momentum"}], space)
    assert updates.tolist() == [-2, -3]
