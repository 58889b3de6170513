"""Parzen estimators over a search space: kernels around configurations, their widths, and draws from their mixture.

Product kernels over all hyperparameters at once, as in the multivariate TPE of BOHB (Falkner et al., 2018): truncated
normals for numbers, tables for what has few values (Aitchison and Aitken, 1976, for choices without an order).
Densities are taken against the prior, which is even over the unit cube; so a hyperparameter that is not active in a
configuration leaves its kernel at one there, and kernels over different branches of a conditional space compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from vtune.space import Choice, Space
from vtune.space.axes import Cells

FEW = 16
"""Numbers with up to this many values have tables; with more they count as continuous."""

PRIOR_ROWS = 1.0
"""Rows that the prior counts for where the spread of rows is estimated."""

NARROWEST = 0.003
"""Kernels are at least this wide, in units of the range."""

_ANY = 0.02
"""Share of the prior in the tables of numbers."""

_OTHER = 0.1
"""Share of the prior in the tables of choices, however many rows there are."""

_PRIOR_SPREAD = 12**-0.5
"""Standard deviation of the prior of a number."""


@dataclass(frozen=True)
class Table:
    """A hyperparameter with few values.

    Attributes:
      column: its place in the space.
      centres: where its values lie on the unit interval, float64 [count].
      ordered: whether near values are alike.
    """

    column: int
    centres: np.ndarray
    ordered: bool


class Points(NamedTuple):
    """Configurations as kernels read them.

    Attributes:
      values: units of the hyperparameters with normal kernels, float32 [..., n, lines], NaN where not active.
      indices: values of those with tables, int32 [..., n, tables], -1 where not active.
    """

    values: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class Widths:
    """Kernels of one mixture.

    Attributes:
      lines: standard deviations of the normals, float64 [lines].
      tables: for each table, chances of a value (column) around a value (row), float64 [count, count].
    """

    lines: np.ndarray
    tables: tuple[np.ndarray, ...]

    def times(self, factor: float) -> Widths:
        """The same with normals so many times as wide."""
        return Widths(self.lines * factor, self.tables)


class Layout:
    """Which hyperparameters of a space have which kind of kernel.

    Args:
      space: the space.

    Attributes:
      lines: columns with normal kernels.
      tables: those with tables.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._axes = [parameter.axis for parameter in space.values()]
        lines, tables = [], []
        for column, (axis, parameter) in enumerate(zip(self._axes, space.values(), strict=True)):
            if isinstance(axis, Cells) and (isinstance(parameter, Choice) or axis.count <= FEW):
                centres = axis.to_unit(np.arange(axis.count))
                tables.append(Table(column, centres, not isinstance(parameter, Choice)))
            else:
                lines.append(column)
        self.lines = tuple(lines)
        self.tables = tuple(tables)

    def points(self, rows: np.ndarray) -> Points:
        """Rows of the unit cube [..., n, dim] -> points."""
        indices = [self._indices(table, rows[..., table.column]) for table in self.tables]
        empty = np.empty((*rows.shape[:-1], 0))
        return Points(
            rows[..., list(self.lines)].astype(np.float32),
            np.stack(indices, axis=-1).astype(np.int32) if indices else empty.astype(np.int32),
        )

    def widths(self, rows: np.ndarray, weights: np.ndarray, factor: float) -> Widths:
        """Kernels for a mixture around rows.

        A normal is as wide as the rows are spread, times factor * n**(-1 / (active + 4)) (Scott, 1992): `active` is the
        mean number of active hyperparameters, n the effective number of rows in which this one is. The prior counts as
        one more row in the spread.

        Args:
          rows: units [n, dim].
          weights: [n], positive.
          factor: multiplies all widths.
        """
        active = ~np.isnan(rows)
        exponent = -1.0 / (max(1.0, active.sum() / max(len(rows), 1)) + 4.0)
        lines = [self._spread(rows[:, j], weights, factor, exponent) for j in self.lines]
        tables = []
        for table in self.tables:
            column = rows[:, table.column]
            tables.append(
                _steps(table.centres, self._spread(column, weights, factor, exponent))
                if table.ordered
                else _choices(len(table.centres), _effective(weights[~np.isnan(column)]))
            )
        return Widths(np.array(lines), tuple(tables))

    def draw(
        self,
        n: int,
        rows: np.ndarray,
        weights: np.ndarray,
        prior: float,
        widths: Widths,
        crossing: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draws from a mixture.

        A hyperparameter that becomes active in a draw but is not so in its kernel's row takes its kernel from a row
        where it is.

        Args:
          n: how many.
          rows: centres of the kernels [k, dim].
          weights: of the kernels [k].
          prior: weight of the prior in the mixture.
          widths: of the kernels.
          crossing: chance that a hyperparameter takes its kernel from another row than the rest of its draw.
          rng: where the draws come from.

        Returns:
          Units [n, dim], snapped.
        """
        shares = weights / weights.sum()
        dim = self._space.dim
        around = rng.random(n) >= prior / (weights.sum() + prior)
        kernel = rng.choice(len(rows), size=(n, 1), p=shares)
        others = rng.choice(len(rows), size=(n, dim), p=shares)
        kernel = np.where(rng.random((n, dim)) < crossing, others, kernel)
        units = rng.random((n, dim))
        centres = rows[kernel, np.arange(dim)]
        for column in np.flatnonzero(np.isnan(rows).any(axis=0)).tolist():
            donors = rows[~np.isnan(rows[:, column]), column]
            missing = np.isnan(centres[:, column])
            if len(donors):
                centres[missing, column] = donors[rng.integers(len(donors), size=int(missing.sum()))]
        near = around[:, None] & ~np.isnan(centres)
        lines = list(self.lines)
        units[:, lines] = np.where(
            near[:, lines], _normal(centres[:, lines], widths.lines, units[:, lines]), units[:, lines]
        )
        for table, chances in zip(self.tables, widths.tables, strict=True):
            drawn = np.flatnonzero(near[:, table.column])
            index = self._indices(table, centres[drawn, table.column])
            below = np.cumsum(chances, axis=1)[index] < units[drawn, table.column, None]
            units[drawn, table.column] = table.centres[np.minimum(below.sum(axis=1), len(table.centres) - 1)]
        return self._space.snap(units)

    def _indices(self, table: Table, units: np.ndarray) -> np.ndarray:
        index = self._axes[table.column].from_unit(np.nan_to_num(units, nan=0.5))
        return np.where(np.isnan(units), -1, index)

    def _spread(self, column: np.ndarray, weights: np.ndarray, factor: float, exponent: float) -> float:
        known = ~np.isnan(column)
        values, shares = column[known], weights[known]
        rows = _effective(shares)
        mean = np.average(values, weights=shares) if len(values) else 0.5
        variance = np.average((values - mean) ** 2, weights=shares) if len(values) else 0.0
        spread = np.sqrt((rows * variance + PRIOR_ROWS * _PRIOR_SPREAD**2) / (rows + PRIOR_ROWS))
        return max(factor * spread * max(rows, 1.0) ** exponent, NARROWEST)


def _effective(weights: np.ndarray) -> float:
    """How many equally weighted rows say as much (Kish, 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def _normal(centres: np.ndarray, width: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Quantiles of normals of widths [lines] around centres [n, lines], cut off at the ends of the unit interval."""
    low, high = ndtr(-centres / width), ndtr((1.0 - centres) / width)
    return np.clip(centres + width * ndtri(low + units * (high - low)), 0.0, 1.0)


def _steps(centres: np.ndarray, width: float) -> np.ndarray:
    """Chances of values in an order, [count, count]: normal around each, with a little of the prior."""
    count = len(centres)
    near = np.exp(-0.5 * ((centres - centres[:, None]) / max(width, 0.3 / count)) ** 2)
    return (1.0 - _ANY) * near / near.sum(axis=1, keepdims=True) + _ANY / count


def _choices(count: int, rows: float) -> np.ndarray:
    """Chances of values without an order, [count, count]: as if rows had been seen beside one draw of the prior."""
    off = max(1.0 / (rows + 1.0), _OTHER)
    return np.full((count, count), off / count) + (1.0 - off) * np.eye(count)
