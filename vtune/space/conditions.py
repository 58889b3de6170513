"""Which hyperparameters are active: `when` clauses against the values of their parents, for whole batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from vtune.errors import SpaceError
from vtune.space.axes import Cells
from vtune.space.choice import Choice
from vtune.space.parameter import Parameter


@dataclass(frozen=True)
class Clause:
    """`parent` must be active and have one of the values at the positions `allowed`."""

    parent: str
    allowed: tuple[int, ...]


@dataclass(frozen=True)
class Branch:
    """A part of a space in which the same hyperparameters are active, each free of the others.

    Attributes:
      columns: active hyperparameter -> the column entries [k] that it takes in this branch.
    """

    columns: Mapping[str, np.ndarray]

    @property
    def size(self) -> int:
        """How many configurations it holds."""
        return math.prod(map(len, self.columns.values()))


class Conditions:
    """The `when` clauses of a space.

    Args:
      parameters: name -> parameter, in the order of declaration.

    Attributes:
      clauses: name -> its clauses; empty for what is always active.
      order: all names, parents before children.

    Raises:
      SpaceError: unknown parents, values that a parent can never take, cycles.
    """

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self.clauses = {name: tuple(_clauses(name, parameters)) for name in parameters}
        parents = {name: [clause.parent for clause in clauses] for name, clauses in self.clauses.items()}
        try:
            self.order = tuple(TopologicalSorter(parents).static_order())
        except CycleError as error:
            circle = " <- ".join(repr(name) for name in error.args[1])
            raise SpaceError(f"conditions must not run in a circle; got {circle}") from None

    def mask(self, name: str, columns: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Where `name` is active [n], given the columns and masks of its parents; None for everywhere."""
        mask = None
        for clause in self.clauses[name]:
            holds = np.isin(columns[clause.parent], clause.allowed)
            parent = masks.get(clause.parent)
            holds = holds if parent is None else holds & parent
            mask = holds if mask is None else mask & holds
        return mask

    def masks(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Conditional hyperparameter -> where it is active [n]."""
        masks: dict[str, np.ndarray] = {}
        for name in self.order:
            mask = self.mask(name, columns, masks)
            if mask is not None:
                masks[name] = mask
        return masks

    def components(self) -> list[tuple[str, ...]]:
        """The hyperparameters in groups that no clause connects, in the order of declaration."""
        group = {name: {name} for name in self.clauses}
        for name, clauses in self.clauses.items():
            for clause in clauses:
                joined = group[name] | group[clause.parent]
                group.update(dict.fromkeys(joined, joined))
        seen: set[str] = set()
        components = []
        for name, names in group.items():
            if name not in seen:
                seen |= names
                components.append(tuple(other for other in self.clauses if other in names))
        return components

    def branches(self, component: tuple[str, ...], points: Mapping[str, np.ndarray]) -> list[Branch]:
        """Splits a component into branches that share no configuration and miss none.

        Args:
          component: names that `components` put together.
          points: name -> the column entries [k] to take it from.
        """
        names = [name for name in self.order if name in component]
        return [
            Branch({n: columns[n] for n in component if n in columns}) for columns in self._split(names, points, {})
        ]

    def mentioned(self, name: str) -> set[int]:
        """The positions of a parent's values that some clause asks for."""
        return {k for clauses in self.clauses.values() for c in clauses if c.parent == name for k in c.allowed}

    def _split(
        self, names: list[str], points: Mapping[str, np.ndarray], chosen: dict[str, np.ndarray]
    ) -> Iterator[dict[str, np.ndarray]]:
        if not names:
            yield chosen
            return
        name, rest = names[0], names[1:]
        if all(c.parent in chosen and int(chosen[c.parent][0]) in c.allowed for c in self.clauses[name]):
            for part in self._alike(name, points[name]):
                yield from self._split(rest, points, {**chosen, name: part})
        else:
            yield from self._split(rest, points, chosen)

    def _alike(self, name: str, column: np.ndarray) -> list[np.ndarray]:
        """A parent's entries in groups that every clause treats alike; what is nobody's parent stays whole."""
        asking = [c for clauses in self.clauses.values() for c in clauses if c.parent == name]
        if not asking or not len(column):
            return [column]
        answers = np.stack([np.isin(column, clause.allowed) for clause in asking])
        _, first, group = np.unique(answers, axis=1, return_index=True, return_inverse=True)
        return [column[group.ravel() == g] for g in np.argsort(first)]


def _clauses(name: str, parameters: Mapping[str, Parameter]) -> Iterator[Clause]:
    for parent, wanted in (parameters[name].when or {}).items():
        if parent not in parameters:
            known = ", ".join(map(repr, parameters))
            raise SpaceError(f"{name!r}: when must name hyperparameters of the space ({known}); got {parent!r}")
        parameter = parameters[parent]
        if not isinstance(parameter.axis, Cells):
            raise SpaceError(
                f"{name!r}: a parent must be a Choice, an Int or a Float with a step; {parent!r} is {parameter!r}"
            )
        allowed = tuple(sorted({_position(name, parent, parameter, value) for value in _any_of(parameter, wanted)}))
        if not allowed:
            raise SpaceError(f"{name!r}: when must give {parent!r} at least one value; got {wanted!r}")
        yield Clause(parent, allowed)


def _any_of(parameter: Parameter, wanted: Any) -> list[Any]:
    """The values that a clause lists; a tuple that is itself a value of the parent is one value."""
    if not isinstance(wanted, tuple | list | set | frozenset | range):
        return [wanted]
    if isinstance(parameter, Choice) and isinstance(wanted, tuple) and parameter.index(wanted) is not None:
        return [wanted]
    return list(wanted)


def _position(name: str, parent: str, parameter: Parameter, value: Any) -> int:
    try:
        return int(parameter.encode([value], lambda _: f"{name!r}: when: {parent!r}")[0])
    except ValueError as error:
        raise SpaceError(f"{error}, which it can never be") from None
