"""What steps and compiles have cost on this machine, kept between runs: it feeds the planner's estimates."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtune.cache import cache_folder
from vtune.engine.program import Program
from vtune.engine.work import SECONDS, Work

PROGRAM = 7.0
"""Seconds of a thread for making a program with packed structure, before a run has shown more."""
MEMORY = 0.5
"""Weight of the latest run against all earlier ones."""
HIT = 0.5
"""A compile that took less than this share of what was expected came from the persistent cache and tells nothing."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs on this machine.

    Attributes:
      rate: seconds of a thread for one operation or byte of a step; see `vtune.engine.work.Work`.
      program: seconds of a thread for tracing and compiling a program with packed structure.

    >>> Costs().rounded == Costs(rate=Costs().rounded.rate * 1.1, program=8.2).rounded
    True
    """

    rate: float = SECONDS
    program: float = PROGRAM

    @property
    def rounded(self) -> Costs:
        """The nearest of few values, half an octave apart, so that noise between runs seldom changes a plan."""
        return Costs(*(2.0 ** (round(2 * math.log2(cost)) / 2) for cost in (self.rate, self.program)))

    def learnt(self, rate: float, program: float) -> Costs:
        """With what another run took."""
        known = self.program if program < HIT * self.program else _between(self.program, program)
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


def learn(work: Work, largest: Callable[[Mapping[str, Any]], Mapping[str, Any]], programs: Sequence[Program]) -> None:
    """Keeps what a run's programs have cost.

    Args:
      work: what was expected of a lane-step.
      largest: gives the config that a program's configs are padded to.
      programs: those that ran.
    """
    rates, made = [], []
    for program in programs:
        if program.step_seconds is not None:
            lanes, padded = program.traced.strategy.block, largest(program.traced.exemplar)
            rates.append(work.measured(padded, program.step_seconds / lanes).rate)
            made.append(program.traced.lowering_seconds + program.compile_seconds)
    if rates:
        write_costs(read_costs().learnt(math.exp(np.mean(np.log(rates))), float(np.mean(made))))


def _between(before: float, now: float) -> float:
    return math.exp((1 - MEMORY) * math.log(before) + MEMORY * math.log(max(now, 1e-15)))


def _file() -> Path:
    return cache_folder().parent / "costs.json"


def _read(file: Path) -> dict[str, Costs]:
    try:
        known = {device: Costs(**each) for device, each in json.loads(file.read_text()).items()}
        return {device: costs for device, costs in known.items() if _possible(costs.rate) and _possible(costs.program)}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _possible(seconds: Any) -> bool:
    return isinstance(seconds, float | int) and 0 < seconds < 1e6


def _device() -> str:
    return f"{jax.default_backend()}: {jax.local_devices()[0].device_kind}"
