"""Normalisation over true features and true rows, by the formulae of Flax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.dtypes import canonicalize_dtype

from vtune.errors import ArgumentError
from vtune.hyper import Size
from vtune.nn.sizes import masked

Moments = tuple[jax.Array, jax.Array]


def layer_moments(x: jax.Array, features: Size, centred: bool = True) -> Moments:
    """Mean and variance of each row's true features (Ba, Kiros and Hinton, 2016).

    Args:
      x: [..., features.cap].
      features: size of the last axis.
      centred: False for a mean of zero, which makes the variance the mean square of RMSNorm (Zhang and Sennrich, 2019).

    Returns:
      Mean and variance, [..., 1], in float32 at least.

    >>> from vtune.hyper import packed_size
    >>> [each.tolist() for each in layer_moments(jnp.array([[1.0, 3.0]]), packed_size(2))]
    [[[2.0]], [[1.0]]]
    """
    x = masked(_wide(x), (features,))
    square = _mean(jax.lax.square(x), -1, features.value)
    if not centred:
        return jnp.zeros_like(square), square
    mean = _mean(x, -1, features.value)
    return mean, _variance(mean, square)


def batch_moments(x: jax.Array, features: Size, rows: Size | None = None) -> Moments:
    """Mean and variance of each feature over true rows and all positions (Ioffe and Szegedy, 2015).

    Args:
      x: [rows, ..., features.cap].
      features: size of the last axis.
      rows: size of the first axis; None if all of it is true.

    Returns:
      Mean and variance, [features.cap], in float32 at least; zero for padded features.

    Raises:
      ArgumentError: the first axis has another length than the padded batch.

    >>> from vtune.hyper import packed_size
    >>> [each.tolist() for each in batch_moments(jnp.array([[1.0], [3.0]]), packed_size(1))]
    [[2.0], [1.0]]
    """
    x = masked(_wide(x), (features,))
    axes = tuple(range(x.ndim - 1))
    count: Any = x.size // x.shape[-1]
    if rows is not None:
        if len(x) != rows.cap:
            raise ArgumentError(
                f"While the batch size is packed, BatchNorm must get the batch along its first axis, {rows.cap} rows; "
                f"it got {list(x.shape)}. Keep that axis, or do not pack the batch size."
            )
        x = masked(x, (rows, *(Size(length, length) for length in x.shape[1:])))
        count = count // x.shape[0] * rows.value
    mean = _mean(x, axes, count).reshape(-1)
    return mean, _variance(mean, _mean(jax.lax.square(x), axes, count).reshape(-1))


def normalise(
    x: jax.Array,
    moments: Moments,
    scale: jax.Array | None,
    bias: jax.Array | None,
    features: Size,
    epsilon: Any,
    dtype: Any = None,
) -> jax.Array:
    """Takes the mean off, divides by the standard deviation, scales and shifts.

    Args:
      x: [..., features.cap].
      moments: mean and variance, to be broadcast against `x`.
      scale: [features.cap], zero for padded features; None for none.
      bias: the same, to be added.
      features: size of the last axis.
      epsilon: added to the variance.
      dtype: of the result; inferred from `x`, `scale` and `bias` if None.

    Returns:
      [..., features.cap], zero for padded features.

    >>> from vtune.hyper import packed_size
    >>> x, features = jnp.array([[1.0, 3.0]]), packed_size(2)
    >>> normalise(x, layer_moments(x, features), None, None, features, 0.0).tolist()
    [[-1.0, 1.0]]
    """
    mean, variance = moments
    if features.packed:  # a layer that is left out has no features: keep its gradients finite for any epsilon
        variance = jnp.where(features.value > 0, variance, 1.0)
    factor = jax.lax.rsqrt(variance + epsilon)
    y = (x - mean) * (factor if scale is None else factor * scale)
    if bias is not None:
        y = y + bias
    arrays = [array for array in (x, scale, bias) if array is not None]
    return masked(y, (features,)).astype(canonicalize_dtype(*arrays, dtype=dtype))


def _wide(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _mean(x: jax.Array, axes: int | tuple[int, ...], count: Any) -> jax.Array:
    return jnp.sum(x, axes, keepdims=True) / jnp.maximum(count, 1)


def _variance(mean: jax.Array, square: jax.Array) -> jax.Array:
    return jnp.maximum(0.0, square - jax.lax.square(mean))
