"""Packed normalisation for flax.nnx."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.errors import ArgumentError
from vtune.hyper import Size
from vtune.nn import rows
from vtune.nn.convolution import drawn
from vtune.nn.nnx.held import kept, size_of
from vtune.nn.norms import Moments, batch_moments, layer_moments, normalise
from vtune.nn.sizes import masked, param


class LayerNorm(nnx.LayerNorm):
    """`flax.nnx.LayerNorm` of the last axis; its statistics leave padded features out.

    Args:
      num_features: length of the last axis: an int or a hyperparameter, or whole-number arithmetic on some.
      epsilon: added to the variance.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.
      use_bias: whether to add a bias.
      use_scale: whether to multiply by a scale.
      bias_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      scale_init: the same for the scale.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> vnnx.LayerNorm(2, rngs=nnx.Rngs(0))(jnp.array([[1.0, 3.0]])).round(3).tolist()
      [[-1.0, 1.0]]
    """

    def __init__(
        self,
        num_features: Any,
        *,
        epsilon: Any = 1e-6,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Any = "zeros",
        scale_init: Any = "ones",
        rngs: nnx.Rngs,
    ):
        features = size_of(num_features)
        super().__init__(
            features.cap,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_bias=use_bias,
            use_scale=use_scale,
            bias_init=drawn(bias_init, (features,)),
            scale_init=drawn(scale_init, (features,)),
            rngs=rngs,
        )
        self.size = kept(features)

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """Normalises [..., features]."""
        features = size_of(self.size)
        return _normalised(self, x, layer_moments(x, features), features)


class RMSNorm(nnx.RMSNorm):
    """`flax.nnx.RMSNorm` of the last axis; the mean square leaves padded features out.

    Args:
      num_features: length of the last axis: an int or a hyperparameter, or whole-number arithmetic on some.
      epsilon: added to the mean square.
      dtype: of the result; inferred if None.
      param_dtype: of the scale.
      use_scale: whether to multiply by a scale.
      scale_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> vnnx.RMSNorm(2, rngs=nnx.Rngs(0))(jnp.array([[3.0, 3.0]])).round(3).tolist()
      [[1.0, 1.0]]
    """

    def __init__(
        self,
        num_features: Any,
        *,
        epsilon: Any = 1e-6,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_scale: bool = True,
        scale_init: Any = "ones",
        rngs: nnx.Rngs,
    ):
        features = size_of(num_features)
        super().__init__(
            features.cap,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_scale=use_scale,
            scale_init=drawn(scale_init, (features,)),
            rngs=rngs,
        )
        self.size = kept(features)

    def __call__(self, x: jax.Array) -> jax.Array:  # type: ignore[override]
        """Normalises [..., features]."""
        features = size_of(self.size)
        return _normalised(self, x, layer_moments(x, features, centred=False), features)


class BatchNorm(nnx.BatchNorm):
    """`flax.nnx.BatchNorm` over all axes but the last; its statistics leave padded rows out.

    Args:
      num_features: length of the last axis: an int or a hyperparameter, or whole-number arithmetic on some.
      use_running_average: True to normalise by the running statistics; set by `.train()` and `.eval()`.
      momentum: decay of the running statistics.
      epsilon: added to the variance.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.
      use_bias: whether to add a bias.
      use_scale: whether to multiply by a scale.
      bias_init: a name of `vtune.nn.initializer`, a hyperparameter that is a Choice of names, or an initializer.
      scale_init: the same for the scale.
      rngs: streams of keys.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from vtune.nn import nnx as vnnx
      >>> layer = vnnx.BatchNorm(1, momentum=0.5, rngs=nnx.Rngs(0))
      >>> layer(jnp.array([[1.0], [3.0]])).shape, layer.mean[...].tolist()
      ((2, 1), [1.0])
    """

    def __init__(
        self,
        num_features: Any,
        *,
        use_running_average: bool | None = False,
        momentum: Any = 0.99,
        epsilon: Any = 1e-5,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Any = "zeros",
        scale_init: Any = "ones",
        rngs: nnx.Rngs,
    ):
        features = size_of(num_features)
        super().__init__(
            features.cap,
            use_running_average=use_running_average,
            momentum=momentum,
            epsilon=epsilon,
            dtype=dtype,
            param_dtype=param_dtype,
            use_bias=use_bias,
            use_scale=use_scale,
            bias_init=drawn(bias_init, (features,)),
            scale_init=drawn(scale_init, (features,)),
            rngs=rngs,
        )
        self.size = kept(features)
        self.mean, self.var = statistics(features)

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # type: ignore[override]
        """Normalises [rows, ..., features]."""
        features = size_of(self.size)
        given = self.use_running_average if use_running_average is None else use_running_average
        if given is None:
            raise ArgumentError(
                "BatchNorm needs to know whether to use its running average; it was told neither when it was made nor "
                "when it was called. Call .train() or .eval() on the model, or pass use_running_average."
            )
        return _normalised(self, x, running(self, x, features, given, self.momentum), features)


def statistics(features: Size) -> tuple[nnx.BatchStat, nnx.BatchStat]:
    """Fresh running mean and variance, [features.cap], zero for padded features.

    >>> [each.shape for each in statistics(Size(3, 3))]
    [(3,), (3,)]
    """
    mean, variance = (
        nnx.BatchStat(param(masked(jnp.full(features.cap, value, jnp.float32), (features,)), (features,)))
        for value in (0.0, 1.0)
    )
    return mean, variance


def running(module: Any, x: jax.Array, features: Size, given: bool, momentum: Any) -> Moments:
    """The statistics to normalise by; the running ones move towards those of the batch unless they are used.

    Args:
      module: has them as `mean` and `var`.
      x: [rows, ..., features.cap].
      features: size of the statistics.
      given: whether the running statistics are used.
      momentum: their decay.
    """
    if given:
        return module.mean[...], module.var[...]
    moments = batch_moments(x, features, rows.current())
    for statistic, new in zip((module.mean, module.var), moments, strict=True):
        statistic[...] = momentum * statistic[...] + (1 - momentum) * new
    return moments


def _normalised(module: Any, x: jax.Array, moments: Moments, features: Size) -> jax.Array:
    scale, bias = _array(module.scale), _array(getattr(module, "bias", None))
    return normalise(x, moments, scale, bias, features, module.epsilon, module.dtype)


def _array(variable: Any) -> jax.Array | None:
    return None if variable is None else variable[...]
