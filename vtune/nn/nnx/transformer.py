"""Packed transformer blocks for flax.nnx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.nn.activations import activation as function_of
from vtune.nn.attention import number
from vtune.nn.depth import equal_layers
from vtune.nn.nnx.attention import MultiHeadAttention
from vtune.nn.nnx.dropout import Dropout
from vtune.nn.nnx.held import held, released, size_of
from vtune.nn.nnx.linear import Linear
from vtune.nn.nnx.norm import norm_layer


class TransformerBlock(nnx.Module):
    """Attention and a two-layer perceptron, each normalised before and added to what came in.

    Vaswani et al., 2017; norms before, as in Xiong et al., "On Layer Normalization in the Transformer Architecture",
    2020. Params lie at `norm_0/scale`, at `attention/query/kernel` and so on as in `MultiHeadAttention`, and at
    `norm_1/scale`, `hidden/kernel` and `out/kernel`.

    Args:
      heads: of the attention: an int or a hyperparameter, which must divide the width.
      width: features of what comes in and goes out: an int or a hyperparameter.
      hidden: units of the perceptron: an int or a hyperparameter; four times the width if None.
      activation: a name of `vtune.nn.activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout of either part, in training: a number or a hyperparameter.
      norm: None, "layer" or "rms".
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> vnnx.TransformerBlock(heads=2, width=8, rngs=nnx.Rngs(0))(jnp.ones((1, 5, 8))).shape
      (1, 5, 8)
    """

    def __init__(
        self,
        heads: Any,
        width: Any,
        hidden: Any = None,
        *,
        activation: Any = "gelu",
        dropout: Any = 0.0,
        norm: Any = "layer",
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        kernel_init: Any = "lecun_normal",
        bias_init: Any = "zeros",
        rngs: nnx.Rngs,
    ):
        types: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype}
        init = {"kernel_init": kernel_init, "bias_init": bias_init, "rngs": rngs, **types}
        size = size_of(width)
        units = size_of(4 * number(size) if hidden is None else hidden)
        self.norm_0, self.norm_1 = (norm_layer(norm, size, **types) for _ in range(2))
        self.attention = MultiHeadAttention(heads, size, **init)
        self.hidden, self.out = Linear(size, units, **init), Linear(units, size, **init)
        self.dropout_0, self.dropout_1 = (Dropout(dropout, size, rngs=rngs) for _ in range(2))
        self.activation = function_of(activation)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps [..., positions, width] to the same.

        Args:
          x: inputs.
          mask: True where a position may look, to be broadcast to [..., heads, positions, positions].
        """
        before = x if self.norm_0 is None else self.norm_0(x)
        x = x + self.dropout_0(self.attention(before, mask=mask))
        before = x if self.norm_1 is None else self.norm_1(x)
        return x + self.dropout_1(self.out(self.activation(self.hidden(before))))


class Transformer(nnx.Module):
    """A stack of `TransformerBlock`s and a norm; its depth may be a hyperparameter too.

    Params lie at `block_0/attention/query/kernel` and so on, and at `norm/scale`. Keys come from `rngs.fork()`, so
    that no layer's after it depend on how many blocks there are.

    Args:
      heads: of each attention: an int or a hyperparameter, which must divide the width.
      width: features of what comes in and goes out: an int or a hyperparameter.
      depth: number of blocks: an int or a hyperparameter. A trial has no weights beyond its own depth.
      hidden: units of the perceptrons: an int or a hyperparameter; four times the width if None.
      norm: None, "layer" or "rms".
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      rngs: streams of keys.
      **options: those of `TransformerBlock`: activation, dropout, kernel_init, bias_init.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> net = vnnx.Transformer(heads=2, width=8, depth=3, rngs=nnx.Rngs(0))
      >>> net(jnp.ones((1, 5, 8))).shape, net.block_2.hidden.kernel.shape
      ((1, 5, 8), (8, 32))
    """

    def __init__(
        self,
        heads: Any,
        width: Any,
        depth: Any,
        hidden: Any = None,
        *,
        norm: Any = "layer",
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        types: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype}
        rngs, self.norm = rngs.fork(), norm_layer(norm, size_of(width), **types)
        layers = equal_layers(width, depth)
        for at, layer in enumerate(layers):
            units = hidden if hidden is None or layer.active is True else hidden * (depth > at)
            block = TransformerBlock(heads, layer.features, units, norm=norm, rngs=rngs, **types, **options)
            setattr(self, f"block_{at}", block)
        self.active = tuple(held(layer.active) for layer in layers)

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Maps [..., positions, width] to the same.

        Args:
          x: inputs, such as the sum of an `Embed` of tokens and one of positions.
          mask: True where a position may look, to be broadcast to [..., heads, positions, positions].
        """
        for at, active in enumerate(map(released, self.active)):
            y = getattr(self, f"block_{at}")(x, mask)
            x = y if active is True else jnp.where(active, y, x)
        return x if self.norm is None else self.norm(x)
