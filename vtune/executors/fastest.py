"""Finds out, before the first trial, how this machine runs a task's steps fastest, by running some."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from vtune.engine.strategy import Strategy
from vtune.executors.local import LocalExecutor
from vtune.executors.memory import out_of_memory

WORTH = 30.0
"""A candidate is tried only where the whole run is expected to take this many times as long as trying it."""
IMAGE_BLOCK = 8
"""Block width where lanes run one after another: enough to hand over seldom, few enough to leave few lanes empty."""
GLANCE_SECONDS = 0.02
"""How long a program runs to see whether trying others can be worth it."""
LOOK_SECONDS = 0.2
"""How long a candidate runs to be believed."""
FASTER = 0.95
"""A candidate is taken if a lane-step takes less than this share of the time."""


def fastest(
    make: Callable[[Strategy], LocalExecutor],
    executor: LocalExecutor,
    exemplar: Mapping[str, Any],
    *,
    lane_steps: float,
    trials: int,
    any_kind: bool,
    any_width: bool,
) -> LocalExecutor:
    """Makes the executor whose lane-steps are quickest, with the program of the exemplar traced in it.

    Convolutions under `vmap` inside a loop are tens of times slower on a CPU than products with a matrix of patches,
    and the patches of one lane fill a core's cache: there patches, one lane after another, are taken at once.
    Batched calls of LAPACK wait for each other for ever where two programs run at once on two cores (jaxlib 0.10):
    such lanes run one after another too. Other ways are measured, and only in runs that are long enough: three at most,
    each of which costs a compilation.

    Args:
      make: makes an executor that runs by a strategy.
      executor: what would be taken without measuring, with the program of the exemplar traced in it.
      exemplar: a filled config.
      lane_steps: steps of all trials together.
      trials: how many there will be side by side at most: wider blocks than they fill are not tried.
      any_kind: whether the way that steps run is open.
      any_width: whether the block width is open.
    """
    strategy, traced = executor.strategy, executor.planner.traced[0]
    if any_kind and jax.default_backend() != "cpu" and traced.convolves:
        patches = [dataclasses.replace(strategy, convolutions="patches")]
        executor = _quickest(make, executor, patches, exemplar, lane_steps)
        strategy = executor.strategy
    candidates = widths(strategy, executor.blocks, trials) if any_width else []
    if any_kind and jax.default_backend() == "cpu" and traced.convolves:
        width = min(strategy.block, IMAGE_BLOCK * strategy.devices) if any_width else strategy.block
        strategy = Strategy(width, "map", "patches", strategy.devices)
        candidates = [Strategy(width, "vmap", "patches", strategy.devices), Strategy(1, "host")]
        executor = make(strategy)
        executor.planner.extend(exemplar)
    elif any_kind and jax.default_backend() == "cpu" and strategy.kind == "vmap" and traced.factorises:
        executor.close()
        executor = make(dataclasses.replace(strategy, kind="map"))
        executor.planner.extend(exemplar)
        candidates = []
    return _quickest(make, executor, candidates, exemplar, lane_steps)


def widths(strategy: Strategy, blocks: int, trials: int) -> list[Strategy]:
    """The same with blocks of twice and of half as many lanes, where devices divide them evenly and trials fill them.

    >>> [each.block for each in widths(Strategy(16), blocks=2, trials=64)]
    [32, 8]
    >>> [each.block for each in widths(Strategy(16), blocks=2, trials=40)]
    [8]
    """
    found = [block for block in (strategy.block * 2, strategy.block // 2) if block and block % strategy.devices == 0]
    return [
        dataclasses.replace(strategy, block=block) for block in found if block * blocks <= max(trials, strategy.block)
    ]


def _quickest(
    make: Callable[[Strategy], LocalExecutor],
    executor: LocalExecutor,
    candidates: Sequence[Strategy],
    exemplar: Mapping[str, Any],
    lane_steps: float,
) -> LocalExecutor:
    if not candidates:
        return executor
    seconds = _seconds(executor, exemplar, GLANCE_SECONDS)
    if math.isinf(seconds):
        return executor
    for candidate in candidates:
        program = executor.planner.compiled[0]
        if lane_steps * seconds < WORTH * (program.traced.seconds + program.compile_seconds):
            break
        seconds = executor.seconds_a_lane_step(exemplar)
        other = make(candidate)
        taken = _seconds(other, exemplar)
        if taken < FASTER * seconds:
            executor, other, seconds = other, executor, taken
        other.close()
    return executor


def _seconds(executor: LocalExecutor, exemplar: Mapping[str, Any], least: float = LOOK_SECONDS) -> float:
    """Of a lane-step; infinite where the device's memory does not do."""
    try:
        return executor.seconds_a_lane_step(exemplar, least)
    except Exception as error:
        if not out_of_memory(error):
            raise
        return math.inf
