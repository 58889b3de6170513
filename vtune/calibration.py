"""What steps and compiles have cost on this machine, kept between runs: it feeds the planner's estimates."""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import jax

from vtune.cache import cache_folder
from vtune.engine.work import SECONDS

COMPILE = 4.0
"""Seconds that compiling a program takes for each second of tracing it, before a run has shown more."""
MEMORY = 0.5
"""Weight of the latest run against all earlier ones."""
HIT = 0.5
"""A compile that took less than this share of what was expected came from the persistent cache and tells nothing."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs on this machine.

    Attributes:
      rate: seconds of a thread for one operation or byte of a step; see `vtune.engine.work.Work`.
      compile: seconds of compiling for each second of tracing.

    >>> Costs().rounded == Costs(rate=Costs().rounded.rate * 1.1, compile=4.2).rounded
    True
    """

    rate: float = SECONDS
    compile: float = COMPILE

    @property
    def rounded(self) -> Costs:
        """The nearest powers of two, so that noise between runs seldom changes a plan."""
        return Costs(2.0 ** round(math.log2(self.rate)), 2.0 ** round(math.log2(self.compile)))

    def learnt(self, rate: float, compile: float) -> Costs:
        """With what another run took."""
        known = self.compile if compile < HIT * self.compile else _between(self.compile, compile)
        return Costs(_between(self.rate, rate), known)


def read_costs() -> Costs:
    """The costs on this kind of device; the usual ones where none are kept or the file cannot be read."""
    return _read(_file()).get(_device(), Costs())


def write_costs(costs: Costs) -> None:
    """Keeps costs for later runs; a folder that cannot be written is no error."""
    file = _file()
    known = {**_read(file), _device(): costs}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({device: asdict(each) for device, each in known.items()}, indent=1))
        partial.replace(file)


def _between(before: float, now: float) -> float:
    return math.exp((1 - MEMORY) * math.log(before) + MEMORY * math.log(max(now, 1e-15)))


def _file() -> Path:
    return cache_folder().parent / "costs.json"


def _read(file: Path) -> dict[str, Costs]:
    try:
        return {device: Costs(**each) for device, each in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _device() -> str:
    return f"{jax.default_backend()}: {jax.local_devices()[0].device_kind}"
