"""What every packed linen module does with its params and with the sizes of what it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen

from vtune.hyper import Size, packed_size
from vtune.nn import sizes as packing
from vtune.nn.initializers import initializer


def param(
    module: linen.Module, name: str, init: Any, sizes: Sequence[Size], dtype: Any, **axes: Sequence[int]
) -> jax.Array:
    """A param of the module, [caps]: zero outside of what is true, and known to the open ledger.

    Args:
      module: whose param it is.
      name: of the param.
      init: a name, a hyperparameter or a function: what `initializer` takes.
      sizes: of its axes.
      dtype: of the param.
      **axes: in_axis and out_axis of the initializer, where they are not the last two.
    """
    draw = initializer(init)
    if module.has_variable("params", name):  # Flax only looks at the shape
        return module.param(name, lambda _: jnp.zeros([size.cap for size in sizes], dtype))
    return module.param(name, lambda key: packing.param(draw(key, tuple(sizes), dtype, **axes), sizes))


def size_of(value: Any) -> Size:
    """A size that one module hands to another, or what the user gave."""
    return value if isinstance(value, Size) else packed_size(value)


def inputs_of(module: linen.Module, x: jax.Array, given: Any) -> Size:
    """The size of the last axis of a module's input.

    Args:
      module: what is called.
      x: its input, [..., cap].
      given: what the module was told: a Size, an int or a Hyper; None for nothing, and then it is the latest packed
        output of that length in the same call of the network.
    """
    if given is None:
        return packing.inputs_of(_call(module), x.shape[-1])
    return size_of(given)


def produced(module: linen.Module, x: jax.Array, size: Size) -> jax.Array:
    """Notes the size of the last axis of an output, for the module that takes it, and returns the output."""
    packing.produced(_call(module), size)
    return x


def _call(module: linen.Module) -> Any:
    if module.scope is None:
        raise ValueError(f"{type(module).__name__} has no scope: call it through init or apply")
    return module.scope.root
