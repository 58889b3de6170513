"""Packed `Conv` for flax.linen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.nn.convolution import drawn, kernel_sizes
from vtune.nn.linen.params import inputs_of, produced, size_of
from vtune.nn.sizes import masked


class Conv(linen.Module):
    """A convolution, channels last; `flax.linen.Conv` whose number of features may be a hyperparameter.

    Attributes:
      features: number of output channels: an int or a hyperparameter, or whole-number arithmetic on some.
      kernel_size: of the window, one number a spatial axis.
      strides: steps of the window.
      padding: "SAME", "VALID", "CIRCULAR", "REFLECT", "CAUSAL" or (low, high) a spatial axis.
      input_dilation: of the input, for transposed convolutions.
      kernel_dilation: of the window.
      feature_group_count: groups of channels that do not mix; 1 where channels are packed.
      use_bias: whether to add a bias.
      dtype: of the computation; inferred if None.
      param_dtype: of kernel and bias.
      precision: of the convolution, see `jax.lax.Precision`.
      kernel_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      bias_init: the same for the bias.
      inputs: number of input channels, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> variables = vnn.Conv(4, (3, 3)).init(jax.random.key(0), jnp.ones((2, 8, 8, 1)))
      >>> jax.tree.map(jnp.shape, variables["params"])
      {'bias': (4,), 'kernel': (3, 3, 1, 4)}
    """

    features: Any
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] | None = 1
    padding: Any = "SAME"
    input_dilation: int | Sequence[int] | None = 1
    kernel_dilation: int | Sequence[int] | None = 1
    feature_group_count: int = 1
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32
    precision: Any = None
    kernel_init: Any = "lecun_normal"
    bias_init: Any = "zeros"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolves [..., *space, inputs]; returns [..., *space, features]."""
        inputs, features = inputs_of(self, x, self.inputs), size_of(self.features)
        kernel = kernel_sizes(self.kernel_size, inputs, features, self.feature_group_count)
        known = self.has_variable("params", "kernel")  # then Flax only looks at the shapes
        layer = linen.Conv(
            features.cap,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            input_dilation=self.input_dilation,
            kernel_dilation=self.kernel_dilation,
            feature_group_count=self.feature_group_count,
            use_bias=self.use_bias,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            precision=self.precision,
            kernel_init=linen.initializers.zeros if known else drawn(self.kernel_init, kernel),
            bias_init=linen.initializers.zeros if known else drawn(self.bias_init, (features,)),
            parent=None,
        ).clone(parent=self.scope)
        return produced(self, masked(layer(masked(x, (inputs,))), (features,)), features)
