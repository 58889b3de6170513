"""Convolutions whose channels may be packed: what the layers of Flax need to be told so that they compute them.

The layers themselves do the work, so that `vtune.tasks.convolution` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.hyper import Size, packed_size
from vtune.nn.depth import Layer, equal_layers
from vtune.nn.initializers import initializer
from vtune.nn.sizes import param


def kernel_sizes(kernel_size: int | Sequence[int], inputs: Size, features: Size, groups: int) -> tuple[Size, ...]:
    """The sizes of the axes of a kernel, [*window, inputs, features].

    Args:
      kernel_size: of the window, one number a spatial axis.
      inputs: channels that come in.
      features: channels that go out.
      groups: of channels that do not mix.

    Raises:
      ArgumentError: the channels are packed and there are groups: padding would fall into the last group.

    >>> [size.cap for size in kernel_sizes((3, 3), packed_size(8), packed_size(16), 2)]
    [3, 3, 4, 16]
    """
    if groups != 1 and (inputs.packed or features.packed):
        raise ArgumentError(
            f"a convolution with packed channels has one group of them; feature_group_count={groups} was given. Give "
            "its features as plain numbers, int(hp.width): one program for each."
        )
    window = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    into = inputs if groups == 1 else packed_size(inputs.value // groups)
    return (*map(packed_size, window), into, features)


def drawn(init: Any, sizes: Sequence[Size]) -> Callable[..., jax.Array]:
    """An initializer as Flax calls it, function(key, shape, dtype), of a param with padded axes.

    Args:
      init: a name, a hyperparameter or a function: what `initializer` takes.
      sizes: of the param's axes.

    >>> drawn("ones", [packed_size(3)])(jax.random.key(0), (3,), "float32").tolist()
    [1.0, 1.0, 1.0]
    """
    draw = initializer(init)
    return lambda key, shape, dtype: param(draw(key, tuple(sizes), dtype), sizes)


def equal_stages(features: Any, depth: Any, stages: int) -> list[list[Layer]]:
    """The convolutions of each stage of a network whose channels double from stage to stage.

    Args:
      features: channels of the first stage: an int or a Hyper.
      depth: convolutions of each stage: an int or a Hyper.
      stages: how many there are.

    >>> [[layer.features.value for layer in stage] for stage in equal_stages(8, 2, 3)]
    [[8, 8], [16, 16], [32, 32]]
    """
    return [equal_layers(features * 2**stage if stage else features, depth) for stage in range(stages)]


def strides_of(stage: int, at: int) -> int:
    """Steps of a window: the first convolution of a later stage halves the resolution.

    >>> [strides_of(0, 0), strides_of(1, 0), strides_of(1, 1)]
    [1, 2, 1]
    """
    return 2 if stage and at == 0 else 1


def pooled(how: str, x: jax.Array, window: Sequence[int]) -> jax.Array:
    """What is left of all positions.

    Args:
      how: "mean" or "max".
      x: [..., *space, features].
      window: of the convolutions: as many numbers as there are spatial axes.

    Returns:
      [..., features].

    Raises:
      ArgumentError: another word.

    >>> pooled("max", jnp.array([[[1.0], [2.0]], [[4.0], [3.0]]]), (3, 3)).tolist()
    [4.0]
    """
    if how not in ("mean", "max"):
        raise ArgumentError(f"pool is mean or max; {how!r} was given.")
    return getattr(jnp, how)(x, axis=tuple(range(-1 - len(window), -1)))
