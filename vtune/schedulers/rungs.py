"""Rungs: the steps at which trials are compared."""

from __future__ import annotations

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
