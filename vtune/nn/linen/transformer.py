"""Packed transformer blocks for flax.linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.errors import ArgumentError
from vtune.hyper import Size
from vtune.nn.activations import activation
from vtune.nn.attention import number
from vtune.nn.depth import equal_layers
from vtune.nn.linen.attention import MultiHeadDotProductAttention
from vtune.nn.linen.dense import Dense
from vtune.nn.linen.dropout import Dropout
from vtune.nn.linen.norm import normalised
from vtune.nn.linen.params import produced, size_of


class TransformerBlock(linen.Module):
    """Attention and a two-layer perceptron, each normalised before and added to what came in.

    Vaswani et al., 2017; norms before, as in Xiong et al., "On Layer Normalization in the Transformer Architecture",
    2020. Params lie at `norm_0/scale`, at `attention/query/kernel` and so on as in `MultiHeadDotProductAttention`, and
    at `norm_1/scale`, `hidden/kernel` and `out/kernel`.

    Attributes:
      heads: of the attention: an int or a hyperparameter, which must divide the width.
      width: features of what comes in and goes out: an int or a hyperparameter.
      hidden: units of the perceptron: an int or a hyperparameter; four times the width if None.
      activation: a name of `activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout of either part, in training: a number or a hyperparameter.
      norm: None, "layer" or "rms".
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> block, x = vnn.TransformerBlock(heads=2, width=8), jnp.ones((1, 5, 8))
      >>> block.init_with_output(jax.random.key(0), x)[0].shape
      (1, 5, 8)
    """

    heads: Any
    width: Any
    hidden: Any = None
    activation: Any = "gelu"
    dropout: Any = 0.0
    norm: Any = "layer"
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"

    @linen.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None, train: bool = False) -> jax.Array:
        """Maps [..., positions, width] to the same.

        Args:
          x: inputs.
          mask: True where a position may look, to be broadcast to [..., heads, positions, positions].
          train: whether dropout drops.
        """
        width = size_of(self.width)
        check_width(x, width)
        given = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        init = {"kernel_init": self.kernel_init, "bias_init": self.bias_init, **given}

        def before(at: int, x: jax.Array) -> jax.Array:
            return normalised(self.norm, x, train, name=f"norm_{at}", inputs=width, **given)

        def dropped(at: int, y: jax.Array) -> jax.Array:
            return Dropout(self.dropout, name=f"dropout_{at}", inputs=width)(y, deterministic=not train)

        attention = MultiHeadDotProductAttention(self.heads, inputs=width, name="attention", **init)
        x = x + dropped(0, attention(before(0, x), mask=mask))
        hidden = size_of(4 * number(width) if self.hidden is None else self.hidden)
        y = Dense(hidden, inputs=width, name="hidden", **init)(before(1, x))
        y = Dense(width, inputs=hidden, name="out", **init)(activation(self.activation)(y))
        return produced(self, x + dropped(1, y), width)


class Transformer(linen.Module):
    """A stack of `TransformerBlock`s and a norm; its depth may be a hyperparameter too.

    Params lie at `block_0/attention/query/kernel` and so on, and at `norm/scale`.

    Attributes:
      heads: of each attention: an int or a hyperparameter, which must divide the width.
      width: features of what comes in and goes out: an int or a hyperparameter.
      depth: number of blocks: an int or a hyperparameter. A trial has no weights beyond its own depth.
      hidden: units of the perceptrons: an int or a hyperparameter; four times the width if None.
      activation: a name of `activation`, a hyperparameter that is a Choice of names, or a function.
      dropout: rate of the dropout, in training: a number or a hyperparameter.
      norm: None, "layer" or "rms".
      dtype: of the computation; inferred if None.
      param_dtype: of the params.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for biases.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> net, x = vnn.Transformer(heads=2, width=8, depth=3), jnp.ones((1, 5, 8))
      >>> list(net.init(jax.random.key(0), x)["params"])
      ['block_0', 'block_1', 'block_2', 'norm']
    """

    heads: Any
    width: Any
    depth: Any
    hidden: Any = None
    activation: Any = "gelu"
    dropout: Any = 0.0
    norm: Any = "layer"
    dtype: Any = None
    param_dtype: Any = jnp.float32
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"

    @linen.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None, train: bool = False) -> jax.Array:
        """Maps [..., positions, width] to the same.

        Args:
          x: inputs, such as the sum of an `Embed` of tokens and one of positions.
          mask: True where a position may look, to be broadcast to [..., heads, positions, positions].
          train: whether dropout drops.
        """
        width = size_of(self.width)
        given = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for at, layer in enumerate(equal_layers(self.width, self.depth)):
            hidden = self.hidden
            if hidden is not None and layer.active is not True:
                hidden = hidden * (self.depth > at)
            block = TransformerBlock(
                self.heads,
                layer.features,
                hidden,
                self.activation,
                self.dropout,
                self.norm,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                name=f"block_{at}",
                **given,
            )
            x = layer.chosen(block(x, mask, train), x)
        return produced(self, normalised(self.norm, x, train, name="norm", inputs=width, **given), width)


def check_width(x: jax.Array, width: Size) -> None:
    if x.shape[-1] != width.cap:
        raise ArgumentError(
            f"a transformer of width {width.cap} takes [..., positions, {width.cap}]; {list(x.shape)} was given. Put "
            f"vnn.Embed or vnn.Dense of that width before it."
        )
