"""Configurations as the kernel sees them: points between which distance means difference."""

from __future__ import annotations

import numpy as np

from vtune.space import Choice, Parameter, Space

_SMALLEST = 8
"""The least number of feature columns; each further rung of that ladder is twice as large."""


class Features:
    """Turns rows of the unit cube into feature rows, padded to a ladder of widths so that few shapes are compiled.

    A number is one column. A choice is one column a value, scaled so that two different values are 1 apart; a choice
    among numbers has a column for its rank too. Every condition has a column that says whether it holds; what is not
    active lies in the middle (a number) or equally far from every value (a choice), so that rows in which a
    hyperparameter is not active do not differ by it. All columns of a group share one length scale.

    Args:
      space: where the configurations lie.

    Attributes:
      width: number of columns, padding included.
      group: int [width], the group of each column.
      numeric: int [k], columns of numbers.
      dims: int [k], the dimension of the unit cube behind each of them.

    Example:
      >>> from vtune.space import Float, Space
      >>> features = Features(Space(c=Choice("a", "b"), x=Float(0.0, 1.0, when={"c": "a"})))
      >>> features.embed(np.array([[0.25, 0.9], [0.75, np.nan]]))[:, :3].tolist()
      [[0.0, 0.9, 1.0], [1.0, 0.5, 0.0]]
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._blocks: list[tuple[str, int, int]] = []
        group: list[int] = []
        conditions: set[str] = set()
        numeric, dims = [], []
        for j, parameter in enumerate(space.values()):
            parts = _parts(parameter) if parameter.size != 1 else ()
            if parameter.when and repr(parameter.when) not in conditions:
                conditions.add(repr(parameter.when))
                parts += ("active",)
            for part in parts:
                self._blocks.append((part, j, len(group)))
                if part == "number":
                    numeric.append(len(group))
                    dims.append(j)
                group += [len(set(group))] * ((parameter.size or 1) if part == "values" else 1)
        self.width = _SMALLEST
        while self.width < len(group):
            self.width *= 2
        groups = len(set(group))
        self.group = np.array(group + [min(groups, self.width - 1)] * (self.width - len(group)), dtype=np.int32)
        self.numeric = np.array(numeric, dtype=np.int64)
        self.dims = np.array(dims, dtype=np.int64)

    def embed(self, unit: np.ndarray) -> np.ndarray:
        """Rows of the unit cube [n, dim], NaN where not active -> features [n, width]."""
        rows = np.zeros((len(unit), self.width))
        for part, j, first in self._blocks:
            column = unit[:, j]
            active = ~np.isnan(column)
            if part == "active":
                rows[:, first] = active
            elif part == "values":
                count = self._space[self._space.names[j]].size or 1
                index = np.clip(np.floor(column[active] * count), 0, count - 1).astype(np.int64)
                rows[np.flatnonzero(active), first + index] = np.sqrt(0.5)
            elif part == "either":
                rows[:, first] = np.where(active, column > 0.5, 0.5)
            else:
                rows[:, first] = np.where(active, column, 0.5)
        return rows

    def movable(self, unit: np.ndarray) -> np.ndarray:
        """Which columns of the features of rows [n, dim] are active numbers -> bool [n, width]."""
        mask = np.zeros((len(unit), self.width), dtype=bool)
        mask[:, self.numeric] = ~np.isnan(unit[:, self.dims])
        return mask

    def spread(self, reach: np.ndarray) -> np.ndarray:
        """Lengths along dimensions of the unit cube [n, dim] -> along columns [n, width]; 0 for those of no number."""
        columns = np.zeros((len(reach), self.width))
        columns[:, self.numeric] = reach[:, self.dims]
        return columns

    def moved(self, unit: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Rows of the unit cube [n, dim] with their numbers taken from features [n, width]."""
        result = unit.copy()
        result[:, self.dims] = np.where(np.isnan(unit[:, self.dims]), np.nan, np.clip(rows[:, self.numeric], 0.0, 1.0))
        return result


def _parts(parameter: Parameter) -> tuple[str, ...]:
    """The blocks of columns of a hyperparameter."""
    if not isinstance(parameter, Choice):
        return ("number",)
    if len(parameter.values) == 2:
        return ("either",)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in parameter.values)
    ordered = numbers and list(parameter.values) in (sorted(parameter.values), sorted(parameter.values, reverse=True))
    return ("rank", "values") if ordered else ("values",)
