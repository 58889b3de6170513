"""Schedules equal those of Optax, for plain numbers and for hyperparameters, named or packed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vtune import optim
from vtune.errors import ArgumentError
from vtune.hyper import Session
from vtune.space import Choice, Float, Int, Space

COUNTS = jnp.arange(130)
CONFIG = {"name": "cosine", "peak": 0.37, "steps": 100, "share": 0.29, "warmup": 28, "start": 0.25, "end": 0.125}
SPACE = Space(
    name=Choice("one_cycle", "constant", "cosine", "warmup_cosine", "exponential"),
    peak=Float(0.0, 1.0),
    steps=Int(1, 200),
    share=Float(0.0, 1.0),
    warmup=Int(0, 50),
    start=Float(0.0, 1.0),
    end=Float(0.001, 1.0),
)


def of_optax(name, peak, steps, warmup, start, end):
    rise = (warmup + 0.5) / steps
    return {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, steps, end),
        "warmup_cosine": lambda: optax.warmup_cosine_decay_schedule(start * peak, peak, warmup, steps, end * peak),
        "exponential": lambda: optax.exponential_decay(peak, steps, end, end_value=end * peak),
        "one_cycle": lambda: optax.cosine_onecycle_schedule(steps, peak, rise, 1 / start, start / end),
    }[name]()


def rates(schedule):
    return jax.jit(jax.vmap(lambda count: jnp.asarray(schedule(count), jnp.float32)))(COUNTS)


@pytest.mark.parametrize("name", SPACE["name"].values)
@pytest.mark.parametrize("warmup", [28, 0.29], ids=["steps", "share"])
def test_plain_numbers(name, warmup):
    given = optim.schedule(name, 0.37, 100, warmup=warmup, start=0.25, end=0.125)
    np.testing.assert_allclose(rates(given), rates(of_optax(name, 0.37, 100, 28, 0.25, 0.125)), rtol=2e-6)


@pytest.mark.parametrize("warmup", ["warmup", "share"])
def test_everything_packed(warmup):
    def given(hp):
        return rates(optim.schedule(hp.name, hp.peak, hp.steps, warmup=hp[warmup], start=hp.start, end=hp.end))

    configs = [
        {**CONFIG, "name": name, "steps": steps, "peak": peak}
        for name in SPACE["name"].values
        for steps, peak in ((100, 0.37), (60, 0.01))
    ]
    session = Session(CONFIG, SPACE)
    program = jax.jit(jax.vmap(session.bind(given)))
    program.lower(session.abstract_columns(len(configs)))
    made = program(session.layout.encode(configs))
    assert session.guards == ()
    for lane, config in enumerate(configs):
        rise = 28 if warmup == "warmup" else int(0.29 * config["steps"])
        expected = of_optax(config["name"], config["peak"], config["steps"], rise, 0.25, 0.125)
        np.testing.assert_allclose(made[lane], rates(expected), rtol=1e-5, err_msg=str(config))


def test_bare_tracers():
    made = jax.jit(lambda peak, steps, warmup: rates(optim.warmup_cosine(peak, steps, warmup=warmup)))(0.5, 100, 20)
    expected = optax.warmup_cosine_decay_schedule(0.0, 0.5, 20, 100)
    np.testing.assert_allclose(made, rates(expected), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", SPACE["name"].values)
def test_the_defaults(name):
    made = optim.schedule(name, 1.0, 100)
    last = {"constant": 1.0, "exponential": 0.01}.get(name, 0.0)
    np.testing.assert_allclose([made(100), made(1000)], last, atol=1e-5)
    assert 0 <= float(made(0)) <= float(jnp.max(rates(made))) == 1


@pytest.mark.parametrize("make", [optim.warmup_cosine, optim.one_cycle])
@pytest.mark.parametrize("warmup", [0, 0.0, 100, 1.0])
def test_no_rise_and_no_fall(make, warmup):
    made = rates(make(0.5, 100, warmup=warmup, end=0.25))
    assert jnp.isfinite(made).all()
    assert made[0] == (0.5 if warmup == 0 else made.min())
    np.testing.assert_allclose(made[100:], 0.125, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: optim.schedule("linear", 0.1, 100), "'linear' was given, and there are 'constant', 'cosine'"),
        (lambda: optim.cosine(0.1, 0), "steps must be above 0; 0 was given"),
        (lambda: optim.exponential(0.1, 100, end=0.0), "end of `exponential` must be above 0; 0.0 was given"),
        (lambda: optim.one_cycle(0.1, 100, warmup=1.5), "share of the steps must be from 0 to 1; 1.5 was given"),
        (lambda: optim.warmup_cosine(0.1, 100, warmup=-1), "warmup must be at least 0; -1 was given"),
    ],
)
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong()


def test_gradients_of_other_schedules_stay_out():
    space = Space(name=Choice("exponential", "cosine"), end=Float(0.0, 1.0))
    session = Session({"name": "cosine", "end": 0.0}, space)

    def slope(hp):
        return jax.grad(lambda end: optim.schedule(hp.name, 0.5, 100, end=end)(jnp.int32(50)))(hp.end + 0.0)

    program = jax.jit(jax.vmap(session.bind(slope)))
    program.lower(session.abstract_columns(1))
    np.testing.assert_allclose(program(session.layout.encode([{"name": "cosine", "end": 0.0}])), [0.25], rtol=1e-6)
