"""Where the trials of a run are between two ticks, so that another process can put them there again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Done = Mapping[int, int]
"""Trials in order, and the steps that each has done."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What decides, besides the trials themselves, in which order they are measured from now on.

    Attributes:
      ticks: of the executor so far.
      pools: (program, trials) of each block; None for one without work.
      queues: trials that wait for a lane, by program; -1 for those that no program serves yet.
      parked: paused trials, by program.
      ready: numbers of the programs that are compiled.
      making: (number or -1, tick at which it is waited for) of the program that is made in the background.

    >>> before = Arrangement(ticks=3, pools=((0, {5: 4}), None), queues={0: {6: 0}}, ready=(0,))
    >>> again = Arrangement.from_json(before.to_json())
    >>> again == before, again.done
    (True, {5: 4, 6: 0})
    """

    ticks: int = 0
    pools: tuple[tuple[int, Done] | None, ...] = ()
    queues: Mapping[int, Done] = field(default_factory=dict)
    parked: Mapping[int, Done] = field(default_factory=dict)
    ready: tuple[int, ...] = ()
    making: tuple[int, int] | None = None

    @property
    def done(self) -> dict[int, int]:
        """Steps that every trial has done, wherever it is."""
        places = [*(pool[1] for pool in self.pools if pool is not None), *self.queues.values(), *self.parked.values()]
        return {trial: done for place in places for trial, done in place.items()}

    def later(self, now: Mapping[int, int]) -> Arrangement:
        """The same with more steps done by some of the trials."""

        def moved(done: Done) -> Done:
            return {trial: max(now.get(trial, 0), steps) for trial, steps in done.items()}

        pools = tuple(None if pool is None else (pool[0], moved(pool[1])) for pool in self.pools)
        queues = {program: moved(done) for program, done in self.queues.items()}
        return dataclasses.replace(self, pools=pools, queues=queues)

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which `from_json` makes the same again."""
        return {
            "ticks": self.ticks,
            "pools": [None if pool is None else [pool[0], _pairs(pool[1])] for pool in self.pools],
            "queues": [[program, _pairs(done)] for program, done in self.queues.items()],
            "parked": [[program, _pairs(done)] for program, done in self.parked.items()],
            "ready": list(self.ready),
            "making": None if self.making is None else list(self.making),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Arrangement:
        """Reads what `to_json` gave."""
        return cls(
            ticks=values["ticks"],
            pools=tuple(None if pool is None else (pool[0], _done(pool[1])) for pool in values["pools"]),
            queues={program: _done(pairs) for program, pairs in values["queues"]},
            parked={program: _done(pairs) for program, pairs in values["parked"]},
            ready=tuple(values["ready"]),
            making=None if values["making"] is None else (values["making"][0], values["making"][1]),
        )


def _pairs(done: Done) -> list[list[int]]:
    return [[trial, steps] for trial, steps in done.items()]


def _done(pairs: Any) -> dict[int, int]:
    return dict(pairs)
