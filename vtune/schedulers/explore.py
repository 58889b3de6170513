"""Changes of configurations within what a running trial can change: the second half of population-based training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Config
from vtune.space import Choice, Parameter, Space
from vtune.space.axes import Line


@dataclass(frozen=True)
class Explorer:
    """Changes hyperparameters one by one, each by a factor or by drawing it anew.

    Attributes:
      space: where configurations lie.
      names: hyperparameters that may change, in the order in which they do.
      factors: what a number is multiplied by, one or the other.
      resample: probability that a hyperparameter is drawn anew instead.
      fits: as in `StudyInfo`; None if every change can be made.
    """

    space: Space
    names: tuple[str, ...]
    factors: tuple[float, float]
    resample: float
    fits: Callable[[np.ndarray, Sequence[Config]], np.ndarray] | None

    def changed(self, configs: Sequence[Mapping[str, Any]], sources: np.ndarray, draws: np.ndarray) -> list[Config]:
        """Changes some configurations.

        Args:
          configs: m configs.
          sources: ids of the trials from whose states they are to go on, int64 [m].
          draws: numbers from 0 to 1, float64 [m, 2 * names]: for each name, whether it is drawn anew, and where.

        Returns:
          m configs; a change that does not fit is left out.
        """
        filled = self.space.fill(configs)
        columns = {
            name: parameter.encode([config[name] for config in filled], lambda row: f"source {sources[row]}")
            for name, parameter in self.space.items()
        }
        for position, name in enumerate(self.names):
            anew, where = draws[:, 2 * position] < self.resample, draws[:, 2 * position + 1]
            column = columns[name]
            fresh = self.space[name].axis.from_unit(where)
            moved = _moved(self.space[name], column, np.where(where < 0.5, *self.factors))
            tried = {**columns, name: np.where(anew, fresh, moved)}
            columns[name] = np.where(self._possible(tried, sources), tried[name], column)
        return self.space.from_columns(columns)

    def _possible(self, columns: Mapping[str, np.ndarray], sources: np.ndarray) -> np.ndarray:
        configs = self.space.from_columns(columns)
        possible = self.space.satisfies(configs)
        if self.fits is not None:
            possible &= np.asarray(self.fits(sources, configs), bool)
        return possible


def _moved(parameter: Parameter, column: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Values or indices [m], multiplied; numbers on a grid by at least one place of it."""
    if isinstance(parameter, Choice):
        return column
    axis = parameter.axis
    if isinstance(axis, Line):
        return np.clip(column * factor, axis.low, axis.high)
    value = axis.low + column * axis.step
    index = np.rint((value * factor - axis.low) / axis.step).astype(np.int64)
    direction = np.sign(factor - 1).astype(np.int64) * np.where(value < 0, -1, 1)
    index = np.where(index == column, column + direction, index)
    return np.clip(index, 0, axis.count - 1)


def share(name: str, value: Any, most: float) -> None:
    """Checks a number from 0 to `most`.

    Raises:
      ArgumentError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ArgumentError(f"{name} must be a number from 0 to {most:g}, not {value!r}")
