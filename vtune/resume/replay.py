"""Trains trials again, in lanes, silently: to go on with them, or to see what other seeds give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from vtune.driver.measured import replicas_together
from vtune.engine.lanes import Entry, Point
from vtune.executors.local import LocalExecutor
from vtune.executors.messages import Copy, Work
from vtune.records import Config, Leg
from vtune.resume.lineage import Route, changes


@dataclass(frozen=True, slots=True)
class Journey:
    """One trial on its way.

    Attributes:
      route: whose keys and which configurations train it.
      end: the step at which its journey ends.
      stops: steps before or at the end at which it is looked at; all are steps at which it is measured.
      start: where it begins; None for the first step.
      keys: the trial whose keys it draws all the way; None for those that the route says.
      first: number of its first replica.
    """

    route: Route
    end: int
    stops: tuple[int, ...] = ()
    start: Point | None = None
    keys: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """A trial at one of its stops, or at its end.

    Attributes:
      trial: its id in the executor.
      step: of its last measurement on this journey; 0 if there was none.
      values: metrics of each replica there, float64 [replicas, metrics].
      last: whether its journey ends.
    """

    trial: int
    step: int
    values: np.ndarray
    last: bool


Seen = Callable[[int, int, np.ndarray], None]
"""Told what is measured on the way: whose keys were drawn, the step, and metrics, float64 [replicas, metrics]."""


def replayed(
    executor: LocalExecutor,
    journeys: Mapping[int, Journey],
    fill: Callable[[Config], Config],
    tick: Callable[[], Work],
    seen: Seen = lambda trial, step, values: None,
) -> Iterator[Stop]:
    """Trains trials along their routes.

    At every stop the trial is handed out as it sits in its lane; at the end it must be taken out of it.

    Args:
      executor: trains them.
      journeys: by the id that each has in the executor.
      fill: fills a configuration.
      tick: does a tick of the executor.
      seen: told what is measured.
    """
    legs = {trial: iter(journey.route) for trial, journey in journeys.items()}
    now = {trial: _leg(legs[trial], journey) for trial, journey in journeys.items()}

    def keys(trial: int) -> int:
        fixed = journeys[trial].keys
        return now[trial].trial if fixed is None else fixed

    entries = []
    for trial, journey in journeys.items():
        config = fill(dict(now[trial].config))
        length = executor.length(config)
        entry = Entry(trial, config, length, keys=keys(trial), first=journey.first, stop=journey.end)
        entries.append(entry if journey.start is None else begun(entry, journey.start, journey.route))
    executor.enter(entries)
    under_way, last = set(journeys), dict.fromkeys(journeys, (0, np.empty((0, 0))))
    while under_way:
        rows = replicas_together([chunk for _, chunk in tick().chunks], executor.replicas)
        for trial, step, values in zip(rows.trial.tolist(), rows.step.tolist(), rows.values, strict=True):
            if trial not in under_way:
                continue
            seen(now[trial].trial, step, values)
            last[trial] = step, values
            if step == now[trial].until:
                now[trial] = next(legs[trial])
                executor.copy([Copy(trial, trial, fill(dict(now[trial].config)), keys(trial))])
            if step in journeys[trial].stops:
                yield Stop(trial, step, values, last=False)
        arrived = [trial for trial, done in executor.done.items() if trial in under_way and done >= journeys[trial].end]
        under_way -= set(arrived)
        for trial in arrived:
            yield Stop(trial, *last[trial], last=True)


def begun(entry: Entry, at: Point, route: Route) -> Entry:
    """A trial as it stands at a point on its route; where it became a copy, it still holds what is its source's own."""
    return replace(entry, done=at.done, state=at.state, sums=at.sums, copied=changes(route, at.done))


def _leg(legs: Iterator[Leg], journey: Journey) -> Leg:
    """The leg in which a journey begins."""
    done = 0 if journey.start is None else journey.start.done
    return next(leg for leg in legs if leg.until > done)
