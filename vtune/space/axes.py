"""How one hyperparameter lies on the unit interval: a line of floats, or cells of discrete values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Line:
    """All floats from `low` to `high`, evenly on a linear or a logarithmic scale.

    Base 10 makes even points of a log scale read well: four steps from 1e-5 to 1e-1 pass through 1e-4, 1e-3 and 1e-2.
    """

    low: float
    high: float
    log: bool

    def from_unit(self, u: np.ndarray) -> np.ndarray:
        """Units [n] -> values [n]; 0 and 1 give exactly `low` and `high`."""
        low, high = self._ends()
        position = low + u * (high - low)
        values = np.clip(np.power(10.0, position) if self.log else position, self.low, self.high)
        return np.where(u <= 0, self.low, np.where(u >= 1, self.high, values))

    def to_unit(self, values: np.ndarray) -> np.ndarray:
        """Values [n] -> units [n]; a line of one point is at one half."""
        low, high = self._ends()
        if high == low:
            return np.full(len(values), 0.5)
        position = np.log10(values) if self.log else values
        return np.clip((position - low) / (high - low), 0.0, 1.0)

    def _ends(self) -> tuple[float, float]:
        return (float(np.log10(self.low)), float(np.log10(self.high))) if self.log else (self.low, self.high)


@dataclass(frozen=True)
class Cells:
    """The values `low + k * step` for k < `count`; each owns a cell of the unit interval, told by its index k.

    Cells are equally wide on a linear scale. On a log scale each value owns what lies within half a step of it, as in
    Optuna's log-uniform integers, except that the first cell never starts below half of the first value.
    """

    low: float
    step: float
    count: int
    log: bool = False

    def from_unit(self, u: np.ndarray) -> np.ndarray:
        """Units [n] -> indices [n], int64."""
        if self.log:
            low, high = self._ends()
            value = np.power(10.0, low + u * (high - low))
            index = np.floor((value - self.low) / self.step + 0.5)
        else:
            index = np.floor(u * self.count)
        return np.clip(index, 0, self.count - 1).astype(np.int64)

    def to_unit(self, index: np.ndarray) -> np.ndarray:
        """Indices [n] -> the centres [n] of their cells."""
        if not self.log:
            return (index + 0.5) / self.count
        low, high = self._ends()
        centre = (np.log10(self._edge(index)) + np.log10(self._edge(index + 1))) / 2
        return (centre - low) / (high - low)

    def _edge(self, index: np.ndarray) -> np.ndarray:
        return np.maximum(self.low + (index - 0.5) * self.step, self.low / 2)

    def _ends(self) -> tuple[float, float]:
        first, last = np.log10(self._edge(np.array([0, self.count])))
        return float(first), float(last)
