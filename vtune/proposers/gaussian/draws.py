"""Functions drawn from the posterior, cheap to evaluate anywhere (pathwise conditioning: Wilson et al., 2020)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve, solve_triangular

from vtune.proposers.gaussian.kernel import OFFSET, Hyper, covariance, gram, scaled


class Base(NamedTuple):
    """The random numbers behind draws.

    Attributes:
      waves: frequencies of the waves that make up the prior, for unit length scales, [waves, width].
      phase: their phases, [waves].
      weights: of the waves in each draw, [draws, waves].
      offset: the constant of each draw, [draws].
      noise: the noise on the scores in each draw, [draws, n].
    """

    waves: np.ndarray
    phase: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    noise: np.ndarray


class Known(NamedTuple):
    """What a process is conditioned on.

    Attributes:
      x: features, [n, width].
      y: values, [n].
      real: which rows are no padding, bool [n].
      group: group of each column, int [width].
      hyper: the kernel.
    """

    x: jax.Array
    y: jax.Array
    real: jax.Array
    group: jax.Array
    hyper: Hyper


class Draws(NamedTuple):
    """Functions drawn from the posterior, and the posterior itself.

    Attributes:
      known: what it is conditioned on.
      base: the random numbers.
      pull: weights of the rows' kernels in each draw, [n, draws].
      root: Cholesky factor of the covariance of the rows, [n, n].
      alpha: weights of the rows' kernels in the posterior mean, [n].
    """

    known: Known
    base: Base
    pull: jax.Array
    root: jax.Array
    alpha: jax.Array


def base(rng: np.random.Generator, objectives: int, draws: int, waves: int, width: int, n: int) -> Base:
    """Random numbers for each of several objectives; the spectrum of Matern 5/2 is Student's t with 5 degrees."""
    directions = rng.standard_normal((objectives, waves, width))
    return Base(
        waves=directions / np.sqrt(rng.chisquare(5, (objectives, waves, 1)) / 5),
        phase=rng.uniform(0, 2 * np.pi, (objectives, waves)),
        weights=rng.standard_normal((objectives, draws, waves)),
        offset=rng.standard_normal((objectives, draws)),
        noise=rng.standard_normal((objectives, draws, n)),
    )


def condition(known: Known, base: Base) -> Draws:
    """Draws functions given the rows."""
    at = scaled(known.x, known.hyper, known.group)
    root = jnp.linalg.cholesky(gram(at, known.real, known.hyper))
    own = _waves(at, known.hyper, base) @ base.weights.T + jnp.sqrt(OFFSET) * base.offset
    seen = own + jnp.exp(0.5 * known.hyper.noise) * base.noise.T
    gaps = jnp.concatenate([known.y[:, None] - seen, known.y[:, None]], axis=1)
    solved = cho_solve((root, True), jnp.where(known.real[:, None], gaps, 0.0))
    return Draws(known, base, solved[:, :-1], root, solved[:, -1])


def values(draws: Draws, x: jax.Array) -> jax.Array:
    """Every draw at features [m, width] -> [m, draws]."""
    at, cross = _cross(draws, x)
    waves = _waves(at, draws.known.hyper, draws.base)
    return waves @ draws.base.weights.T + jnp.sqrt(OFFSET) * draws.base.offset + cross @ draws.pull


def along(draws: Draws, x: jax.Array) -> jax.Array:
    """The first m draws, each at a point of its own among features [m, width] -> [m]."""
    at, cross = _cross(draws, x)
    waves = _waves(at, draws.known.hyper, draws.base)
    m = len(x)
    prior = jnp.sum(waves * draws.base.weights[:m], axis=1) + jnp.sqrt(OFFSET) * draws.base.offset[:m]
    return prior + jnp.sum(cross * draws.pull.T[:m], axis=1)


def moments(draws: Draws, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Posterior mean and deviation at features [m, width], without the noise on scores -> [m], [m]."""
    _, cross = _cross(draws, x)
    part = solve_triangular(draws.root, cross.T, lower=True)
    variance = jnp.exp(draws.known.hyper.signal) + OFFSET - jnp.sum(part**2, axis=0)
    return cross @ draws.alpha, jnp.sqrt(jnp.maximum(variance, 0.0))


def _waves(at: jax.Array, hyper: Hyper, base: Base) -> jax.Array:
    """The waves at scaled features [m, width] -> [m, waves]."""
    return jnp.cos(at @ base.waves.T + base.phase) * jnp.sqrt(2.0 * jnp.exp(hyper.signal) / len(base.phase))


def _cross(draws: Draws, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    known = draws.known
    at = scaled(x, known.hyper, known.group)
    rows = scaled(known.x, known.hyper, known.group)
    return at, jnp.where(known.real, covariance(at, rows, known.hyper), 0.0)
