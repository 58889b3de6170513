"""Learning-rate schedules whose name and numbers may be hyperparameters: every one is plain arithmetic on scalars.

Their values are those of the Optax schedules of these names. Optax's own also accept hyperparameters, but some of them
ask Python for a number of steps, which costs a program for each.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vtune.errors import ArgumentError
from vtune.hyper import Hyper
from vtune.optim.branches import branches

CYCLE_START, CYCLE_END = 0.04, 4e-6
"""Rates of `one_cycle` at its two ends, as shares of the peak: 1/25 as in Smith and Topin (2019), and 1e-4 of that."""


def constant(peak: Any) -> optax.Schedule:
    """The same rate at every step, as `optax.constant_schedule`.

    Args:
      peak: the rate.

    Returns:
      schedule(count) -> rate, scalars.

    >>> float(constant(0.5)(100))
    0.5
    """
    return lambda count: jnp.asarray(peak)


def cosine(peak: Any, steps: Any, *, end: Any = 0.0) -> optax.Schedule:
    """Half a cosine from the peak down to `end * peak`, as `optax.cosine_decay_schedule`.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

    Args:
      peak: the rate at step 0.
      steps: how many steps the fall takes; the rate stays after them.
      end: the last rate, as a share of the peak.

    Returns:
      schedule(count) -> rate, scalars.

    >>> [round(float(cosine(0.5, 100)(count)), 3) for count in (0, 50, 100, 200)]
    [0.5, 0.25, 0.0, 0.0]
    """
    _positive("steps", steps)
    return lambda count: peak * _fall(_share(count, 0, steps), end)


def warmup_cosine(peak: Any, steps: Any, *, warmup: Any = 0.1, start: Any = 0.0, end: Any = 0.0) -> optax.Schedule:
    """A line up to the peak, then half a cosine down, as `optax.warmup_cosine_decay_schedule`.

    Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017, for the warm-up; the fall is that
    of `cosine`.

    Args:
      peak: the highest rate.
      steps: how many steps both take together; the rate stays after them.
      warmup: steps of the rise if it is a whole number (`100`, a `vtune.Int`); else their share of all steps.
      start: the first rate, as a share of the peak.
      end: the last rate, as a share of the peak.

    Returns:
      schedule(count) -> rate, scalars.

    >>> [round(float(warmup_cosine(0.5, 100, warmup=0.2)(count)), 3) for count in (0, 10, 20, 60, 100)]
    [0.0, 0.25, 0.5, 0.25, 0.0]
    """
    _positive("steps", steps)
    rise = _rise(warmup, steps)

    def schedule(count: Any) -> Any:
        rising = start + (1 - start) * _share(count, 0, rise)
        return peak * jnp.where(count < rise, rising, _fall(_share(count, rise, steps), end))

    return schedule


def exponential(peak: Any, steps: Any, *, end: Any = 0.01) -> optax.Schedule:
    """The same factor at every step, down to `end * peak`, as `optax.exponential_decay` with an end value.

    Args:
      peak: the rate at step 0.
      steps: how many steps the fall takes; the rate stays after them.
      end: the last rate, as a share of the peak; above 0.

    Returns:
      schedule(count) -> rate, scalars.

    >>> [round(float(exponential(0.5, 100)(count)), 3) for count in (0, 50, 100, 200)]
    [0.5, 0.05, 0.005, 0.005]
    """
    _positive("steps", steps)
    _positive("end of `exponential`", end)
    return lambda count: peak * jnp.power(jnp.asarray(end), _share(count, 0, steps))


def one_cycle(
    peak: Any, steps: Any, *, warmup: Any = 0.3, start: Any = CYCLE_START, end: Any = CYCLE_END
) -> optax.Schedule:
    """Half a cosine up to the peak and half a one down, as `optax.cosine_onecycle_schedule`.

    Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates", 2019.

    Args:
      peak: the highest rate.
      steps: how many steps both take together; the rate stays after them.
      warmup: steps of the rise if it is a whole number (`100`, a `vtune.Int`); else their share of all steps.
      start: the first rate, as a share of the peak.
      end: the last rate, as a share of the peak.

    Returns:
      schedule(count) -> rate, scalars.

    >>> [round(float(one_cycle(0.5, 100)(count)), 3) for count in (0, 15, 30, 65, 100)]
    [0.02, 0.26, 0.5, 0.25, 0.0]
    """
    _positive("steps", steps)
    rise = _rise(warmup, steps)

    def schedule(count: Any) -> Any:
        rising = _fall(1 - _share(count, 0, rise), start)
        return peak * jnp.where(count < rise, rising, _fall(_share(count, rise, steps), end))

    return schedule


_SCHEDULES: dict[str, tuple[Callable[..., optax.Schedule], tuple[str, ...]]] = {
    "constant": (lambda peak, steps: constant(peak), ()),
    "cosine": (cosine, ("end",)),
    "warmup_cosine": (warmup_cosine, ("warmup", "start", "end")),
    "exponential": (exponential, ("end",)),
    "one_cycle": (one_cycle, ("warmup", "start", "end")),
}


def schedule(
    name: Any, peak: Any, steps: Any, *, warmup: Any = None, start: Any = None, end: Any = None
) -> optax.Schedule:
    """A learning-rate schedule by its name; for a hyperparameter one program serves all names.

    Args:
      name: "constant", "cosine", "warmup_cosine", "exponential" or "one_cycle", or a hyperparameter that is a
        `vtune.Choice` of some of them.
      peak: the highest rate.
      steps: how many steps there are: `run.steps` in an optimizer(hp, run).
      warmup: of the schedules that have one: steps if it is a whole number, else a share of all steps. None here and
        below: what each schedule has by itself.
      start: of the schedules with a warm-up: the first rate, as a share of the peak.
      end: of all but "constant": the last rate, as a share of the peak.

    Returns:
      schedule(count) -> rate, scalars: what Optax takes as a learning rate.

    Raises:
      ArgumentError: another name, or a number out of its range.

    >>> [round(float(schedule("cosine", 0.5, 100)(count)), 3) for count in (0, 50, 100)]
    [0.5, 0.25, 0.0]
    """
    options = {"warmup": warmup, "start": start, "end": end}
    given = {key: value for key, value in options.items() if value is not None}
    index, chosen = branches(name, _SCHEDULES, "a schedule")
    made = [make(peak, steps, **{key: given[key] for key in takes if key in given}) for make, takes in chosen]
    if index is None:
        return made[0]

    def rate(count: Any) -> Any:
        dtype = jnp.result_type(float)
        ways = [lambda each=each: jax.lax.convert_element_type(each(count), dtype) for each in made]
        return jax.lax.switch(index, ways)

    return rate


def _share(count: Any, first: Any, last: Any) -> Any:
    """How far a count is from the first step to the last, 0 to 1; 1 where there is no step between."""
    length = _least(last - first, 1)
    done = jnp.clip(count - first, 0, length) / length
    return jnp.where(count >= last, 1.0, done)


def _least(length: Any, least: int) -> Any:
    return np.maximum(length, least) if isinstance(length, Hyper | int | float) else jnp.maximum(length, least)


def _fall(share: Any, end: Any) -> Any:
    """Half a cosine from 1 at share 0 to `end` at share 1."""
    return end + (1 - end) * 0.5 * (1 + jnp.cos(math.pi * share))


def _rise(warmup: Any, steps: Any) -> Any:
    """Whole steps of a warm-up."""
    if jnp.issubdtype(jnp.result_type(warmup), jnp.integer):
        _check("warmup", warmup, "at least 0", lambda given: given >= 0)
        return warmup
    _check("warmup as a share of the steps", warmup, "from 0 to 1", lambda given: 0 <= given <= 1)
    product = warmup * steps
    return np.floor(product) if isinstance(product, Hyper | float) else jnp.floor(product)


def _positive(what: str, value: Any) -> None:
    _check(what, value, "above 0", lambda given: given > 0)


def _check(what: str, value: Any, range_: str, holds: Callable[[Any], bool]) -> None:
    """Looks at plain numbers only: asking a hyperparameter would cost a guard, and its range is in the space."""
    if isinstance(value, numbers.Real) and not isinstance(value, Hyper) and not holds(value):
        raise ArgumentError(f"{what} must be {range_}; {value} was given.")
