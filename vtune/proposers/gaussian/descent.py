"""Minimisation in a fixed number of evaluations, so that it can be compiled once and vmapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

MEMORY = 8
"""Pairs of steps and changes of the gradient from which the curvature is estimated."""


class _At(NamedTuple):
    point: jax.Array
    value: jax.Array
    slope: jax.Array
    direction: jax.Array
    length: jax.Array
    steps: jax.Array
    turns: jax.Array


def descend(loss: Callable[[jax.Array], jax.Array], start: jax.Array, evaluations: int) -> tuple[jax.Array, jax.Array]:
    """L-BFGS (Liu and Nocedal, 1989) that halves its step where it would not go down; one evaluation a step.

    Args:
      loss: point [k] -> scalar, differentiable.
      start: [k].
      evaluations: of the loss and its gradient.

    Returns:
      The point [k] and its value.

    Example:
      >>> valley = lambda p: (p[0] - 1.0) ** 2 + 30.0 * (p[1] - 3.0) ** 2
      >>> point, value = descend(valley, jnp.zeros(2), 20)
      >>> bool(jnp.allclose(point, jnp.array([1.0, 3.0]), atol=1e-3))
      True
    """
    both = jax.value_and_grad(loss)

    def step(at: _At, _: None) -> tuple[_At, None]:
        point = at.point + at.length * at.direction
        value, slope = both(point)
        down = jnp.isfinite(value) & (value < at.value) & jnp.all(jnp.isfinite(slope))
        moved, turned = point - at.point, slope - at.slope
        bent = down & (moved @ turned > 1e-10 * (turned @ turned))
        steps = jnp.where(bent, jnp.roll(at.steps, 1, 0).at[0].set(moved), at.steps)
        turns = jnp.where(bent, jnp.roll(at.turns, 1, 0).at[0].set(turned), at.turns)
        slope = jnp.where(down, slope, at.slope)
        direction = jnp.where(down, _newton(slope, steps, turns), at.direction)
        uphill = direction @ slope >= 0
        direction = jnp.where(uphill, -slope / jnp.maximum(1.0, jnp.linalg.norm(slope)), direction)
        length = jnp.where(down | uphill, 1.0, 0.4 * at.length)
        return _At(
            jnp.where(down, point, at.point), jnp.where(down, value, at.value), slope, direction, length, steps, turns
        ), None  # fmt: skip

    value, slope = both(start)
    none = jnp.zeros((MEMORY, len(start)), start.dtype)
    first = -slope / jnp.maximum(1.0, jnp.linalg.norm(slope))
    begin = _At(start, value, slope, first, jnp.ones((), start.dtype), none, none)
    end = jax.lax.scan(step, begin, None, length=evaluations - 1)[0]
    return end.point, end.value


def _newton(slope: jax.Array, steps: jax.Array, turns: jax.Array) -> jax.Array:
    """Minus the slope times the inverse of the curvature that the memory tells of; empty places count for nothing."""
    dots = jnp.sum(steps * turns, axis=1)
    known = dots > 0
    rho = jnp.where(known, 1.0 / jnp.where(known, dots, 1.0), 0.0)

    def forward(q: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
        a = rho[k] * (steps[k] @ q)
        return q - a * turns[k], a

    def back(q: jax.Array, ka: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        k, a = ka
        return q + steps[k] * (a - rho[k] * (turns[k] @ q)), None

    order = jnp.arange(MEMORY)
    q, weights = jax.lax.scan(forward, slope, order)
    length = jnp.where(known[0], dots[0] / jnp.maximum(turns[0] @ turns[0], 1e-300), 1.0)
    return -jax.lax.scan(back, q * length, (order[::-1], weights[::-1]))[0]
