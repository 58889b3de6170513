"""What a run counts as it goes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of a run, kept as it goes.

    Attributes:
      asked: trials that have been given an id.
      ended: trials that are over.
      diverged: trials of those that diverged.
      best: the best score so far, lower is better.
      exhausted: whether the proposer has no more configs.
      live_steps: lane-steps of live trials.
      dispatched_steps: lane-steps dispatched.
      device_seconds: thread-seconds in which blocks ran.
      store_seconds: seconds in which the store was written.
      chunks: (program, steps, measured, seconds) of the latest chunks, from which the cost of measuring is estimated.
    """

    asked: int = 0
    ended: int = 0
    diverged: int = 0
    best: float = float("inf")
    exhausted: bool = False
    live_steps: int = 0
    dispatched_steps: int = 0
    device_seconds: float = 0.0
    store_seconds: float = 0.0
    chunks: list[tuple[int, int, bool, float]] = field(default_factory=list)

    @property
    def occupancy(self) -> float:
        """Lane-steps of live trials over lane-steps dispatched."""
        return self.live_steps / self.dispatched_steps if self.dispatched_steps else 0.0
