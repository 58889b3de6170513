"""Convolutions as patches times a matrix: what a batch of lanes computes fast where grouped convolutions are slow.

Under `vmap` over lanes with weights of their own, a convolution becomes a grouped one, which on a CPU inside a loop is
tens of times slower than a batched matrix product. `convolutions("patches")` makes the Flax layers of a `Supervised`
task compute the same numbers as such a product (im2col: Chellapilla, Puri and Simard, 2006), without touching the
user's model.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import product
from typing import Any

import jax.numpy as jnp
from flax import linen, nnx
from jax import lax

from vtune.errors import ArgumentError

WAYS = ("direct", "patches")

_way: ContextVar[str] = ContextVar("vtune_convolutions", default="direct")


@contextmanager
def convolutions(way: str) -> Iterator[None]:
    """Chooses how the convolutions of models are computed while programs are traced.

    Args:
      way: "direct", as Flax does it; or "patches", as slices of the input times a matrix.

    Raises:
      ArgumentError: for another word.

    >>> with convolutions("patches"):
    ...     pass
    """
    if way not in WAYS:
        raise ArgumentError(f"convolutions are computed in one of the ways {', '.join(WAYS)}; {way!r} was given.")
    token = _way.set(way)
    try:
        yield
    finally:
        _way.reset(token)


def by_patches(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    **options: Any,
) -> Any:
    """Does what `jax.lax.conv_general_dilated` does, by one matrix product over patches.

    Convolutions with groups, with a dilated input (transposed ones) or in another layout than channels-last go to
    `jax.lax.conv_general_dilated`.

    Args:
      lhs: input `[batch, *space, features]`.
      rhs: kernel `[*window, features, out]`.
      window_strides: steps of the window, one a spatial axis.
      padding: "SAME", "VALID", "SAME_LOWER" or (low, high) a spatial axis.
      lhs_dilation: of the input.
      rhs_dilation: of the kernel.
      dimension_numbers: layout, as for `jax.lax.conv_general_dilated`.
      feature_group_count: groups of features.
      batch_group_count: groups of rows.
      precision: of the product.
      preferred_element_type: dtype in which the product is accumulated.
      **options: further options of `jax.lax.conv_general_dilated`; used only where it is called.

    Returns:
      Output `[batch, *space, out]`.
    """
    axes = range(lhs.ndim - 2)
    strides = tuple(map(operator.index, window_strides))
    dilation = (1,) * len(axes) if rhs_dilation is None else tuple(map(operator.index, rhs_dilation))
    stretched = lhs_dilation is not None and any(each != 1 for each in lhs_dilation)
    layout = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    if feature_group_count != 1 or batch_group_count != 1 or stretched or layout != _channels_last(lhs.ndim):
        return lax.conv_general_dilated(
            lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
            batch_group_count, precision, preferred_element_type, **options,
        )  # fmt: skip
    window, spread = rhs.shape[:-2], [(rhs.shape[axis] - 1) * dilation[axis] + 1 for axis in axes]
    pads = lax.padtype_to_pads(lhs.shape[1:-1], spread, strides, padding) if isinstance(padding, str) else padding
    margins = [(operator.index(low), operator.index(high), 0) for low, high in pads]
    padded = lax.pad(lhs, jnp.zeros((), lhs.dtype), [(0, 0, 0), *margins, (0, 0, 0)])
    space = [max(0, (padded.shape[axis + 1] - spread[axis]) // strides[axis] + 1) for axis in axes]

    def seen_from(offset: tuple[int, ...]) -> Any:
        start = [offset[axis] * dilation[axis] for axis in axes]
        stop = [start[axis] + max(0, (space[axis] - 1) * strides[axis] + 1) for axis in axes]
        return lax.slice(padded, (0, *start, 0), (lhs.shape[0], *stop, lhs.shape[-1]), (1, *strides, 1))

    patches = jnp.concatenate([seen_from(offset) for offset in product(*map(range, window))], axis=-1)
    matrix = rhs.reshape(-1, rhs.shape[-1])
    dimensions = (((patches.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(patches, matrix, dimensions, precision, preferred_element_type)


def _channels_last(ndim: int) -> lax.ConvDimensionNumbers:
    space = tuple(range(1, ndim - 1))
    kernel = (ndim - 1, ndim - 2, *range(ndim - 2))
    return lax.ConvDimensionNumbers((0, ndim - 1, *space), kernel, (0, ndim - 1, *space))


@contextmanager
def in_linen() -> Iterator[None]:
    """Applies the chosen way to the `linen.Conv` layers called inside."""
    if _way.get() == "direct":
        yield
        return
    with linen.intercept_methods(_replaced):
        yield


def _replaced(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
    layer = context.module
    if context.method_name == "__call__" and isinstance(layer, linen.Conv) and _plain(layer):
        return layer.clone(parent=layer.scope, conv_general_dilated=by_patches)(*args, **kwargs)
    return call(*args, **kwargs)


def _plain(layer: linen.Conv) -> bool:
    return layer.conv_general_dilated is None and layer.conv_general_dilated_cls is None


def in_nnx(module: nnx.Module) -> nnx.Module:
    """The module with the chosen way set in its `nnx.Conv` layers."""
    if _way.get() == "patches":
        for _, layer in nnx.iter_modules(module):
            if isinstance(layer, nnx.Conv) and layer.conv_general_dilated is lax.conv_general_dilated:
                layer.conv_general_dilated = by_patches
    return module
