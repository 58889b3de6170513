"""Convolutions whose channels may be packed: what the layers of Flax need to be told so that they compute them.

The layers themselves do the work, so that `vtune.tasks.convolution` finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from vtune.errors import ArgumentError
from vtune.hyper import Size, packed_size
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
