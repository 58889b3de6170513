"""Multi-head attention whose width and number of heads may be packed (Vaswani et al., 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype

from vtune.errors import ArgumentError
from vtune.hyper import Size, packed_at_least, packed_size
from vtune.nn.sizes import masked


def head_sizes(width: Any, heads: Any) -> tuple[Size, Size]:
    """How many heads there are, and how many features each has.

    Args:
      width: features of all heads together: an int or a Hyper.
      heads: an int or a Hyper.

    Raises:
      ArgumentError: the heads do not share the features equally.

    >>> [size.value for size in head_sizes(64, 4)]
    [4, 16]
    """
    left_over = width % heads
    if not packed_at_least(-left_over, 0):
        raise ArgumentError(
            f"attention needs a width that its heads share equally; width {width} and {heads} heads were given. Where "
            f"both are hyperparameters, give the space a constraint: constraints=[lambda c: c.width % c.heads == 0]."
        )
    return packed_size(heads), packed_size(width // heads)


def project(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    inputs: Sequence[Size],
    features: Sequence[Size],
    dtype: Any = None,
    precision: Any = None,
) -> jax.Array:
    """Maps the last axes linearly to other axes; `vtune.nn.dense.dense` for several axes on either side.

    Args:
      x: inputs, [..., caps of inputs].
      kernel: [caps of inputs, caps of features], zero outside the true block.
      bias: [caps of features], zero outside; None for none.
      inputs: sizes of the last axes of `x`.
      features: sizes of the axes that take their place.
      dtype: of the computation; inferred from the arrays if None.
      precision: of the product, see `jax.lax.Precision`.

    Returns:
      [..., caps of features], zero for padded features.

    >>> one, (two, four) = [packed_size(3)], (packed_size(2), packed_size(4))
    >>> project(jnp.ones((5, 3)), jnp.ones((3, 2, 4)), None, one, (two, four)).shape
    (5, 2, 4)
    """
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=dtype)
    axes = tuple(range(len(inputs)))
    last = tuple(x.ndim - len(inputs) + axis for axis in axes)
    y = jax.lax.dot_general(masked(x, inputs), kernel, ((last, axes), ((), ())), precision=precision)
    return masked(y if bias is None else y + bias, features)


def attend(
    query: jax.Array, key: jax.Array, value: jax.Array, size: Size, mask: jax.Array | None = None, precision: Any = None
) -> jax.Array:
    """Each position's mean of the values, weighted by how its query meets the keys.

    Args:
      query: [..., queries, heads.cap, size.cap]; zero for padding, as are keys and values.
      key: [..., keys, heads.cap, size.cap].
      value: [..., keys, heads.cap, size.cap].
      size: of a head: scores are divided by the root of its true value.
      mask: True where a query may look, to be broadcast to [..., heads.cap, queries, keys]; None for everywhere.
      precision: of the products, see `jax.lax.Precision`.

    Returns:
      [..., queries, heads.cap, size.cap]; zero for padding.

    >>> x = jnp.arange(6.0).reshape(3, 1, 2)
    >>> attend(x, x * 0, x, packed_size(2)).tolist()[0]
    [[2.0, 3.0]]
    """
    dtype = query.dtype
    root = jnp.sqrt(jnp.maximum(size.value, 1)).astype(dtype)
    scores = jnp.einsum("...qhd,...khd->...hqk", query / root, key, precision=precision)
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(dtype).min)
    weights = jax.nn.softmax(scores).astype(dtype)
    return jnp.einsum("...hqk,...khd->...qhd", weights, value, precision=precision)


def number(size: Size) -> Any:
    """What a size was made from, for arithmetic: an int or a Hyper.

    >>> number(packed_size(8)) // 2
    4
    """
    return size.value if size.hyper is None else size.hyper
