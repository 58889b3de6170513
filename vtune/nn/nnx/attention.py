"""Packed multi-head attention for flax.nnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.hyper import Size
from vtune.nn.attention import attend, head_sizes, number, project
from vtune.nn.initializers import initializer
from vtune.nn.nnx.held import kept, size_of
from vtune.nn.sizes import param


class _Projection(nnx.LinearGeneral):
    """`flax.nnx.LinearGeneral` from and to the last axes, of given sizes."""

    def __init__(
        self, inputs: Sequence[Size], features: Sequence[Size], *, kernel_init: Any, bias_init: Any, **options: Any
    ):
        count, sizes = len(inputs), (*inputs, *features)
        axes = {"in_axis": tuple(range(count)), "out_axis": tuple(range(count, len(sizes)))}
        kernel, bias = initializer(kernel_init), initializer(bias_init)
        super().__init__(
            [size.cap for size in inputs],
            [size.cap for size in features],
            axis=tuple(range(-count, 0)),
            kernel_init=lambda key, _, dtype: kernel(key, sizes, dtype, **axes),
            bias_init=lambda key, _, dtype: bias(key, tuple(features), dtype),
            **options,
        )
        self.kernel.set_value(param(self.kernel[...], sizes))
        if self.bias is not None:
            self.bias.set_value(param(self.bias[...], features))
        self.in_sizes, self.out_sizes = tuple(map(kept, inputs)), tuple(map(kept, features))

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        inputs, features = map(size_of, self.in_sizes), map(size_of, self.out_sizes)
        bias = None if self.bias is None else self.bias[...]
        return project(x, self.kernel[...], bias, tuple(inputs), tuple(features), self.dtype, self.precision)


class MultiHeadAttention(nnx.Module):
    """`flax.nnx.MultiHeadAttention` whose width and number of heads may be hyperparameters.

    Each head has `qkv_features // num_heads` features, and scores are scaled by the true number. Padded heads take no
    part. Params lie at `query/kernel`, `key/kernel`, `value/kernel` [inputs, heads, head size] and `out/kernel`
    [heads, head size, features], as in Flax.

    Args:
      num_heads: an int or a hyperparameter, which must divide the features.
      in_features: number of inputs: an int or a hyperparameter, or whole-number arithmetic on some.
      qkv_features: of queries, keys and values, all heads together; those of the input if None.
      out_features: of the output; those of the input if None.
      use_bias: whether projections have a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      precision: of the products, see `jax.lax.Precision`.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> layer = vnnx.MultiHeadAttention(2, 8, rngs=nnx.Rngs(0))
      >>> layer.query.kernel.shape, layer(jnp.ones((1, 5, 8))).shape
      ((8, 2, 4), (1, 5, 8))
    """

    def __init__(
        self,
        num_heads: Any,
        in_features: Any,
        qkv_features: Any = None,
        out_features: Any = None,
        *,
        use_bias: bool = True,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        precision: Any = None,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
    ):
        inputs = size_of(in_features)
        heads, size = head_sizes(number(inputs) if qkv_features is None else qkv_features, num_heads)
        features = inputs if out_features is None else size_of(out_features)
        options = {
            "use_bias": use_bias,
            "dtype": dtype,
            "param_dtype": param_dtype,
            "precision": precision,
            "kernel_init": kernel_init,
            "bias_init": bias_init,
            "rngs": rngs,
        }
        self.query, self.key, self.value = (_Projection((inputs,), (heads, size), **options) for _ in range(3))
        self.out = _Projection((heads, size), (features,), **options)
        self.size, self.precision = kept(size), precision

    def __call__(self, x: jax.Array, other: jax.Array | None = None, *, mask: jax.Array | None = None) -> jax.Array:
        """Lets positions look at others.

        Args:
          x: [..., queries, inputs].
          other: what is looked at, [..., keys, inputs]; `x` itself if None.
          mask: True where a query may look, to be broadcast to [..., heads, queries, keys].

        Returns:
          [..., queries, out features].
        """
        other = x if other is None else other
        query, key, value = self.query(x), self.key(other), self.value(other)
        return self.out(attend(query, key, value, size_of(self.size), mask, self.precision))
