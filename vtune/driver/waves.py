"""How many trials may be side by side so that a proposer learns from the first ones."""

from __future__ import annotations

import math
from typing import Any

from vtune import proposers, schedulers

WAVES = 8
"""Waves that trials come in where a proposer learns: all at once, none would be proposed with the scores of others."""


def abreast(trials: int, proposer: Any, scheduler: Any = None) -> int | None:
    """Trials that may be side by side, of so many; None for any number.

    Any number may where nothing is learned, where all trials belong together, and where they wait for one another while
    the proposer hears of none that is not over.

    >>> from types import SimpleNamespace
    >>> abreast(100, SimpleNamespace(learns=False)), abreast(100, SimpleNamespace())
    (None, 13)
    """
    late = schedulers.waits(scheduler) and not proposers.follows(proposer)
    if late or schedulers.together(scheduler) or not proposers.learns(proposer):
        return None
    return math.ceil(trials / WAVES)
