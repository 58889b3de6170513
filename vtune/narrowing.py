"""A smaller space around what worked."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.driver.told import told
from vtune.errors import ArgumentError, ResultError
from vtune.records import Config
from vtune.space import Choice, Space
from vtune.space.axes import Cells
from vtune.space.parameter import Parameter

if TYPE_CHECKING:
    from vtune.results import SavedStudy

TRIM = 0.05
"""Share of the good trials that a range may leave out at either end."""

LEAST = 0.02
"""Part of its former self, on its own scale, that a continuous range keeps at least."""


def narrow(study: SavedStudy, keep: float = 0.2, *, space: Space | None = None) -> Space:
    """Gives a smaller space around what worked, to search again more finely.

    Ranges shrink to where the best trials lie, on their own scale, but for a twentieth of them at either end; choices
    that none of the best made are dropped. The best configuration stays inside, conditions and constraints stay, and
    defaults move inside. A hyperparameter that can no longer be active stays readable as its default: its one value.

    Args:
      study: a study of which some trials are complete, loaded or not.
      keep: share of the trials with a score that count as good, above 0 and up to 1; with several metrics, by fronts.
      space: the study's space, needed only for a loaded study whose space has constraints or objects among its choices,
        since functions are not stored.

    Returns:
      A space with the same names.

    Raises:
      ArgumentError: a share that cannot be, a space that is not the study's, constraints whose functions are unknown.
      ResultError: no trial is complete.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> space = vtune.Space(x=vtune.Float(1e-6, 1.0, log=True), kind=vtune.Choice("a", "b"))
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.abs(jnp.log10(hp.x) + 3) + (hp.kind == "b") * 9.0})
      >>> study = vtune.tune(task, space, trials=64, lanes=8, progress="off")
      >>> smaller = vtune.narrow(study, keep=0.2)
      >>> 1e-5 < smaller["x"].low < 1e-3 < smaller["x"].high < 1e-1, smaller["kind"].values
      (True, ('a',))
    """
    if isinstance(keep, bool) or not isinstance(keep, int | float) or not 0 < keep <= 1:
        raise ArgumentError(f"keep must be a share above 0 and up to 1; got {keep!r}")
    whole = study.space if space is None else space
    if whole != study.space:
        raise ArgumentError(f"space must be that of study {study.name!r}, {study.space!r}; got {whole!r}")
    functions = [constraint.function for constraint in whole.constraints]
    if None in functions:
        names = ", ".join(constraint.name for constraint in whole.constraints)
        raise ArgumentError(
            f"the functions of constraints are not stored ({names}): narrow(study, space=...) with the space itself"
        )
    ranked = told(study).ranked(whole)
    if not ranked:
        raise ResultError(f"there must be trials with a score to narrow the space of study {study.name!r} around")
    good = ranked[: math.ceil(keep * len(ranked))]
    return _around(whole, good, functions)


def _around(space: Space, good: Sequence[Config], functions: Sequence[Any]) -> Space:
    """The space around configs [>= 1] of it, the best one first."""
    made: dict[str, Parameter] = {}
    for name, parameter in space.items():
        values = [config[name] for config in good if name in config]
        made[name] = _narrowed(parameter, values) if values else parameter
    left = {name: _possible(parameter.when or {}, space, made) for name, parameter in made.items()}

    def alive(name: str) -> bool:
        return all(values and alive(parent) for parent, values in left[name].items())

    parameters = {
        name: (_copy(parameter, left[name]) if left[name] else parameter) if alive(name) else Choice(parameter.default)
        for name, parameter in made.items()
    }
    return Space(constraints=functions, **parameters)


def _narrowed(parameter: Any, values: Sequence[Any]) -> Parameter:
    """A hyperparameter around its values among the good configs, the best one's first."""
    if isinstance(parameter, Choice):
        taken = {parameter.index(value) for value in values}
        kept = [value for place, value in enumerate(parameter.values) if place in taken]
        default = parameter.default if parameter.index(parameter.default) in taken else values[0]
        return Choice(*kept, default=default, when=parameter.when)
    axis = parameter.axis
    units = axis.to_unit(parameter.encode(values, str))
    ends = np.append(np.quantile(units, [TRIM, 1 - TRIM]), units[0])
    low, high = ends.min(), ends.max()
    if not isinstance(axis, Cells):
        middle = min(max((low + high) / 2, LEAST / 2), 1 - LEAST / 2)
        low, high = min(low, middle - LEAST / 2), max(high, middle + LEAST / 2)
    low, high = parameter.decode(axis.from_unit(np.array([low, high])))
    default = min(max(parameter.default, low), high)
    return dataclasses.replace(parameter, low=low, high=high, default=default)


def _possible(when: Mapping[str, Any], space: Space, made: Mapping[str, Parameter]) -> dict[str, list[Any]]:
    """Of each parent's values in a condition those that it can still have, as the parent itself would write them."""
    found = {}
    for parent, wanted in when.items():
        several = isinstance(wanted, tuple | list | set | frozenset | range) and not _has(made[parent], wanted)
        own = [_written(space[parent], value) for value in (wanted if several else (wanted,))]
        found[parent] = [value for value in own if _has(made[parent], value)]
    return found


def _written(parameter: Parameter, value: Any) -> Any:
    """A value as the hyperparameter gives it: 0.1 + 0.2 is the 0.3 of one with steps of 0.1."""
    return parameter.decode(parameter.encode([value], str))[0]


def _has(parameter: Parameter, value: Any) -> bool:
    try:
        parameter.encode([value], str)
    except ValueError:
        return False
    return True


def _copy(parameter: Any, when: Mapping[str, Any]) -> Parameter:
    if isinstance(parameter, Choice):
        return Choice(*parameter.values, default=parameter.default, when=when)
    return dataclasses.replace(parameter, when=when)
