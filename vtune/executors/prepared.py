"""Settles, before the first trial, everything that the user left open about how trials run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from vtune.calibration import read_costs
from vtune.engine import probe
from vtune.engine.buckets import Buckets, Forecast, Workload, asked_for, divide, forecast
from vtune.engine.program import Traced
from vtune.engine.strategy import Strategy
from vtune.engine.work import count_work
from vtune.executors.fastest import fastest
from vtune.executors.local import LocalExecutor
from vtune.hyper import whole_values
from vtune.space import Space

PACKED_BLOCK = 8
"""Block width where packed lanes run one after another: few, so that a program's last trials keep all cores busy."""
SAMPLE = 512
"""Configs from which the trials of each bucket are estimated."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user said about how trials run; "auto" is settled by looking.

    Attributes:
      lanes: trials side by side.
      block: lanes of one executable.
      strategy: "auto", "vmap", "map", "host", or a `Strategy` that is taken as it is.
      pack: what may be packed; see `vtune.tune`.
      buckets: ranges of packed sizes; see `vtune.tune`.
    """

    lanes: int | str = "auto"
    block: int | str = "auto"
    strategy: Strategy | str = "auto"
    pack: Any = "auto"
    buckets: Any = "auto"


Make = Callable[[Strategy, int, Forecast | None, Buckets], LocalExecutor]
"""Makes an executor from a strategy, a number of blocks, what buckets are expected to cost, and buckets."""


def prepared(
    make: Make,
    wanted: Wanted,
    *,
    task: Any,
    space: Space,
    data: Any,
    settings: Any,
    exemplar: Mapping[str, Any],
    sample: Callable[[int], Sequence[Mapping[str, Any]]],
    threads: int,
) -> LocalExecutor:
    """Makes the executor of a study, with the program of the exemplar traced in it.

    Sizes are packed to the largest of the space first; if that program packs any, ranges are weighed and it is traced
    again.

    Args:
      make: makes an executor.
      wanted: what the user said.
      task: told of the run.
      space: where configs come from.
      data: the task's data, on the device.
      settings: the study's numbers.
      exemplar: a filled config.
      sample: gives n filled configs of the space.
      threads: host threads.

    Raises:
      ArgumentError: values that cannot be, or that contradict each other.
    """
    asked = asked_for(wanted.pack, wanted.buckets, space)
    size = probe.state_bytes(task, exemplar, data, settings.rng)
    chosen, blocks = _choose(wanted, size, settings.trials, threads, settings.replicas)
    executor = make(chosen, blocks, None, asked)
    traced = executor.planner.traced[executor.planner.extend(exemplar)]
    names = packed_sizes(traced, space)
    found = None
    if names:
        chosen, blocks = _choose(wanted, traced.bytes_per_lane, settings.trials, threads, settings.replicas)
        chosen = _one_by_one(chosen, wanted, settings.replicas)
        load = Workload(
            sample(SAMPLE), settings.trials * settings.replicas, settings.steps, chosen.block, _setup(traced)
        )
        found = _divided(wanted, asked, names, task, space, data, exemplar, load)
        executor.close()
        executor = make(chosen, blocks, found, found.buckets)
        executor.planner.extend(exemplar)
    return fastest(
        lambda other: make(other, blocks, found, executor.buckets), executor, exemplar,
        lane_steps=settings.trials * settings.steps, any_kind=wanted.strategy == "auto",
        any_width=(wanted.lanes, wanted.block, wanted.strategy) == ("auto",) * 3 and settings.replicas == 1 and not names,
    )  # fmt: skip


def _one_by_one(chosen: Strategy, wanted: Wanted, replicas: int) -> Strategy:
    """Packed lanes run one after another on a CPU: each then computes only its own branch of every choice.

    A lane's state stays in the cache of a core meanwhile, and idle lanes cost nothing.
    """
    if wanted.strategy != "auto" or jax.default_backend() != "cpu":
        return chosen
    open_width = (wanted.lanes, wanted.block) == ("auto",) * 2
    width = max(1, PACKED_BLOCK // replicas) * replicas if open_width else chosen.block
    return dataclasses.replace(chosen, block=min(width, chosen.block), kind="map")


def packed_sizes(traced: Traced, space: Space) -> tuple[str, ...]:
    """The hyperparameters of which a program asked only that they are not too large."""
    asked = {name for guard in traced.guards if guard.kind == "packed" for name in guard.names}
    return tuple(name for name in space if name in asked and len(whole_values(space[name])) > 1)


def _choose(wanted: Wanted, size: int, trials: int, threads: int, replicas: int) -> tuple[Strategy, int]:
    return probe.choose(
        bytes_per_lane=size, trials=trials, threads=threads, lanes=wanted.lanes, block=wanted.block,
        strategy=wanted.strategy, replicas=replicas,
    )  # fmt: skip


def _setup(traced: Traced) -> float:
    return traced.seconds * (1 + read_costs().rounded.compile)


def _divided(
    wanted: Wanted,
    asked: Buckets,
    names: Sequence[str],
    task: Any,
    space: Space,
    data: Any,
    exemplar: Mapping[str, Any],
    load: Workload,
) -> Forecast:
    """Ranges of the packed sizes: the user's, and where they are left open the cheapest ones."""
    work = count_work(task, space, exemplar, names, jax.eval_shape(lambda: data))
    work = dataclasses.replace(work, rate=read_costs().rounded.rate)
    ends = {name: asked.ends.get(name, (whole_values(space[name])[-1],)) for name in names}
    start = Buckets(asked.names, {**asked.ends, **ends})
    if wanted.buckets == "auto":
        return divide(start, work, load, space, names)
    return forecast(start, work, load)
