"""Hyperparameters of the kernel: the most probable ones given the scores, from several starts at once."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax.linalg import cholesky, triangular_solve

from vtune.proposers.gaussian.descent import descend
from vtune.proposers.gaussian.kernel import OFFSET, Hyper, bent_matern, scaled

CENTRE = Hyper(-0.3, 0.0, -6.0)  # type: ignore[arg-type]
"""Means of the normal priors on the logarithms, for features on the unit interval and standardised scores."""

SPREAD = Hyper(0.7, 1.0, 2.0)  # type: ignore[arg-type]
"""Deviations of these priors."""

LEAST_NOISE = 1e-6
"""Variance of the noise below which the kernel matrix would lose its rank."""

COARSE, FINE = 64, 256
"""Rows on which several starts are followed, and rows on which the best of what they found is followed further."""

COARSE_STEPS, FINE_STEPS = 16, 12
"""Evaluations for each."""


def fit(x: np.ndarray, y: np.ndarray, real: np.ndarray, group: np.ndarray, starts: np.ndarray) -> Hyper:
    """The most probable hyperparameters: several starts on some rows, then the best of them on more.

    Args:
      x: features [n, width], in an order such that the first rows stand for all.
      y: standardised values of each objective, [objectives, n].
      real: which rows are no padding, bool [n].
      group: group of each column, int [width].
      starts: where to begin, in deviations from the centre of the prior, [starts, width + 2].

    Returns:
      The kernels of the objectives, [objectives, ...].
    """
    every = np.broadcast_to(starts, (len(y), *starts.shape))
    best = _follow(x[:COARSE], y[:, :COARSE], real[:COARSE], group, every, COARSE_STEPS)
    if len(x) > COARSE:
        best = _follow(x[:FINE], y[:, :FINE], real[:FINE], group, best[:, None], FINE_STEPS)
    return _hypers(best)


@partial(jax.jit, static_argnames=("steps",))
def _follow(x: jax.Array, y: jax.Array, real: jax.Array, group: jax.Array, starts: jax.Array, steps: int) -> jax.Array:
    """The best of what is found from starts [objectives, starts, k] -> [objectives, k]."""

    def one(y: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
        return descend(partial(improbability, x=x, y=y, real=real, group=group), start, steps)

    objectives, count, width = starts.shape
    found, values = jax.vmap(one)(jnp.repeat(y, count, axis=0), starts.reshape(-1, width))
    lowest = jnp.nanargmin(values.reshape(objectives, count), axis=1)
    return found.reshape(starts.shape)[jnp.arange(objectives), lowest]


def beginnings(rng: np.random.Generator, starts: int, width: int) -> np.ndarray:
    """Starts [starts, width + 2] for `fit`: the centre of the prior, and draws from it with ever more noise."""
    free = np.zeros((starts, width + 2))
    free[1:, :width] = rng.standard_normal((starts - 1, width))
    free[:, -1] = np.arange(starts)
    return free


def _hyper(free: jax.Array) -> Hyper:
    noise = CENTRE.noise + SPREAD.noise * free[-1]
    return Hyper(
        scales=CENTRE.scales + SPREAD.scales * free[:-2],
        signal=CENTRE.signal + SPREAD.signal * free[-2],
        noise=jnp.logaddexp(noise, jnp.log(LEAST_NOISE)),
    )


_hypers = jax.jit(jax.vmap(_hyper))


def improbability(
    free: jax.Array, x: jax.Array, y: jax.Array, real: jax.Array, group: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Negative log posterior density of hyperparameters, up to a constant, and its gradient.

    The gradient is written out (Rasmussen and Williams, 2006, section 5.4.1): derived by JAX it takes twice as long to
    compile.

    Args:
      free: hyperparameters in deviations from the centre of their prior, [width + 2].
      x, y, real, group: as for `fit`, of one objective.
    """
    hyper = _hyper(free)
    at = scaled(x, hyper, group)
    pairs = jnp.where(real[:, None] & real[None, :], 1.0, 0.0)
    correlation, bend = bent_matern(at, at)
    noise = jnp.exp(hyper.noise)
    process = jnp.exp(hyper.signal) * pairs
    eye = jnp.eye(len(y), dtype=y.dtype)
    own = process * correlation + OFFSET * pairs + eye * jnp.where(real, noise, 1.0)
    root = cholesky(own, symmetrize_input=False)
    half = triangular_solve(root, eye, left_side=True, lower=True)
    inverse = half.T @ half
    alpha = inverse @ y
    value = 0.5 * y @ alpha - jnp.sum(jnp.log(jnp.diagonal(half))) + 0.5 * free @ free
    pull = 0.5 * (inverse - alpha[:, None] * alpha)
    by_distance = process * pull * bend
    apart = 2.0 * (jnp.sum(by_distance, axis=0) @ at**2 - jnp.sum(at * (by_distance @ at), axis=0))
    by_scale = -2.0 * apart @ (group[:, None] == jnp.arange(len(free) - 2))
    by_signal = jnp.sum(process * pull * correlation)
    by_noise = noise * jnp.sum(eye * pull * pairs) * (1.0 - LEAST_NOISE / noise)
    slopes = SPREAD.scales * by_scale, SPREAD.signal * by_signal[None], SPREAD.noise * by_noise[None]
    return value, jnp.concatenate(slopes) + free
