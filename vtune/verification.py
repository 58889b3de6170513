"""Trials trained in lanes against the same trials trained alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Verification:
    """How far trials trained in lanes are from the same trials trained alone.

    Attributes:
      trials: ids that were trained again.
      differences: metric -> largest absolute difference over all trials and steps.
      first: metric -> largest absolute difference at the trials' first measurement, where rounding has grown least.
    """

    trials: tuple[int, ...]
    differences: Mapping[str, float]
    first: Mapping[str, float]

    @property
    def largest(self) -> float:
        """The largest difference of all metrics."""
        return max(self.differences.values(), default=0.0)

    def __float__(self) -> float:
        return self.largest

    def __repr__(self) -> str:
        lines = [f"{len(self.trials)} trials trained again, each alone: largest difference {self.largest:.3g}"]
        for name, value in self.differences.items():
            lines.append(f"  {name:<20} {value:.3g}   (first measurement {self.first[name]:.3g})")
        return "\n".join(lines)


def compare(curves: pd.DataFrame, alone: Mapping[int, Sequence[tuple[int, Mapping[str, float]]]]) -> Verification:
    """Compares curves of a study with those of the same trials trained alone.

    Args:
      curves: rows of `Study.curves()`.
      alone: trial -> (step, metrics) of each measurement.
    """
    metrics = [name for name in curves.columns if name not in ("trial", "step")]
    largest, first = dict.fromkeys(metrics, 0.0), dict.fromkeys(metrics, 0.0)
    for trial, rows in alone.items():
        known = dict(rows)
        mine = curves[curves["trial"] == trial].sort_values("step")
        for position, (step, *values) in enumerate(mine[["step", *metrics]].itertuples(index=False)):
            for name, value in zip(metrics, values, strict=True):
                other = known[int(step)][name]
                gap = 0.0 if np.isnan(value) and np.isnan(other) else abs(value - other)
                largest[name] = max(largest[name], gap)
                if position == 0:
                    first[name] = max(first[name], gap)
    return Verification(tuple(alone), largest, first)
