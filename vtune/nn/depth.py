"""How many equal layers a network has, where that may be packed: layers beyond the true depth hand on what they get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtune.hyper import Size, packed_at_least, packed_size


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the layers that a program holds.

    Attributes:
      features: its size; 0 in trials that are not so deep, so that it has no weights there.
      active: whether a trial has it: True, or a bool tracer [].
    """

    features: Size
    active: Any = True

    def chosen(self, outputs: jax.Array, inputs: jax.Array) -> jax.Array:
        """The outputs of the layer where a trial has it, else its inputs, both [..., cap]."""
        return outputs if self.active is True else jnp.where(self.active, outputs, inputs)


def equal_layers(features: Any, depth: Any) -> list[Layer]:
    """The layers of a stack in which all have the same number of features.

    Args:
      features: an int or a Hyper.
      depth: how many layers: an int or a Hyper. Trials with none share no program with those that have some.

    Returns:
      As many layers as the deepest trial of the program has.

    >>> [layer.features.value for layer in equal_layers(8, 2)]
    [8, 8]
    """
    width, count = packed_size(features), packed_size(depth)
    if not count.packed:
        return [Layer(width)] * count.value
    if not packed_at_least(depth, 1):
        return []
    whole = features if width.packed else width.value
    others = range(1, count.cap)
    return [Layer(width)] + [Layer(packed_size(whole * (depth > at)), count.value > at) for at in others]
