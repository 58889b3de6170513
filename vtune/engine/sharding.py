"""The lanes of a block divided among devices: each trains its own share, and none asks another for anything.

`shard_map` rather than automatic partitioning, which may gather whole batches around grouped convolutions.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "lanes"
LANES = PartitionSpec(AXIS)
"""Arrays [lanes, ...]."""
COLUMNS = PartitionSpec(None, AXIS)
"""Arrays [rows, lanes]."""
WHOLE = PartitionSpec()
"""What every device has all of."""


@functools.cache
def mesh(devices: int) -> Mesh:
    """The first of the local devices in a row."""
    return Mesh(np.array(jax.local_devices()[:devices]), (AXIS,))


def place(tree: Any, devices: int, spec: PartitionSpec = WHOLE) -> Any:
    """Puts arrays on devices: whole on each of them, or divided as `spec` says.

    Example:
      >>> place({"x": np.arange(3.0)}, devices=1)["x"].shape
      (3,)
    """
    return jax.device_put(tree) if devices == 1 else jax.device_put(tree, NamedSharding(mesh(devices), spec))


def jitted(run: Callable[..., Any], devices: int, inputs: Any, outputs: Any) -> Any:
    """Compiles a function of all lanes, whose first argument is donated, so that each device runs it on its own lanes.

    Args:
      run: sees the lanes of one device only.
      devices: how many; with one the function is compiled as it is.
      inputs: how arguments are divided: a `PartitionSpec` each, or a tree of them.
      outputs: the same for what it returns.
    """
    if devices == 1:
        return jax.jit(run, donate_argnums=0)
    across = mesh(devices)
    shares = jax.shard_map(run, mesh=across, in_specs=inputs, out_specs=outputs, check_vma=False)

    def named(specs: Any) -> Any:
        return jax.tree.map(
            lambda spec: NamedSharding(across, spec), specs, is_leaf=lambda part: isinstance(part, PartitionSpec)
        )

    return jax.jit(shares, donate_argnums=0, in_shardings=named(inputs), out_shardings=named(outputs))
