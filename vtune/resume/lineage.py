"""Where the state of a trial comes from that went on from copies of others: whose keys and which configs trained it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from vtune.records import Config, Leg
from vtune.store import Event

ENDLESS = 2**62


Route = tuple[Leg, ...]
"""The training that made a trial's state, from its first step; the last leg goes on for ever."""


def routes(events: Iterable[Event], configs: Mapping[int, Config]) -> dict[int, Route]:
    """How each trial came to be what it is.

    Args:
      events: of a study, in order; those of copies count.
      configs: the last configuration of each trial, by id.

    >>> def copied(clock, trial, source, step, before, config):
    ...     detail = {"trial": trial, "source": source, "step": step, "before": before, "config": config}
    ...     return Event(0.0, "copy", detail, clock=clock)
    >>> events = [copied(4, 1, 0, 10, {"lr": 2}, {"lr": 3})]
    >>> for leg in routes(events, {0: {"lr": 1}, 1: {"lr": 3}})[1]:
    ...     print(leg.until, leg.trial, leg.config)
    10 0 {'lr': 1}
    4611686018427387904 1 {'lr': 3}
    """
    copies = [event for event in events if event.kind == "copy"]
    first = dict(configs)
    for event in reversed(copies):
        first[event.detail["trial"]] = event.detail["before"]
    found: dict[int, Route] = {trial: (Leg(ENDLESS, trial, config),) for trial, config in first.items()}
    for _, together in groupby(copies, key=lambda event: event.clock):
        as_they_were = dict(found)
        for event in together:
            detail = event.detail
            past = until(as_they_were[detail["source"]], detail["step"])
            found[detail["trial"]] = (*past, Leg(ENDLESS, detail["trial"], detail["config"]))
    return found


def until(route: Sequence[Leg], step: int) -> Route:
    """The part of a route that leads to a step."""
    legs = [leg for leg in route if leg.until <= step]
    if not legs or legs[-1].until < step:
        legs.append(replace(route[len(legs)], until=step))
    return tuple(legs)


def changes(route: Sequence[Leg], step: int) -> bool:
    """Whether a trial became a copy at a step: the state there is then still that of its source.

    >>> changes((Leg(10, 0, {}), Leg(ENDLESS, 1, {})), 10)
    True
    """
    return any(leg.until == step for leg in route)
