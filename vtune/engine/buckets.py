"""Buckets: into which ranges of values packed sizes are split, so that padding and compiling together cost least.

One program for all widths pads every trial to the widest; one program a width compiles for each. Between them lie
buckets: a few programs, each padded to the largest size of its range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vtune.engine.work import Work
from vtune.errors import ArgumentError
from vtune.hyper import Packing, whole_values
from vtune.space import Space

LOWEST = -(2**31)
"""Lies below the lowest range."""
MOST_PROGRAMS = 12
"""Programs that buckets may ask for by themselves."""
MOST_ENDS = 12
"""Ends of ranges that are tried for one hyperparameter."""
WORTH = 0.95
"""A split is made only where the expected time becomes less than this share."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """What is packed, and in which ranges.

    Attributes:
      names: hyperparameters that packed code may trace; None for all.
      ends: hyperparameter -> the largest values of its ranges, rising; one range where a name is missing.
    """

    names: frozenset[str] | None = None
    ends: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def packing(self, config: Mapping[str, Any]) -> Packing:
        """The ranges that a filled config lies in.

        >>> Buckets(ends={"width": (32, 128)}).packing({"width": 64}).intervals
        {'width': (33, 128)}
        """
        places = self.places([config])[0].tolist()
        intervals = {
            name: (ends[place - 1] + 1 if place else LOWEST, ends[place])
            for (name, ends), place in zip(self.ends.items(), places, strict=True)
        }
        return Packing(self.names, intervals)

    def places(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Which range of each hyperparameter in `ends` a filled config lies in, int64 [n, names]."""
        columns = [np.searchsorted(ends, [config[name] for config in configs]) for name, ends in self.ends.items()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(configs), 0), np.int64)

    def largest(self, configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The configs with each packed size at the end of its range: what they are padded to."""
        places = self.places(configs).tolist()
        return [
            {**config, **{name: ends[place] for (name, ends), place in zip(self.ends.items(), row, strict=True)}}
            for config, row in zip(configs, places, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """As JSON values, as the store keeps them."""
        return {
            "names": None if self.names is None else sorted(self.names),
            "ends": {name: list(ends) for name, ends in self.ends.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Buckets:
        """Reads what `to_json` wrote."""
        names = values["names"]
        ends = {name: tuple(each) for name, each in values["ends"].items()}
        return cls(None if names is None else frozenset(names), ends)


def asked_for(pack: Any, buckets: Any, space: Space) -> Buckets:
    """What the user's `pack` and `buckets` say.

    Args:
      pack: "auto" or True to pack what can be packed, False for nothing, or names of hyperparameters.
      buckets: "auto", None for one range each, or {name: largest values of its ranges}.
      space: whose hyperparameters they name.

    Raises:
      ArgumentError: what cannot be, with the name.

    >>> from vtune.space import Int
    >>> asked_for("auto", {"width": [16, 64]}, Space(width=Int(8, 64))).ends
    {'width': (16, 64)}
    """
    names: frozenset[str] | None
    if pack in ("auto", True):
        names = None
    elif pack is False or pack is None:
        names = frozenset()
    else:
        names = frozenset([pack] if isinstance(pack, str) else pack)
        _known("pack", names, space)
    if buckets is None or buckets == "auto":
        return Buckets(names)
    if not isinstance(buckets, Mapping):
        raise ArgumentError(f"buckets must be 'auto', None or {{name: largest values of its ranges}}, not {buckets!r}")
    _known("buckets", buckets, space)
    return Buckets(names, {name: _ends(name, given, space) for name, given in buckets.items()})


def _known(argument: str, names: Any, space: Space) -> None:
    unknown = sorted(set(names) - set(space))
    if unknown:
        raise ArgumentError(f"{argument} names {', '.join(unknown)}; the space has {', '.join(space)}")


def _ends(name: str, given: Any, space: Space) -> tuple[int, ...]:
    values = whole_values(space[name])
    ends = sorted({int(end) for end in ([given] if isinstance(given, int) else given)})
    if not ends or ends[0] < values[0]:
        raise ArgumentError(f"buckets of {name} must be largest values of ranges of {space[name]}; got {given!r}")
    return (*(end for end in ends if end < values[-1]), values[-1])


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be trained, as far as it decides about buckets.

    Attributes:
      configs: a sample of filled configs of the space.
      trials: how many trials there will be.
      steps: training steps of a trial.
      block: lanes of a block.
      compile_seconds: of one program, tracing included.
    """

    configs: Sequence[Mapping[str, Any]]
    trials: int
    steps: float
    block: int
    compile_seconds: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a division into buckets is expected to cost, in seconds of one thread.

    Attributes:
      buckets: the division.
      programs: programs that the expected trials need.
      compile_seconds: tracing and compiling all of them.
      train_seconds: training, padding and half-empty blocks included.
      padded_share: share of the trained lanes' work that is padding, from 0 to 1.
      work: the seconds of a lane-step that it was made with.
    """

    buckets: Buckets
    programs: int
    compile_seconds: float
    train_seconds: float
    padded_share: float
    work: Work

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.compile_seconds + self.train_seconds


def forecast(buckets: Buckets, work: Work, load: Workload) -> Forecast:
    """Estimates what a division into buckets costs; the last block of each program is taken to be half empty."""
    padded = work.seconds(buckets.largest(load.configs))
    places = buckets.places(load.configs)
    _, bucket, counts = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    each = np.bincount(bucket.reshape(-1), weights=padded)
    share = load.trials / len(load.configs)
    idle = 0.5 * np.minimum(load.block, counts * share) * each / counts
    return Forecast(
        buckets=buckets,
        programs=len(counts),
        compile_seconds=len(counts) * load.compile_seconds,
        train_seconds=float(each.sum() * share + idle.sum()) * load.steps,
        padded_share=1 - float(work.seconds(load.configs).sum() / padded.sum()),
        work=work,
    )


def divide(buckets: Buckets, work: Work, load: Workload, space: Space, free: Sequence[str]) -> Forecast:
    """Splits ranges as long as that is expected to save time.

    Args:
      buckets: where to begin: one range for every packed size, or those that the user gave.
      work: seconds of a lane-step by the sizes.
      load: what is to be trained.
      space: where the configs come from.
      free: hyperparameters whose ranges may be split.

    Returns:
      The best division found, by splitting one range after another where it saves most.
    """
    best = forecast(buckets, work, load)
    while True:
        tried = [forecast(split, work, load) for split in _splits(best.buckets, space, free)]
        tried = [found for found in tried if found.programs <= MOST_PROGRAMS]
        better = min(tried, key=lambda found: found.seconds, default=best)
        if better.seconds > WORTH * best.seconds:
            return best
        best = better


def _splits(buckets: Buckets, space: Space, free: Sequence[str]) -> Iterator[Buckets]:
    for name in free:
        values = whole_values(space[name])
        places = np.unique(np.linspace(0, len(values) - 1, min(MOST_ENDS, len(values))).round().astype(int))
        for end in [values[place] for place in places.tolist()]:
            if end not in buckets.ends[name]:
                yield Buckets(buckets.names, {**buckets.ends, name: tuple(sorted((*buckets.ends[name], end)))})
