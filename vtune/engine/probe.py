"""Chooses, before the first trial, how wide a block is, how many are trained side by side, and how their steps run."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from vtune import rng
from vtune.engine.strategy import Kind, Strategy
from vtune.errors import ArgumentError
from vtune.hyper import PlainHP

CPU_BLOCK_BYTES = 4 * 2**20
"""State of one block on a CPU: about what the caches near a core hold, beyond which wider blocks stop paying."""
CPU_WIDTHS = (16, 1024)
ACCELERATOR_WIDTHS = (16, 16384)
STATE_SHARE = 0.1
"""Share of an accelerator's memory for states; the rest is for gradients, activations and copies in flight."""
IDLE_SHARE = 0.05
"""Share of lane-steps that may be idle while the last trials end, if those take half of their lanes on average."""
SMALLEST = 4
"""Block widths are multiples of this."""
NARROWEST = 2
"""Where few trials are side by side: of this."""
KINDS: dict[str, Kind] = {"auto": "vmap", "vmap": "vmap", "map": "map", "host": "host"}


def state_bytes(task: Any, exemplar: Mapping[str, Any], data: Any, rng_name: str) -> int:
    """Bytes of one trial's state, found by tracing `init` with plain values."""
    key = jax.eval_shape(lambda: rng.study_key(0, rng_name))
    state = jax.eval_shape(lambda key, data: jax.tree.leaves(task.init(PlainHP(exemplar), data, key)), key, data)
    return sum(_bytes(leaf) for leaf in state)


def width(bytes_per_lane: int, trials: int, threads: int, share: float = 1.0) -> int:
    """The block width that pays: what fits, narrowed so that the last wave of trials leaves few lanes empty.

    Args:
      bytes_per_lane: size of one trial's state.
      trials: how many there will be.
      threads: blocks that run side by side.
      share: of a full trial's steps that an average trial trains. Where a scheduler ends most trials early, the last
        ones leave their blocks nearly empty, and on a CPU an empty lane costs as much as a full one.
    """
    if jax.default_backend() == "cpu":
        room, (least, most) = CPU_BLOCK_BYTES, CPU_WIDTHS
    else:
        room, (least, most) = int(_device_bytes() * STATE_SHARE), ACCELERATOR_WIDTHS
    fitting = max(least, min(most, _power_below(room / max(bytes_per_lane, 1))))
    if share < 1 and jax.default_backend() == "cpu":
        fitting = max(least, min(fitting, _power_below(2 * IDLE_SHARE * trials * share / threads)))
    each = math.ceil(trials / threads)
    waves = math.ceil(each / fitting)
    return SMALLEST * math.ceil(each / waves / SMALLEST)


def choose(
    *,
    bytes_per_lane: int,
    trials: int,
    threads: int,
    lanes: int | str,
    block: int | str,
    strategy: Strategy | str,
    replicas: int = 1,
    share: float = 1.0,
    devices: int = 1,
) -> tuple[Strategy, int]:
    """Settles the strategy and the number of blocks.

    Args:
      bytes_per_lane: size of one trial's state.
      trials: how many there will be.
      threads: host threads that drive blocks.
      lanes: trials side by side, or "auto".
      block: lanes of one executable, or "auto".
      strategy: "auto", "vmap", "map", "host", or a `Strategy` that is taken as it is.
      replicas: lanes of one trial, which sit in one block: its width is a multiple of them.
      share: of a full trial's steps that an average trial trains.
      devices: among which the lanes of a block are divided; a number that cannot be divided evenly is rounded up.

    Raises:
      ArgumentError: values that cannot be, or that contradict each other.
    """
    if isinstance(strategy, Strategy):
        kind, convolutions, block = strategy.kind, strategy.convolutions, strategy.block
    else:
        if strategy not in KINDS:
            raise ArgumentError(f"strategy must be one of {', '.join(KINDS)} or a Strategy, not {strategy!r}")
        kind, convolutions = KINDS[strategy], "direct"
    if kind == "host":
        if block not in ("auto", replicas):
            raise ArgumentError(f"strategy='host' steps single lanes: block must be {replicas}, not {block!r}")
        block, devices = replicas, 1
    total = _positive("lanes", lanes)
    if devices > 1:
        wide = _divided(_positive("block", block), bytes_per_lane, trials, total, devices, replicas, share)
        return Strategy(wide, kind, convolutions, devices), max(1, (total or wide) // wide)
    wide = _positive("block", block) or width(bytes_per_lane, trials * replicas, threads, share)
    if total is not None and block == "auto":
        wide = min(wide, math.ceil(total / threads))
    if block == "auto":
        wide = max(1, wide // replicas) * replicas
    if wide % replicas:
        raise ArgumentError(f"block must be a multiple of the {replicas} folds and seeds of a trial, not {wide}")
    if total is not None and total < wide:
        raise ArgumentError(f"lanes must be at least one block: lanes={total} is less than block={wide}")
    blocks = threads if total is None else total // wide
    return Strategy(wide, kind, convolutions), max(1, blocks)


def narrowed(
    strategy: Strategy, blocks: int, abreast: int, *, replicas: int = 1, programs: int = 1, any_width: bool = True
) -> tuple[Strategy, int]:
    """Fewer lanes than would pay, in a block for each program as far as they go round, else for each thread.

    Args:
      strategy: what would pay.
      blocks: how many of them.
      abreast: trials side by side at most, to the nearest block.
      replicas: lanes of one trial.
      programs: that the trials need.
      any_width: whether the width of blocks is open.

    >>> narrowed(Strategy(32), 2, 32)[1], narrowed(Strategy(32), 2, 32, programs=4)[0].block
    (2, 8)
    """
    lanes = min(abreast * replicas, strategy.block * blocks)
    even = math.lcm(strategy.devices, replicas)
    unit = min(even * math.ceil(NARROWEST / even), strategy.block) if any_width else strategy.block
    parts = max(1, min(max(blocks, programs), lanes // unit))
    if any_width:
        wide = min(strategy.block, unit * math.ceil(lanes / parts / unit))
        strategy = dataclasses.replace(strategy, block=wide)
    return strategy, min(parts, math.ceil(lanes / strategy.block))


def _divided(
    block: int | None, bytes_per_lane: int, trials: int, lanes: int | None, devices: int, replicas: int, share: float
) -> int:
    """Lanes of one block on several devices: each has as many as one alone would, and all the same number."""
    if block is None:
        block = devices * width(bytes_per_lane, trials * replicas, devices, share)
        block = block if lanes is None else min(block, lanes)
    even = math.lcm(devices, replicas)
    return even * math.ceil(block / even)


def _positive(name: str, value: int | str) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ArgumentError(f"{name} must be 'auto' or a whole number of at least 1, not {value!r}")
    return int(value)


def _bytes(leaf: Any) -> int:
    size = math.prod(leaf.shape)
    return size * 8 if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else size * np.dtype(leaf.dtype).itemsize


def _device_bytes() -> int:
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return int(limit) if limit else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _power_below(x: float) -> int:
    return 1 << max(0, math.floor(math.log2(max(x, 1.0))))
