"""Grid search: every combination of a few values of each hyperparameter, once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ConfigError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.walk import Walk, whole
from vtune.records import Config
from vtune.space import Parameter, Space
from vtune.space.axes import Cells

_LARGEST = 2**31
"""Combinations up to which a grid can be walked, shuffled and checked against constraints."""

_BATCH = 4096

_POINTS = 5
"""Values of a continuous Float for which no number is given."""


@register
class Grid(Walk):
    """Every combination of a few values of each hyperparameter, once: exact, exhaustible and indexable.

    Combinations run as in `itertools.product`, the last hyperparameter fastest. A hyperparameter that is not active
    does not multiply its branch, so that nothing comes twice; combinations that fail a constraint are left out.

    Args:
      space: where the configurations lie.
      points: how many values of each continuous Float, evenly on its scale with both ends; or name -> how many, or
        name -> the values themselves, for any hyperparameter. What is not named has 5 values if it is a continuous
        Float, and all its values otherwise.
      shuffle: walk in a random order, which makes a grid that is cut short a sample of the whole (8 bytes a
        combination).
      seed: seed of the shuffle.

    Raises:
      ArgumentError: unknown names, numbers of points below 1, values outside the space, more than 2**31 combinations.

    Example:
      >>> from vtune.space import Choice, Float, Space
      >>> space = Space(
      ...     optimizer=Choice("sgd", "adam"),
      ...     momentum=Float(0.5, 0.9, when={"optimizer": "sgd"}),
      ... )
      >>> grid = Grid(space, points=2)
      >>> len(grid), grid[-1]
      (3, {'optimizer': 'adam'})
      >>> grid.ask(8)[:2]
      [{'optimizer': 'sgd', 'momentum': 0.5}, {'optimizer': 'sgd', 'momentum': 0.9}]
    """

    name: ClassVar[str] = "grid"

    def __init__(
        self,
        space: Space,
        points: int | Mapping[str, int | Sequence[Any]] = _POINTS,
        *,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(space, seed)
        if not isinstance(shuffle, bool):
            raise ArgumentError(f"shuffle must be True or False; got {shuffle!r}")
        self.shuffle = shuffle
        given = points if isinstance(points, Mapping) else dict.fromkeys(space.continuous, whole("points", points))
        unknown = set(given) - set(space)
        if unknown:
            raise ArgumentError(f"points may name {', '.join(map(repr, space))}; got {sorted(unknown)}")
        self._columns = {name: _column(name, parameter, given.get(name)) for name, parameter in space.items()}
        self._groups = space.branches(self._columns)
        self._shape = [sum(branch.size for branch in group) for group in self._groups]
        total = math.prod(self._shape)
        if total > _LARGEST:
            sizes = ", ".join(f"{name} has {len(column)}" for name, column in self._columns.items())
            raise ArgumentError(
                f"a grid may have up to 2**31 combinations; this one has {total:,}. Give fewer points for some of "
                f"its hyperparameters, as in points={{{space.names[0]!r}: 3}}: {sizes}"
            )

    def __len__(self) -> int:
        return math.prod(self._shape) if self._order is None else len(self._order)

    def __getitem__(self, index: int) -> Config:
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"a grid of {len(self)} has no config {index}")
        return self._walk(place, 1)[0][0]

    def _walk(self, start: int, n: int) -> tuple[list[Config], int]:
        places = np.arange(min(start, len(self)), min(start + n, len(self)))
        if not len(places):
            return [], start
        return self._configs(places if self._order is None else self._order[places]), int(places[-1]) + 1

    @cached_property
    def _order(self) -> np.ndarray | None:
        """Numbers of the combinations that are walked; None for all of them as they come."""
        total = math.prod(self._shape)
        if not self.space.constraints:
            return np.random.default_rng(self.seed).permutation(total) if self.shuffle else None
        batches = (np.arange(i, min(i + _BATCH, total)) for i in range(0, total, _BATCH))
        kept = np.concatenate([batch[self.space.satisfies(self._configs(batch))] for batch in batches])
        if not len(kept):
            names = ", ".join(map(str, self.space.constraints))
            raise ProposerError(f"none of the {total:,} combinations of the grid satisfies the constraints ({names})")
        return np.random.default_rng(self.seed).permutation(kept) if self.shuffle else kept

    def _configs(self, numbers: np.ndarray) -> list[Config]:
        """Combinations by their numbers [n]."""
        columns = {name: np.repeat(column[:1], len(numbers)) for name, column in self._columns.items()}
        for group, part in zip(self._groups, np.unravel_index(numbers, self._shape), strict=True):
            ends = np.cumsum([branch.size for branch in group])
            taken = np.searchsorted(ends, part, side="right")
            for b in np.unique(taken).tolist():
                rows = np.flatnonzero(taken == b)
                within = part[rows] - (ends[b] - group[b].size)
                sizes = [len(column) for column in group[b].columns.values()]
                entries = np.unravel_index(within, sizes)
                for (name, column), entry in zip(group[b].columns.items(), entries, strict=True):
                    columns[name][rows] = column[entry]
        return self.space.from_columns(columns)

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed, "shuffle": self.shuffle, "shape": self._shape}


def _column(name: str, parameter: Parameter, wanted: Any) -> np.ndarray:
    """The entries of a hyperparameter's column that the grid uses."""
    axis = parameter.axis
    if isinstance(wanted, Sequence | np.ndarray) and not isinstance(wanted, str):
        if not len(wanted):
            raise ArgumentError(f"points of {name!r} must be at least one value; got none")
        try:
            entries = parameter.encode(list(wanted), lambda _: f"points of {name!r}")
        except ConfigError as error:
            raise ArgumentError(str(error)) from None
        return np.array(list(dict.fromkeys(entries.tolist())), dtype=entries.dtype)
    natural = _POINTS if parameter.size is None else parameter.size
    count = natural if wanted is None else min(whole(f"points of {name!r}", wanted), parameter.size or _LARGEST)
    if not 0 < count <= _LARGEST:
        raise ArgumentError(f"points of {name!r} must be from 1 to 2**31; got {count}. Give points={{{name!r}: 5}}")
    if isinstance(axis, Cells) and count == axis.count:
        return np.arange(count)
    return np.unique(axis.from_unit(np.linspace(0.0, 1.0, count) if count > 1 else np.array([0.5])))
