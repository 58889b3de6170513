"""Rungs: the steps at which trials are compared."""

from __future__ import annotations

from collections.abc import Sequence

from vtune.errors import ArgumentError


def geometric(scheduler: str, first: int, factor: int, steps: int, last: int | None = None) -> tuple[int, ...]:
    """The steps first, first * factor, first * factor**2, ... before the end of a trial.

    Args:
      scheduler: whose rungs they are, for errors.
      first: the first of them.
      factor: ratio of one to the one before.
      steps: training steps of a full trial.
      last: the largest that may be; None for any.

    Raises:
      ArgumentError: there is none.

    Example:
      >>> geometric("ASHA", 25, 3, 500)
      (25, 75, 225)
    """
    found = []
    while first < steps and first <= (last or steps):
        found.append(first)
        first *= factor
    if not found:
        bound = f"steps={steps}" if last is None else f"steps={steps} and at most max_steps={last}"
        raise ArgumentError(f"{scheduler}: the first rung, min_steps={first}, must be below the study's {bound}")
    return tuple(found)


def trained_share(rungs: Sequence[int], reduction: int, steps: int) -> float:
    """The share of all steps that trials train if 1/reduction of them go on from each rung.

    Args:
      rungs: steps at which trials are compared, ascending.
      reduction: one over the share that goes on.
      steps: training steps of a full trial.

    Example:
      >>> trained_share((10, 100), 10, 1000)
      0.028
    """
    ends = (*rungs, steps)
    stretches = [end - start for start, end in zip((0, *ends), ends, strict=False)]
    return sum(stretch / reduction**number for number, stretch in enumerate(stretches)) / steps
