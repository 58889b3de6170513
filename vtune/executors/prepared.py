"""Settles, before the first trial, everything that the user left open about how trials run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from vtune import rng
from vtune.calibration import read_costs
from vtune.engine import probe
from vtune.engine.buckets import Buckets, Forecast, Workload, asked_for, divide, forecast
from vtune.engine.strategy import Strategy
from vtune.engine.work import count_work
from vtune.executors.fastest import fastest
from vtune.executors.local import LocalExecutor
from vtune.hyper import Packing, Session, whole_values
from vtune.space import Space

PACKED_BLOCK = 8
"""Block width where packed lanes run one after another: few, so that a program's last trials keep all cores busy."""
SAMPLE = 512
"""Configs from which the trials of each bucket are estimated."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user said about how trials run, "auto" being settled by looking, and what lets a proposer learn.

    Attributes:
      lanes: trials side by side.
      block: lanes of one executable.
      strategy: "auto", "vmap", "map", "host", or a `Strategy` that is taken as it is.
      pack: what may be packed; see `vtune.tune`.
      buckets: ranges of packed sizes; see `vtune.tune`.
      devices: among which the lanes of a block are divided.
      abreast: trials side by side at most, where `lanes` is "auto"; see `vtune.driver.waves`.
    """

    lanes: int | str = "auto"
    block: int | str = "auto"
    strategy: Strategy | str = "auto"
    pack: Any = "auto"
    buckets: Any = "auto"
    devices: int = 1
    abreast: int | None = None

    @property
    def bound(self) -> int | None:
        """Trials side by side at most, where the user did not say how many; None for any number."""
        return self.abreast if self.lanes == "auto" else None

    def remarks(self, seats: int, trials: int) -> list[str]:
        """What is to be said of trials side by side where the proposer learns from those before.

        >>> Wanted(lanes=64, abreast=13).remarks(64, 100)
        ['64 of 100 trials are proposed before a score of this study is known: fewer lanes would let it learn']
        >>> Wanted(abreast=16).remarks(16, 128)
        ['16 of 128 trials at a time, so that most are proposed with scores known; lanes= sets another number']
        """
        if self.abreast is None or seats == 1:
            return []
        if 2 * seats > trials:
            blind = f"{min(seats, trials):,} of {trials:,} trials are proposed before a score of this study is known"
            return [f"{blind}: fewer lanes would let it learn"]
        if self.lanes == "auto" and self.abreast <= seats:
            few = f"{seats:,} of {trials:,} trials at a time, so that most are proposed with scores known"
            return [f"{few}; lanes= sets another number"]
        return []


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
    share: float = 1.0,
) -> LocalExecutor:
    """Makes the executor of a study, with the program of the exemplar traced in it.

    Where sizes are packed, ranges of them are weighed first.

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
      share: of a full trial's steps that an average trial trains, as the scheduler expects.

    Raises:
      ArgumentError: values that cannot be, or that contradict each other.
    """
    asked = asked_for(wanted.pack, wanted.buckets, space)
    names = _packed_sizes(task, space, exemplar, asked.packing(exemplar), settings.rng)
    largest = {**exemplar, **{name: whole_values(space[name])[-1] for name in names}}
    size = probe.state_bytes(task, largest, data, settings.rng)
    paying = probe.choose(
        bytes_per_lane=size, trials=settings.trials, threads=threads, lanes=wanted.lanes, block=wanted.block,
        strategy=wanted.strategy, replicas=settings.replicas, share=share, devices=wanted.devices,
    )  # fmt: skip
    chosen, blocks = first = _narrowed(paying, wanted, settings.replicas)
    found, buckets = None, asked
    if names:
        chosen = _one_by_one(chosen, wanted, settings.replicas)
        trained = settings.trials * settings.replicas
        load = Workload(sample(SAMPLE), trained, settings.steps, chosen.block, read_costs().rounded.program)
        found = _divided(wanted, asked, names, task, space, data, exemplar, load)
        buckets = found.buckets
    executor = make(chosen, blocks, found, buckets)
    executor.planner.extend(exemplar)
    if wanted.bound is not None and not names:
        programs = executor.planner.possible(sample(SAMPLE))
        chosen, blocks = better = _narrowed(paying, wanted, settings.replicas, programs)
        if better != first:
            executor.close()
            executor = make(chosen, blocks, found, buckets)
            executor.planner.extend(exemplar)
    open_width = (wanted.lanes, wanted.block, wanted.strategy) == ("auto",) * 3
    return fastest(
        lambda other: make(other, blocks, found, buckets), executor, exemplar,
        lane_steps=settings.trials * settings.steps * share, trials=wanted.bound or settings.trials,
        any_kind=wanted.strategy == "auto",
        any_width=open_width and settings.replicas == 1 and not names,
    )  # fmt: skip


def _narrowed(paying: tuple[Strategy, int], wanted: Wanted, replicas: int, programs: int = 1) -> tuple[Strategy, int]:
    """What would pay, with as many trials side by side as may be."""
    if wanted.bound is None:
        return paying
    any_width = wanted.block == "auto" and not isinstance(wanted.strategy, Strategy)
    return probe.narrowed(*paying, wanted.bound, replicas=replicas, programs=programs, any_width=any_width)


def _one_by_one(chosen: Strategy, wanted: Wanted, replicas: int) -> Strategy:
    """Packed lanes run one after another on a CPU: each then computes only its own branch of every choice.

    A lane's state stays in the cache of a core meanwhile, and idle lanes cost nothing.
    """
    if wanted.strategy != "auto" or jax.default_backend() != "cpu":
        return chosen
    open_width = (wanted.lanes, wanted.block) == ("auto",) * 2
    width = chosen.devices * max(1, PACKED_BLOCK // replicas) * replicas if open_width else chosen.block
    return dataclasses.replace(chosen, block=min(width, chosen.block), kind="map")


def _packed_sizes(
    task: Any, space: Space, exemplar: Mapping[str, Any], packing: Packing, rng_name: str
) -> tuple[str, ...]:
    """The hyperparameters of which a program asks only that they are not too large.

    A task that rehearses knows them; else its init and step are traced.
    """
    if hasattr(task, "rehearsed"):
        packed = task.rehearsed(exemplar, space, packing, rng.study_key(0, rng_name)).packed
    else:
        packed = _packed_by(task, space, exemplar, packing, rng_name)
    return tuple(name for name in space if name in packed and len(whole_values(space[name])) > 1)


def _packed_by(task: Any, space: Space, exemplar: Mapping[str, Any], packing: Packing, rng_name: str) -> set[str]:
    session = Session(exemplar, space, packing=packing)
    key = jax.eval_shape(lambda: rng.study_key(0, rng_name))

    def both(hp: Any, key: Any, data: Any) -> None:
        task.step(hp, task.init(hp, data, key), data, key)

    try:
        jax.eval_shape(session.bind(both), session.abstract_columns(None), key, task.data)
    except Exception:  # tracing the program in earnest says what is wrong, or demotes what cannot be traced
        return set()
    return {name for guard in session.guards if guard.kind == "packed" for name in guard.names}


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
