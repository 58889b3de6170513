"""Packed multi-head attention for flax.linen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.hyper import Size
from vtune.nn.attention import attend, head_sizes, number, project
from vtune.nn.linen.params import inputs_of, param, produced, size_of


class _Projection(linen.Module):
    """`flax.linen.DenseGeneral` from and to the last axes, of given sizes."""

    inputs: Sequence[Size]
    features: Sequence[Size]
    options: dict[str, Any]

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        options, count = self.options, len(self.inputs)
        sizes = (*self.inputs, *self.features)
        axes = {"in_axis": tuple(range(count)), "out_axis": tuple(range(count, len(sizes)))}
        kernel = param(self, "kernel", options["kernel_init"], sizes, options["param_dtype"], **axes)
        bias = None
        if options["use_bias"]:
            bias = param(self, "bias", options["bias_init"], self.features, options["param_dtype"])
        return project(x, kernel, bias, self.inputs, self.features, options["dtype"], options["precision"])


class MultiHeadDotProductAttention(linen.Module):
    """`flax.linen.MultiHeadDotProductAttention` whose width and number of heads may be hyperparameters.

    Each head has `qkv_features // num_heads` features, and scores are scaled by the true number. Padded heads take no
    part. Params lie at `query/kernel`, `key/kernel`, `value/kernel` [inputs, heads, head size] and `out/kernel`
    [heads, head size, features], as in Flax.

    Attributes:
      num_heads: an int or a hyperparameter, which must divide the features.
      qkv_features: of queries, keys and values, all heads together; those of the input if None.
      out_features: of the output; those of the input if None.
      use_bias: whether projections have a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      precision: of the products, see `jax.lax.Precision`.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      inputs: number of inputs, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> variables = vnn.MultiHeadDotProductAttention(2).init(jax.random.key(0), jnp.ones((1, 5, 8)))
      >>> {name: each["kernel"].shape for name, each in variables["params"].items()}
      {'query': (8, 2, 4), 'key': (8, 2, 4), 'value': (8, 2, 4), 'out': (2, 4, 8)}
    """

    num_heads: Any
    qkv_features: Any = None
    out_features: Any = None
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array, other: jax.Array | None = None, *, mask: jax.Array | None = None) -> jax.Array:
        """Lets positions look at others.

        Args:
          x: [..., queries, inputs].
          other: what is looked at, [..., keys, inputs]; `x` itself if None.
          mask: True where a query may look, to be broadcast to [..., heads, queries, keys].

        Returns:
          [..., queries, out features].
        """
        inputs = inputs_of(self, x, self.inputs)
        width = number(inputs) if self.qkv_features is None else self.qkv_features
        heads, size = head_sizes(width, self.num_heads)
        features = inputs if self.out_features is None else size_of(self.out_features)
        other = x if other is None else other
        query, key, value = (
            self._projection(name, (inputs,), (heads, size))(given)
            for name, given in (("query", x), ("key", other), ("value", other))
        )
        mixed = attend(query, key, value, size, mask, self.precision)
        return produced(self, self._projection("out", (heads, size), (features,))(mixed), features)

    def _projection(self, name: str, inputs: Sequence[Size], features: Sequence[Size]) -> _Projection:
        given = ("use_bias", "dtype", "param_dtype", "precision", "kernel_init", "bias_init")
        return _Projection(inputs, features, {each: getattr(self, each) for each in given}, name=name)
