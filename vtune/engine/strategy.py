"""How a program runs its lanes: how many a block holds, and whether they step together or one after another."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax

Kind = Literal["vmap", "map", "host"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """The way a program runs, fixed before the first trial because it decides the last bits of every result.

    Attributes:
      block: lanes of one executable, on all its devices together.
      kind: "vmap" (all lanes step together in one loop), "map" (one lane after another, each in a loop of its own) or
        "host" (one lane, one step a call: for programs whose operations are slow inside a compiled loop).
      convolutions: "direct", or "patches": as a product with a matrix of patches.
      devices: among which the lanes of a block are divided evenly.
    """

    block: int
    kind: Kind = "vmap"
    convolutions: Literal["direct", "patches"] = "direct"
    devices: int = 1

    @property
    def loop(self) -> bool:
        """Whether the executable holds the loop over steps; else the host calls it once a step."""
        return self.kind != "host"

    def multiple_of(self, replicas: int) -> int:
        """Lanes of which a block has a multiple: those of a trial, and as many on every device."""
        return math.lcm(replicas, self.devices)

    def batch(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Applies a function of one lane to all lanes; arguments have a leading axis [lanes, ...]."""
        if self.kind == "vmap":
            return jax.vmap(function)(*arguments)
        return jax.lax.map(lambda one: function(*one), arguments)
