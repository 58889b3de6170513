"""Normalisation by name, for the networks that take one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.nn.linen.norms import BatchNorm, LayerNorm, RMSNorm, running
from vtune.nn.linen.params import param, produced
from vtune.nn.norm_choice import NormChoice, norm_choice, norm_name


class _ChosenNorm(linen.Module):
    """The normalisation that a hyperparameter chooses, with the params of all of them."""

    choice: NormChoice
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        choice, dtype = self.choice, self.param_dtype
        statistics, size = choice.statistics, choice.bias
        batch = None if statistics is None else running(self, x, statistics, not train, 0.99)
        scale = param(self, "scale", "ones", (choice.scale,), dtype)
        bias = None if size is None else param(self, "bias", "zeros", (size,), dtype)
        return produced(self, choice.normalised(x, batch, scale, bias, self.dtype), choice.features)


def normalised(norm: Any, x: jax.Array, train: bool, *, inputs: Any, **options: Any) -> jax.Array:
    """Calls the normalisation layer of a name, in a compact module.

    Args:
      norm: None, "none", "layer", "rms" or "batch", or a hyperparameter that is a Choice of names: it is packed.
      x: [..., features].
      train: whether batch norm normalises by the batch.
      inputs: size of the features.
      **options: name, dtype and param_dtype of the layer.
    """
    choice = norm_choice(norm, inputs)
    if choice is not None:
        return _ChosenNorm(choice, **options)(x, train)
    name = norm_name(norm)
    if name == "batch":
        return BatchNorm(inputs=inputs, **options)(x, use_running_average=not train)
    layer = {"none": None, "layer": LayerNorm, "rms": RMSNorm}[name]
    return x if layer is None else layer(inputs=inputs, **options)(x)
