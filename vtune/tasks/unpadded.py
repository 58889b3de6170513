"""Takes the padding off the variables of a network whose structure was packed."""

from __future__ import annotations

from typing import Any

import jax

from vtune.tasks.freezing import leaves, nested


def unpadded(tree: dict[Any, Any], like: dict[Any, Any]) -> dict[Any, Any]:
    """The variables of the small, plain network among those of a packed one.

    Padding is always at the end of an axis; what the small network does not have at all (layers beyond its depth) is
    dropped.

    Args:
      tree: nested dict of arrays.
      like: nested dict of the small network's arrays or shapes.

    Returns:
      A nested dict with the paths and shapes of `like` and the values of `tree`.

    >>> import numpy as np
    >>> packed = {"a": np.ones((4, 4)), "b": np.ones(4)}
    >>> unpadded(packed, {"a": np.ones((4, 2))})["a"].shape
    (4, 2)
    """
    small = dict(leaves(like))
    return nested((path, jax.tree.map(_block, value, small[path])) for path, value in leaves(tree) if path in small)


def _block(value: Any, like: Any) -> Any:
    return value if value.shape == like.shape else value[tuple(slice(length) for length in like.shape)]
