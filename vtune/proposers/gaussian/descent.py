"""Minimisation in a fixed number of evaluations, so that it can be compiled once and vmapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

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


def descend(
    loss: Callable[[jax.Array], tuple[jax.Array, jax.Array]], start: jax.Array, evaluations: int
) -> tuple[jax.Array, jax.Array]:
    """L-BFGS (Liu and Nocedal, 1989) that shortens a step that does not go down; one evaluation a step.

    Args:
      loss: point [k] -> its value, a scalar, and its gradient [k].
      start: [k].
      evaluations: of the loss.

    Returns:
      The point [k] and its value.

    Example:
      >>> valley = lambda p: (p[0] - 1.0) ** 2 + 30.0 * (p[1] - 3.0) ** 2
      >>> point, value = descend(jax.value_and_grad(valley), jnp.zeros(2), 20)
      >>> bool(jnp.allclose(point, jnp.array([1.0, 3.0]), atol=1e-3))
      True
    """

    def step(at: _At, _: None) -> tuple[_At, None]:
        point = at.point + at.length * at.direction
        value, slope = loss(point)
        down = (value < at.value) & jnp.isfinite(value + slope @ slope)
        moved, turned = point - at.point, slope - at.slope
        bent = down & (moved @ turned > 1e-10 * (turned @ turned))
        steps = jnp.where(bent, jnp.concatenate([at.steps[1:], moved[None]]), at.steps)
        turns = jnp.where(bent, jnp.concatenate([at.turns[1:], turned[None]]), at.turns)
        slope = jnp.where(down, slope, at.slope)
        direction = jnp.where(down, _newton(slope, steps, turns), at.direction)
        uphill = direction @ slope >= 0
        return _At(
            point=jnp.where(down, point, at.point),
            value=jnp.where(down, value, at.value),
            slope=slope,
            direction=jnp.where(uphill, _steepest(slope), direction),
            length=jnp.where(down | uphill, 1.0, 0.4 * at.length),
            steps=steps,
            turns=turns,
        ), None

    none, nowhere, one = jnp.zeros((MEMORY, len(start)), start.dtype), jnp.zeros_like(start), jnp.ones((), start.dtype)
    # The first step has length 0, so that the start is evaluated there too: outside, the loss would be traced again.
    begin = _At(start, one * jnp.inf, nowhere, nowhere, one, none, none)
    end = jax.lax.scan(step, begin, None, length=evaluations)[0]
    return end.point, end.value


def _newton(slope: jax.Array, steps: jax.Array, turns: jax.Array) -> jax.Array:
    """Minus the slope times the inverse of the curvature that the memory tells of; empty places count for nothing.

    The memory is taken at once, without loops (Byrd, Nocedal and Schnabel, 1994).
    """
    products = steps @ turns.T
    known = jnp.diagonal(products) > 0
    upper = jnp.triu(products) + jnp.diag(jnp.where(known, 0.0, 1.0))
    last, bend = turns[-1], products[-1, -1]
    scale = jnp.where(known[-1], bend / jnp.where(known[-1], last @ last, 1.0), 0.0)
    first = solve_triangular(upper, steps @ slope)
    inner = jnp.diagonal(products) * first + scale * (turns @ (first @ turns - slope))
    second = solve_triangular(upper, inner, trans=1)
    return jnp.where(known[-1], -(scale * (slope - first @ turns) + second @ steps), _steepest(slope))


def _steepest(slope: jax.Array) -> jax.Array:
    return -slope / jnp.maximum(1.0, jnp.sqrt(slope @ slope))
