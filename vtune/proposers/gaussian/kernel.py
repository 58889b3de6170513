"""The Matern 5/2 kernel with a length scale for each group of features (Matern, 1960; Rasmussen and Williams, 2006)."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

OFFSET = 1.0
"""Prior variance of the constant mean, which is thereby integrated out."""


class Hyper(NamedTuple):
    """Logarithms of the kernel's hyperparameters.

    Attributes:
      scales: length scale of each group of features, [groups].
      signal: variance of the process.
      noise: variance of the noise on scores.
    """

    scales: jax.Array
    signal: jax.Array
    noise: jax.Array


def matern(a: jax.Array, b: jax.Array) -> jax.Array:
    """Correlation of points with unit length scales: [n, width], [m, width] -> [n, m]."""
    return bent_matern(a, b)[0]


def bent_matern(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Correlations as `matern` gives them, and their derivatives by the squared distance, [n, m] each."""
    squared = jnp.sum(a * a, 1)[:, None] + jnp.sum(b * b, 1)[None, :] - 2.0 * (a @ b.T)
    r = jnp.sqrt(5.0 * jnp.maximum(squared, 1e-20))
    decay = jnp.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, (-5.0 / 6.0) * (1.0 + r) * decay


def scaled(x: jax.Array, hyper: Hyper, group: jax.Array) -> jax.Array:
    """Features [n, width] in units of their length scales."""
    return x * jnp.exp(-hyper.scales)[group]


def covariance(a: jax.Array, b: jax.Array, hyper: Hyper) -> jax.Array:
    """Prior covariance of scaled features: [n, width], [m, width] -> [n, m]."""
    return jnp.exp(hyper.signal) * matern(a, b) + OFFSET


def gram(a: jax.Array, real: jax.Array, hyper: Hyper) -> jax.Array:
    """Covariance of noisy scores at scaled features [n, width]; the identity in padding."""
    own = jnp.where(real[:, None] & real[None, :], covariance(a, a, hyper), 0.0)
    return own + jnp.diag(jnp.where(real, jnp.exp(hyper.noise), 1.0))
