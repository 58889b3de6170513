"""Trains trials again from their beginning, in lanes, silently: to go on with them, or to see what other seeds give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vtune.engine.lanes import Entry
from vtune.executors.local import Copy, LocalExecutor, Work
from vtune.lineage import Route
from vtune.measured import replicas_together
from vtune.records import Config, Leg


@dataclass(frozen=True, slots=True)
class Journey:
    """One trial on its way.

    Attributes:
      route: whose keys and which configurations train it.
      stops: the steps at which it is looked at, ascending; its journey ends at the last. All are steps at which trials
        are measured.
      keys: the trial whose keys it draws all the way; None for those that the route says.
      first: number of its first replica.
    """

    route: Route
    stops: tuple[int, ...]
    keys: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """A trial at one of its stops.

    Attributes:
      trial: its id in the executor.
      step: steps done.
      values: metrics of each replica, float64 [replicas, metrics].
      last: whether its journey ends.
    """

    trial: int
    step: int
    values: np.ndarray
    last: bool


def replayed(
    executor: LocalExecutor,
    journeys: Mapping[int, Journey],
    fill: Callable[[Config], Config],
    tick: Callable[[], Work],
) -> Iterator[Stop]:
    """Trains trials along their routes.

    At every stop the trial is handed out as it sits in its lane; at the last one it must be taken out of it.

    Args:
      executor: trains them.
      journeys: by the id that each has in the executor.
      fill: fills a configuration.
      tick: does a tick of the executor.
    """
    legs = {trial: iter(journey.route) for trial, journey in journeys.items()}
    now: dict[int, Leg] = {trial: next(route) for trial, route in legs.items()}

    def keys(trial: int) -> int:
        fixed = journeys[trial].keys
        return now[trial].trial if fixed is None else fixed

    entries = []
    for trial, journey in journeys.items():
        config = fill(dict(now[trial].config))
        entries.append(Entry(trial, config, executor.length(config), keys=keys(trial), first=journey.first))
    executor.enter(entries)
    under_way = set(journeys)
    while under_way:
        rows = replicas_together([chunk for _, chunk in tick().chunks], executor.replicas)
        for trial, step, values in zip(rows.trial.tolist(), rows.step.tolist(), rows.values, strict=True):
            if trial not in under_way:
                continue
            if step == now[trial].until:
                now[trial] = next(legs[trial])
                executor.copy([Copy(trial, trial, fill(dict(now[trial].config)), keys(trial))])
            if step in journeys[trial].stops:
                last = step == journeys[trial].stops[-1]
                yield Stop(trial, step, values, last)
                under_way -= {trial} if last else set()
