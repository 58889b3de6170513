"""What a driver of the structure benchmark hands back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """Scores, and where the time went as far as the driver can tell.

    Attributes:
      scores: validation accuracy of each trial; NaN where it diverged.
      setup: kind of program -> seconds of tracing and compiling each, in the order of first use.
      running: seconds of each trial without setup.
      facts: whatever else is worth keeping, as JSON values.
    """

    scores: Sequence[float]
    setup: Mapping[str, Sequence[float]] = field(default_factory=dict)
    running: Sequence[float] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
