"""Packed normalisation for flax.linen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.hyper import Size
from vtune.nn import rows
from vtune.nn.linen.params import inputs_of, param, produced
from vtune.nn.norms import Moments, batch_moments, layer_moments, normalise
from vtune.nn.sizes import masked
from vtune.nn.sizes import param as note


class LayerNorm(linen.Module):
    """`flax.linen.LayerNorm` of the last axis; its statistics leave padded features out.

    Attributes:
      epsilon: added to the variance.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.
      use_bias: whether to add a bias.
      use_scale: whether to multiply by a scale.
      bias_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      scale_init: the same for the scale.
      inputs: number of features, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> vnn.LayerNorm().init_with_output(jax.random.key(0), jnp.array([[1.0, 3.0]]))[0].round(3).tolist()
      [[-1.0, 1.0]]
    """

    epsilon: Any = 1e-6
    dtype: Any = None
    param_dtype: Any = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Any = "zeros"
    scale_init: Any = "ones"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises [..., features]."""
        features = inputs_of(self, x, self.inputs)
        return _scaled(self, x, layer_moments(x, features), features, self.use_bias and self.bias_init)


class RMSNorm(linen.Module):
    """`flax.linen.RMSNorm` of the last axis; the mean square leaves padded features out.

    Attributes:
      epsilon: added to the mean square.
      dtype: of the result; inferred if None.
      param_dtype: of the scale.
      use_scale: whether to multiply by a scale.
      scale_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      inputs: number of features, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> vnn.RMSNorm().init_with_output(jax.random.key(0), jnp.array([[3.0, 3.0]]))[0].round(3).tolist()
      [[1.0, 1.0]]
    """

    epsilon: Any = 1e-6
    dtype: Any = None
    param_dtype: Any = jnp.float32
    use_scale: bool = True
    scale_init: Any = "ones"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises [..., features]."""
        features = inputs_of(self, x, self.inputs)
        return _scaled(self, x, layer_moments(x, features, centred=False), features, False)


class BatchNorm(linen.Module):
    """`flax.linen.BatchNorm` over all axes but the last; its statistics leave padded rows out.

    The running statistics are in the collection "batch_stats", `mean` and `var`, as in Flax.

    Attributes:
      use_running_average: True to normalise by the running statistics.
      momentum: decay of the running statistics.
      epsilon: added to the variance.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.
      use_bias: whether to add a bias.
      use_scale: whether to multiply by a scale.
      bias_init: a name of `initializer`, a hyperparameter that is a Choice of names, or an initializer.
      scale_init: the same for the scale.
      inputs: number of features, where they are packed and no packed module of this package gave them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> layer, x = vnn.BatchNorm(momentum=0.5), jnp.array([[1.0], [3.0]])
      >>> variables = layer.init(jax.random.key(0), x, use_running_average=True)
      >>> _, changed = layer.apply(variables, x, use_running_average=False, mutable="batch_stats")
      >>> changed["batch_stats"]["mean"].tolist()
      [1.0]
    """

    use_running_average: bool | None = None
    momentum: Any = 0.99
    epsilon: Any = 1e-5
    dtype: Any = None
    param_dtype: Any = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Any = "zeros"
    scale_init: Any = "ones"
    inputs: Any = None

    @linen.compact
    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:
        """Normalises [rows, ..., features]."""
        given = linen.merge_param("use_running_average", self.use_running_average, use_running_average)
        features = inputs_of(self, x, self.inputs)
        moments = running(self, x, features, given, self.momentum)
        return _scaled(self, x, moments, features, self.use_bias and self.bias_init)


def running(module: linen.Module, x: jax.Array, features: Size, given: bool, momentum: Any) -> Moments:
    """The statistics to normalise by; the running ones move towards those of the batch unless they are used.

    Args:
      module: a compact module, whose variables they become.
      x: [rows, ..., features.cap].
      features: size of the statistics.
      given: whether the running statistics are used.
      momentum: their decay.
    """

    def made(value: float) -> jax.Array:
        return note(masked(jnp.full(features.cap, value, jnp.float32), (features,)), (features,))

    mean = module.variable("batch_stats", "mean", made, 0.0)
    variance = module.variable("batch_stats", "var", made, 1.0)
    if given:
        return mean.value, variance.value
    moments = batch_moments(x, features, rows.current())
    if not module.is_initializing():
        for kept, new in zip((mean, variance), moments, strict=True):
            kept.value = momentum * kept.value + (1 - momentum) * new
    return moments


def _scaled(module: Any, x: jax.Array, moments: Moments, features: Size, bias_init: Any) -> jax.Array:
    dtype = module.param_dtype
    scale = param(module, "scale", module.scale_init, (features,), dtype) if module.use_scale else None
    bias = param(module, "bias", bias_init, (features,), dtype) if bias_init is not False else None
    return produced(module, normalise(x, moments, scale, bias, features, module.epsilon, module.dtype), features)
