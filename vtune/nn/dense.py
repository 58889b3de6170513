"""A linear map of the last axis, either side of which may be packed."""

from __future__ import annotations

from typing import Any

import jax
from flax.linen.dtypes import promote_dtype

from vtune.hyper import Size
from vtune.nn.sizes import masked


def dense(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None,
    inputs: Size,
    features: Size,
    dtype: Any = None,
    precision: Any = None,
) -> jax.Array:
    """Maps the last axis linearly.

    What comes in and what goes out is masked: a padded input may hold anything, such as the sigmoid of zero, and a
    padded output may be used by anyone; neither gives the padding of kernel or bias a gradient.

    Args:
      x: inputs, [..., inputs.cap].
      kernel: [inputs.cap, features.cap], zero outside the true block.
      bias: [features.cap], zero outside; None for none.
      inputs: size of the last axis of `x`.
      features: size of the last axis of what is returned.
      dtype: of the computation; inferred from the arrays if None.
      precision: of the matrix product, see `jax.lax.Precision`.

    Returns:
      [..., features.cap], zero for padded features.

    >>> import jax.numpy as jnp
    >>> from vtune.hyper import packed_size
    >>> dense(jnp.ones((2, 3)), jnp.ones((3, 4)), None, packed_size(3), packed_size(4)).shape
    (2, 4)
    """
    x, kernel, bias = promote_dtype(x, kernel, bias, dtype=dtype)
    contract_last = ((x.ndim - 1,), (0,)), ((), ())
    y = jax.lax.dot_general(masked(x, (inputs,)), kernel, contract_last, precision=precision)
    return masked(y if bias is None else y + bias, (features,))
