"""The columns through which hyperparameters enter a program: one value a lane, made on the host in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.hyper.expressions import Expression, as_float32, evaluate, leaf, plain_value

Columns = dict[str, Any]
"""{"values": {name: column}, "choices": {name: index column}, "floats": (column, ...), "ints": (column, ...)}"""


@dataclass(frozen=True, slots=True)
class Layout:
    """What each column of a program holds. Free of tracers; layouts of equal content are equal.

    Attributes:
      values: (name, dtype) of each numeric hyperparameter.
      choices: (name, values) of each Choice, whose column holds positions among the values.
      floats: what the spare float columns hold: derived scalars such as `1 - hp.b2`, in the order of the columns.
      ints: the same for the spare integer columns; truth values are stored as 0 and 1.
      spare_floats: how many spare float columns there are, used or not.
      spare_ints: how many spare integer columns there are.
      float_dtype: of all float columns: "float32" unless JAX runs in 64 bits.
      int_dtype: of all integer columns.
    """

    values: tuple[tuple[str, str], ...]
    choices: tuple[tuple[str, tuple[Any, ...]], ...]
    floats: tuple[Expression, ...]
    ints: tuple[Expression, ...]
    spare_floats: int
    spare_ints: int
    float_dtype: str
    int_dtype: str

    def __hash__(self) -> int:
        names = tuple(name for name, _ in self.choices)
        return hash((self.values, names, self.floats, self.ints, self.spare_floats, self.spare_ints, self.float_dtype))

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> Columns:
        """The columns of a batch of filled configs.

        Args:
          configs: n filled configs that satisfy the program's guards.

        Returns:
          Arrays [n], in the same tree as `Session.abstract_columns`. Where Python raises (`1 / 0.0`), a column holds
          what arithmetic on arrays would give (infinity).
        """
        leaves = [leaf(name) for name, _ in self.values]
        columns = evaluate([*leaves, *self.floats, *self.ints], configs, as_float32)
        own, derived = columns[: len(leaves)], columns[len(leaves) :]
        zeros = {dtype: np.zeros(len(configs), dtype) for dtype in (self.float_dtype, self.int_dtype)}
        floats = [_column(values, self.float_dtype) for values in derived[: len(self.floats)]]
        ints = [_column(values, self.int_dtype) for values in derived[len(self.floats) :]]
        return {
            "values": {name: _column(values, dtype) for (name, dtype), values in zip(self.values, own, strict=True)},
            "choices": {name: self._positions(configs, name, values) for name, values in self.choices},
            "floats": (*floats, *[zeros[self.float_dtype]] * (self.spare_floats - len(floats))),
            "ints": (*ints, *[zeros[self.int_dtype]] * (self.spare_ints - len(ints))),
        }

    def _positions(self, configs: Sequence[Mapping[str, Any]], name: str, values: tuple[Any, ...]) -> np.ndarray:
        column = [plain_value(config[name]) for config in configs]
        try:
            index = {(type(value), value): position for position, value in enumerate(values)}
            return np.array([index[type(value), value] for value in column], np.int32)
        except (KeyError, TypeError):  # unhashable values, or equal values of another type
            return np.array([values.index(value) for value in column], np.int32)


def _column(values: list[Any], dtype: str) -> np.ndarray:
    numbers = [value if isinstance(value, int | float) else 0 for value in map(plain_value, values)]
    if not dtype.startswith("int"):
        with np.errstate(over="ignore"):
            return np.array(numbers, np.float64).astype(dtype)
    try:
        return np.array(numbers, np.int64).astype(dtype)
    except OverflowError:  # wider than 64 bits: wrap around, as arithmetic on arrays does
        wrapped = [(number + 2**63) % 2**64 - 2**63 for number in numbers]
        return np.array(wrapped, np.int64).astype(dtype)
