"""Normalisation by name, for the networks that take one."""

from __future__ import annotations

from typing import Any

import jax

from vtune.errors import ArgumentError
from vtune.nn.linen.norms import BatchNorm, LayerNorm, RMSNorm


def normalised(norm: Any, x: jax.Array, train: bool, **options: Any) -> jax.Array:
    """Calls the normalisation layer of a name, in a compact module.

    Args:
      norm: None, "layer", "rms" or "batch".
      x: [..., features].
      train: whether batch norm normalises by the batch.
      **options: of the layer.
    """
    if norm is None:
        return x
    if norm == "layer":
        return LayerNorm(**options)(x)
    if norm == "rms":
        return RMSNorm(**options)(x)
    if norm == "batch":
        return BatchNorm(**options)(x, use_running_average=not train)
    raise ArgumentError(f"norm is None or one of layer, rms, batch; {norm!r} was given")
