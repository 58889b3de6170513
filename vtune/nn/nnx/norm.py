"""Normalisation by name, for the networks that take one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from vtune.hyper import Size
from vtune.nn.convolution import drawn
from vtune.nn.nnx.held import Held
from vtune.nn.nnx.norms import BatchNorm, LayerNorm, RMSNorm, running, statistics
from vtune.nn.norm_choice import NormChoice, norm_choice, norm_name

_LAYERS: dict[str, Any] = {"none": None, "layer": LayerNorm, "rms": RMSNorm, "batch": BatchNorm}
_MOMENTUM = 0.99


class ChosenNorm(nnx.Module):
    """The normalisation that a hyperparameter chooses, with the params of all of them.

    Args:
      choice: what it is made of.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.
    """

    def __init__(self, choice: NormChoice, dtype: Any = None, param_dtype: Any = jnp.float32):
        self.choice, self.dtype, self.use_running_average = Held(choice), dtype, False
        self.scale = _param("ones", choice.scale, param_dtype)
        if choice.bias is not None:
            self.bias = _param("zeros", choice.bias, param_dtype)
        if choice.statistics is not None:
            self.mean, self.var = statistics(choice.statistics)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises [rows, ..., features]."""
        choice = self.choice.value
        size, batch = choice.statistics, None
        if size is not None:
            batch = running(self, x, size, self.use_running_average, _MOMENTUM)
        bias = None if choice.bias is None else self.bias[...]
        return choice.normalised(x, batch, self.scale[...], bias, self.dtype)


def _param(init: str, size: Size, dtype: Any) -> nnx.Param:
    return nnx.Param(drawn(init, (size,))(jax.random.key(0), (size.cap,), dtype))


def norm_layer(norm: Any, features: Size, dtype: Any = None, param_dtype: Any = jnp.float32) -> nnx.Module | None:
    """The normalisation layer of a name. It draws no keys, so that those of other layers do not depend on it.

    Args:
      norm: None, "none", "layer", "rms" or "batch", or a hyperparameter that is a Choice of names: it is packed.
      features: size of what is normalised.
      dtype: of the result; inferred if None.
      param_dtype: of scale and bias.

    Returns:
      A module, or None for none.

    Raises:
      ArgumentError: there is none of that name; a Choice is looked through whole.

    >>> type(norm_layer("rms", Size(3, 3))).__name__, norm_layer("none", Size(3, 3))
    ('RMSNorm', None)
    """
    choice = norm_choice(norm, features)
    if choice is not None:
        return ChosenNorm(choice, dtype, param_dtype)
    layer = _LAYERS[norm_name(norm)]
    return None if layer is None else layer(features, dtype=dtype, param_dtype=param_dtype, rngs=nnx.Rngs(0))
