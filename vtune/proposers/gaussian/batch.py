"""Which candidates to try next, given functions drawn from the posterior of each objective."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vtune.proposers.gaussian.draws import Base, Draws, Known, along, condition, moments, values
from vtune.proposers.gaussian.kernel import Hyper

ACQUISITIONS = ("both", "logei", "thompson")
"""How a batch may be chosen: see `pick`."""

DESCENT = 30
"""Steps by which the minimum of a draw is sought from its best candidate."""

SOFT = 1e-3
"""Scale of losses below which an improvement fades out softly, so that candidates without one are still ranked."""


_NOWHERE = 1e9
"""Loss that stands for none, should the linear algebra fail."""


class Explored(NamedTuple):
    """Where draws from the posterior are lowest; arrays over objectives have them as their first axis.

    Attributes:
      draws: the functions drawn.
      best: lowest loss of each draw among the rows, [draws].
      losses: loss of each draw at the candidates, [candidates, draws].
      starts: number of the candidate that is best under each of the first draws, [paths].
      lowest: features of the points found downhill from there, [paths, width].
    """

    draws: Draws
    best: jax.Array
    losses: jax.Array
    starts: jax.Array
    lowest: jax.Array


class Scale(NamedTuple):
    """How several objectives count in each draw.

    Attributes:
      reference: values that are just not worth having, [objectives].
      rays: directions from there, one a draw, [objectives, draws].
    """

    reference: jax.Array | np.ndarray
    rays: jax.Array | np.ndarray


def loss(values: jax.Array, scale: Scale) -> jax.Array:
    """Values of the processes -> one loss under each draw, whose minimum over points measures hypervolume.

    For one objective it is the value itself. For several it is a random hypervolume scalarisation (Golovin and Zhang,
    2020), whose mean over rays is the volume that points dominate.

    A process beyond the objectives says what exceeds the allowed: where its draw is above 0, the loss is beyond all
    that is allowed, so that an improvement counts by its probability of being allowed (as in Gardner et al., 2014, and
    for Thompson sampling in Eriksson and Poloczek, 2021).

    Args:
      values: [processes, ..., draws].
      scale: how the objectives count.
    """
    objectives = len(scale.reference)
    shape = (objectives, *(1,) * (values.ndim - 2), -1)
    share = jnp.min((scale.reference.reshape(shape) - values[:objectives]) / scale.rays.reshape(shape), axis=0)
    worth = -jnp.sign(share) * jnp.abs(share) ** objectives
    if len(values) == objectives:
        return worth
    return jnp.where(values[-1] > 0, forbidden(objectives) + values[-1], worth)


def forbidden(objectives: int) -> float:
    """A loss that nothing has that is allowed."""
    return 10.0**objectives


@partial(jax.jit, static_argnames=("paths",))
def explore(
    x: jax.Array, y: jax.Array, real: jax.Array, group: jax.Array, hyper: Hyper, base: Base, scale: Scale,
    candidates: jax.Array, movable: jax.Array, reach: jax.Array, paths: int,
) -> Explored:  # fmt: skip
    """Draws functions from the posterior and looks where they are lowest.

    Args:
      x, y, real: features [n, width], values [objectives, n], which rows are no padding [n].
      group: group of each column, [width].
      hyper: the kernels of the objectives.
      base: random numbers of the draws.
      scale: how the objectives count in each draw.
      candidates: features [m, width].
      movable: which of their columns may be moved, bool [m, width].
      reach: how far they may be moved in each column, [m, width].
      paths: how many draws are followed downhill from their best candidate.
    """
    draws = jax.vmap(lambda y, hyper, base: condition(Known(x, y, real, group, hyper), base))(y, hyper, base)
    losses = loss(jax.vmap(values, (0, None))(draws, candidates), scale)
    seen = loss(jax.vmap(values, (0, None))(draws, x), scale)
    starts = jnp.argmin(losses[:, :paths], axis=0)
    origin, free, far = candidates[starts], movable[starts], reach[starts]
    low, high = jnp.maximum(origin - far, 0.0), jnp.minimum(origin + far, 1.0)
    few = scale._replace(rays=scale.rays[:, :paths])
    slope = jax.grad(lambda at: jnp.sum(loss(jax.vmap(along, (0, None))(draws, at), few)))

    def step(carry: tuple[jax.Array, jax.Array, jax.Array], i: jax.Array) -> tuple[Any, None]:
        at, first, second = carry
        g = jnp.where(free, slope(at), 0.0)
        first, second = 0.8 * first + 0.2 * g, 0.95 * second + 0.05 * g * g
        a, b = 1 - 0.8 ** (i + 1.0), 1 - 0.95 ** (i + 1.0)
        rate = 0.15 * far * 0.5 * (1 + jnp.cos(jnp.pi * i / DESCENT))
        at = at - rate * (first / a) / (jnp.sqrt(second / b) + 1e-12)
        return (jnp.where(free, jnp.clip(at, low, high), origin), first, second), None

    zeros = jnp.zeros_like(origin)
    lowest = jax.lax.scan(step, (origin, zeros, zeros), jnp.arange(DESCENT))[0][0]
    best = jnp.min(jnp.where(real[:, None], seen, jnp.inf), axis=0)
    return Explored(draws, best, losses, starts, lowest)


@jax.jit
def evaluate(draws: Draws, x: jax.Array, scale: Scale) -> jax.Array:
    """Loss of every draw at features [m, width] -> [m, draws]."""
    return loss(jax.vmap(values, (0, None))(draws, x), scale)


class Picked(NamedTuple):
    """A batch, by the numbers of its candidates; only as many entries as were asked for mean something.

    Attributes:
      order: numbers of the candidates, [most].
      gain: the improvement expected of each when it was chosen, [most].
      mean, deviation: the posterior there, [objectives, most].
    """

    order: jax.Array
    gain: jax.Array
    mean: jax.Array
    deviation: jax.Array


@partial(jax.jit, static_argnames=("most", "acquisition"))
def pick(
    losses: jax.Array, candidates: jax.Array, free: jax.Array, best: jax.Array, draws: Draws,
    branch: jax.Array, owed: jax.Array, n: jax.Array, most: int, acquisition: str,
) -> Picked:  # fmt: skip
    """Chooses a batch one by one.

    Args:
      losses: loss of every draw at the candidates, [m, draws].
      candidates: their features, [m, width].
      free: which may be chosen, bool [m].
      best: lowest loss of each draw so far, [draws].
      draws: the posterior.
      branch: the branch of each candidate, [m].
      owed: the branch that each choice must come from, -1 for any, [most]; the lowest there under one draw is chosen.
      n: how many to choose, at most `most`.
      most: length of what is returned.
      acquisition: "logei": by the expected improvement over all draws, each choice counted as tried (q log-EI: Ament et
        al., 2023, over draws at the rows too, as in noisy EI: Letham et al., 2019); "thompson": the lowest candidate of
        one draw each (Thompson, 1933); "both": in turn.
    """

    losses, best = (jnp.nan_to_num(each, nan=_NOWHERE, posinf=_NOWHERE) for each in (losses, best))

    def improvement(losses: jax.Array, best: jax.Array) -> jax.Array:
        gap = (best - losses) / SOFT
        return SOFT * jnp.mean(jnp.where(gap > 0, gap + 1.0, 1.0 / (1.0 - jnp.minimum(gap, 0.0)) ** 2), axis=-1)

    def step(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        order, gain, free, best = carry
        within = free & (owed[i] >= 0) & (branch == owed[i])
        bound = jnp.any(within)
        allowed = jnp.where(bound, within, free)
        together = (acquisition == "logei") | ((acquisition == "both") & (i % 2 == 0))
        worth = jax.lax.cond(
            together & ~bound, lambda: improvement(losses, best), lambda: -losses[:, i % losses.shape[1]]
        )
        chosen = jnp.argmax(jnp.where(allowed, worth, -jnp.inf))
        own = losses[chosen]
        gain = gain.at[i].set(improvement(own, best))
        return order.at[i].set(chosen), gain, free.at[chosen].set(False), jnp.minimum(best, own)

    start = jnp.zeros(most, int), jnp.zeros(most), free, best
    order, gain, _, _ = jax.lax.fori_loop(0, n, step, start)
    mean, deviation = jax.vmap(moments, (0, None))(draws, candidates[order])
    return Picked(order, gain, mean, deviation)
