"""The search space: named hyperparameters, and batches of configurations to and from arrays, the unit cube and JSON."""

from __future__ import annotations

import json
import keyword
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from vtune.errors import ArgumentError, ConfigError, SpaceError
from vtune.records import Config
from vtune.space.axes import Line
from vtune.space.choice import Choice
from vtune.space.conditions import Branch, Conditions
from vtune.space.constraints import Constraint, Misses, named
from vtune.space.parameter import Parameter
from vtune.space.ranges import Float, Int

RESERVED = frozenset({"id", "state", "step", "score", "origin", "trial"})
"""Columns of a study's frames, which no hyperparameter may be called."""

_STORED = {"version", "parameters", "constraints"}

_KINDS: dict[str, type[Parameter]] = {kind.kind: kind for kind in (Float, Int, Choice)}


class Space(Mapping[str, Parameter]):
    """What may vary: hyperparameters by name, under conditions (`when=`) and constraints.

    A config is a plain dict from name to Python value in which hyperparameters that are not active are absent; a filled
    config has the defaults of those in their place. Spaces are immutable, and equal if their structure is.

    Args:
      constraints: a function or several, filled config -> bool; configurations for which one says False are never
        proposed.
      **parameters: name -> `Float`, `Int` or `Choice`. Names are identifiers without a leading underscore.

    Raises:
      SpaceError: no hyperparameters, names that cannot be used, conditions that cannot be.

    Example:
      >>> space = Space(
      ...     lr=Float(1e-5, 1e-1, log=True),
      ...     optimizer=Choice("momentum", "adam"),
      ...     momentum=Float(0.5, 0.9, when={"optimizer": "momentum"}),
      ... )
      >>> space.names
      ('lr', 'optimizer', 'momentum')
      >>> space.from_unit([[0.5, 0.9, float("nan")]])
      [{'lr': 0.001, 'optimizer': 'adam'}]
      >>> space.fill([{"lr": 0.001, "optimizer": "adam"}])
      [{'lr': 0.001, 'optimizer': 'adam', 'momentum': 0.7}]
    """

    def __init__(self, *, constraints: Any = (), **parameters: Parameter) -> None:
        if not parameters:
            raise SpaceError("a space must have at least one hyperparameter; got none")
        for name, parameter in parameters.items():
            _check_name(name)
            if not isinstance(parameter, Parameter):
                raise SpaceError(f"{name!r} must be a Float, an Int or a Choice; got {parameter!r}")
        self._parameters = dict(parameters)
        self._conditions = Conditions(self._parameters)
        self._constraints = named(constraints)
        self.names: tuple[str, ...] = tuple(parameters)
        self._defaults = {name: parameter.default for name, parameter in parameters.items()}

    # -- what it holds

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    @property
    def dim(self) -> int:
        """Number of hyperparameters, which is the dimension of the unit cube."""
        return len(self.names)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints by name; those of a space that was read back may lack their function."""
        return self._constraints

    @property
    def continuous(self) -> frozenset[str]:
        """Names of the Floats with neither a step nor a single value."""
        return frozenset(name for name, parameter in self.items() if parameter.size is None)

    @cached_property
    def size(self) -> int | None:
        """Number of different configs, constraints left aside; None if a Float is continuous.

        Example:
          >>> Space(a=Choice("x", "y"), b=Int(1, 3, when={"a": "x"})).size
          4
        """
        if self.continuous:
            return None
        points, weights = {}, {}
        for name, parameter in self.items():
            count = parameter.size or 1
            mentioned = sorted(self._conditions.mentioned(name))
            rest = [k for k in range(len(mentioned) + 1) if k not in mentioned][:1] if len(mentioned) < count else []
            points[name] = np.array(mentioned + rest)
            weights[name] = dict.fromkeys(mentioned, 1) | dict.fromkeys(rest, count - len(mentioned))
        return math.prod(
            sum(
                math.prod(sum(weights[name][k] for k in column.tolist()) for name, column in branch.columns.items())
                for branch in branches
            )
            for branches in self.branches(points)
        )

    def branches(self, points: Mapping[str, np.ndarray]) -> list[list[Branch]]:
        """The space over a few column entries of each hyperparameter, as a product of unions of products.

        Each list holds the branches of some hyperparameters that conditions connect. Every configuration takes one
        branch of every list, and one entry of every column in it.

        Args:
          points: name -> column entries [k].
        """
        return [self._conditions.branches(component, points) for component in self._conditions.components()]

    # -- configurations

    def sample(self, n: int, rng: np.random.Generator) -> list[Config]:
        """Draws configurations independently, evenly over the unit cube where the constraints hold.

        Args:
          n: how many.
          rng: the generator to draw from.

        Returns:
          n configs.

        Raises:
          SpaceError: a long run of draws failed the constraints; says which ones.
          ArgumentError: not a number of configs, not a generator.
        """
        if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 0:
            raise ArgumentError(f"n must be a whole number >= 0; got {n!r}")
        if not isinstance(rng, np.random.Generator):
            raise ArgumentError(f"rng must be a NumPy Generator, as numpy.random.default_rng(0) is; got {rng!r}")
        if not self._constraints:
            return self.from_unit(rng.random((n, self.dim)))
        misses = Misses(self._constraints)
        configs: list[Config] = []
        while len(configs) < n:
            drawn = self.from_unit(rng.random((max(n - len(configs), 256), self.dim)))
            configs += [config for config, kept in zip(drawn, misses.sieve(self.fill(drawn)), strict=True) if kept]
        return configs[:n]

    def from_unit(self, u: Any) -> list[Config]:
        """Points of the unit cube -> configurations. Every value of an Int, a step or a Choice has an equal share.

        Args:
          u: units [n, dim] from 0 to 1; NaN is allowed where a hyperparameter is not active.

        Returns:
          n configs; constraints are not looked at.

        Raises:
          ConfigError: a wrong shape, units outside [0, 1], NaN for an active hyperparameter.
        """
        u = np.asarray(u, dtype=np.float64)
        if u.ndim != 2 or u.shape[1] != self.dim:
            raise ConfigError(f"units must have shape [n, {self.dim}]; got {list(u.shape)}")
        missing = np.isnan(u)
        if not np.all(missing | ((u >= 0) & (u <= 1))):
            row, j = np.argwhere(~(missing | ((u >= 0) & (u <= 1))))[0]
            raise ConfigError(f"units must lie from 0 to 1; got {u[row, j]} for {self.names[j]!r} in row {row}")
        known = np.where(missing, 0.5, u)
        columns = {name: self[name].axis.from_unit(known[:, j]) for j, name in enumerate(self.names)}
        masks = self._conditions.masks(columns)
        for j, name in enumerate(self.names):
            needed = missing[:, j] & masks.get(name, True)
            if needed.any():
                raise ConfigError(f"units must be numbers where active; got NaN for {name!r} in row {needed.argmax()}")
        return self._assemble(columns, masks, len(u))

    def snap(self, u: Any) -> np.ndarray:
        """Points of the unit cube -> where their configurations lie in it: `to_unit(from_unit(u))` without the configs.

        Args:
          u: units [n, dim] from 0 to 1; NaN counts as one half.

        Returns:
          Units [n, dim], discrete values at the centre of their share, NaN where a hyperparameter is not active.

        Example:
          >>> Space(c=Choice("a", "b"), n=Int(1, 4, when={"c": "a"})).snap([[0.1, 0.3], [0.9, 0.3]]).tolist()
          [[0.25, 0.375], [0.75, nan]]
        """
        known = np.nan_to_num(np.asarray(u, dtype=np.float64), nan=0.5)
        columns = {name: self[name].axis.from_unit(known[:, j]) for j, name in enumerate(self.names)}
        snapped = np.stack([self[name].axis.to_unit(columns[name]) for name in self.names], axis=1)
        for name, mask in self._conditions.masks(columns).items():
            snapped[~mask, self.names.index(name)] = np.nan
        return snapped

    def to_unit(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Configurations -> points of the unit cube; discrete values go to the centre of their share.

        Args:
          configs: n configs.

        Returns:
          Units [n, dim], float64, NaN where a hyperparameter is not active.

        Raises:
          ConfigError: a config that does not lie in the space.
        """
        columns, masks = self._columns(configs)
        u = np.stack([self[name].axis.to_unit(columns[name]) for name in self.names], axis=1)
        for j, name in enumerate(self.names):
            if name in masks:
                u[~masks[name], j] = np.nan
        return u

    def unfold(self, value_of: Callable[[str], Any]) -> Config:
        """Makes one config by asking for the value of what is active, parents before children.

        Args:
          value_of: name -> value.

        Returns:
          A config; constraints are not looked at.

        Raises:
          ConfigError: a value that the hyperparameter cannot have. Besides, whatever `value_of` raises.

        Example:
          >>> space = Space(c=Choice("a", "b"), x=Float(0.0, 1.0, when={"c": "a"}))
          >>> space.unfold({"c": "b", "x": 0.5}.__getitem__)
          {'c': 'b'}
        """
        columns: dict[str, np.ndarray] = {}
        masks: dict[str, np.ndarray] = {}
        for name in self._conditions.order:
            mask = self._conditions.mask(name, columns, masks)
            if mask is not None:
                masks[name] = mask
            on = mask is None or bool(mask[0])
            columns[name] = self[name].encode([value_of(name)], partial(_called, name)) if on else np.zeros(1)
        return self._assemble(columns, masks, 1)[0]

    def from_columns(self, columns: Mapping[str, np.ndarray]) -> list[Config]:
        """Columns -> configurations; entries of hyperparameters that are not active are left out.

        Args:
          columns: name -> values of a continuous Float, or indices of anything else, [n].
        """
        return self._assemble(columns, self._conditions.masks(columns), len(columns[self.names[0]]))

    def satisfies(self, configs: Sequence[Config]) -> np.ndarray:
        """Whether each config [n] satisfies all constraints -> bool [n]."""
        kept = np.ones(len(configs), dtype=bool)
        filled = self.fill(configs)
        for constraint in self._constraints:
            kept &= constraint.holds(filled)
        return kept

    def validate(self, config: Mapping[str, Any]) -> Config:
        """Checks one config and gives it with its values as the space has them: Ints as int, Floats as float.

        Values may also be what `plain` made of them: lists for tuples, labels for objects.

        Raises:
          ConfigError: unknown, missing or inactive hyperparameters, values that cannot be, a constraint that fails.

        Example:
          >>> Space(lr=Float(0.0, 1.0), depth=Int(1, 4)).validate({"depth": 2.0, "lr": 1})
          {'lr': 1.0, 'depth': 2}
        """
        return self.validate_all([config])[0]

    def validate_all(self, configs: Sequence[Mapping[str, Any]]) -> list[Config]:
        """Checks many configs at once, as `validate` does each.

        Args:
          configs: n configs.

        Returns:
          n configs with their values as the space has them.

        Raises:
          ConfigError: one of them does not lie in the space; says which.

        Example:
          >>> Space(depth=Int(1, 4)).validate_all([{"depth": 2.0}, {"depth": 3}])
          [{'depth': 2}, {'depth': 3}]
        """
        columns, masks = self._columns(configs)
        valid = self._assemble(columns, masks, len(configs))
        for constraint in self._constraints:
            for config, holds in zip(valid, constraint.holds(self.fill(valid)), strict=True):
                if not holds:
                    raise ConfigError(f"a config must satisfy constraint {constraint}; got {config!r}")
        return valid

    def fill(self, configs: Sequence[Mapping[str, Any]]) -> list[Config]:
        """Puts the default of every hyperparameter that a config lacks in its place.

        Args:
          configs: n configs of this space.

        Returns:
          n configs with all names, in the order of declaration.

        Raises:
          ArgumentError: a single config in place of a sequence.
        """
        if isinstance(configs, Mapping):
            raise ArgumentError(f"configs must be a sequence of configs; got the one {dict(configs)!r}")
        return [{**self._defaults, **config} for config in configs]

    def plain(self, configs: Sequence[Mapping[str, Any]]) -> list[Config]:
        """Configs of this space as JSON values: tuples as lists, objects by their label; `validate` takes them back."""
        choices = {name: p for name, p in self.items() if isinstance(p, Choice) and p.labels != p.values}
        rows = []
        for config in configs:
            changed = {name: p.labels[p.index(config[name]) or 0] for name, p in choices.items() if name in config}
            rows.append({**config, **changed})
        return rows

    # -- JSON, equality, repr

    def to_json(self) -> dict[str, Any]:
        """The space as JSON values. Objects among choices are kept by label, constraints by name."""
        parameters = []
        for name, parameter in self.items():
            fields = {"name": name, "kind": parameter.kind, **parameter.fields()}
            clauses = self._conditions.clauses[name]
            if clauses:
                fields["when"] = {c.parent: self._allowed(c.parent, c.allowed) for c in clauses}
            parameters.append(fields)
        return {"version": 1, "parameters": parameters, "constraints": [c.name for c in self._constraints]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], constraints: Any = ()) -> Space:
        """Reads what `to_json` wrote.

        Args:
          stored: the JSON values.
          constraints: the functions of the constraints that were stored by name, found by that name. Without them
            the space can be read and configs decoded, but `sample`, `satisfies` and `validate` say what is missing.

        Raises:
          SpaceError: not a stored space, or a function whose name was not stored.
        """
        if not isinstance(stored, Mapping) or stored.get("version") != 1 or not stored.keys() >= _STORED:
            raise SpaceError(f"a stored space must have version 1, parameters and constraints; got {stored!r}")
        given = {constraint.name: constraint for constraint in named(constraints)}
        unknown = set(given) - set(stored["constraints"])
        if unknown:
            raise SpaceError(f"constraints must be those stored ({stored['constraints']}); got {sorted(unknown)}")
        parameters = {}
        for entry in stored["parameters"]:
            fields = dict(entry)
            name, kind = fields.pop("name"), _KINDS.get(fields.pop("kind"))
            if kind is None:
                raise SpaceError(f"{name!r}: kind must be one of {', '.join(_KINDS)}; got {entry['kind']!r}")
            values = [_tuple_of(value) for value in fields.pop("values", ())]
            fields["default"] = _tuple_of(fields["default"])
            if "when" in fields:
                fields["when"] = {parent: _unwrapped(allowed) for parent, allowed in fields["when"].items()}
            parameters[name] = kind(*values, **fields)
        space = cls(**parameters)
        space._constraints = tuple(given.get(name, Constraint(name, None)) for name in stored["constraints"])
        return space

    def __eq__(self, other: object) -> bool:
        return self._canonical == other._canonical if isinstance(other, Space) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __repr__(self) -> str:
        parts = [f"{name}={parameter!r}" for name, parameter in self.items()]
        if self._constraints:
            names = ", ".join(c.name if c.function else f"{c.name} (stored by name only)" for c in self._constraints)
            parts.append(f"constraints=[{names}]")
        return f"Space({', '.join(parts)})"

    @cached_property
    def _canonical(self) -> str:
        return json.dumps(self.to_json())

    def _allowed(self, parent: str, positions: tuple[int, ...]) -> list[Any]:
        parameter = self[parent]
        if isinstance(parameter, Choice):
            return [parameter.labels[k] for k in positions]
        return parameter.decode(np.array(positions))

    # -- columns

    def _columns(self, configs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Configs [n] -> columns and masks [n]; entries where a hyperparameter is not active mean nothing."""
        for config in configs:
            if not isinstance(config, Mapping):
                raise ConfigError(f"a config must map names to values; got {config!r}")
        columns: dict[str, np.ndarray] = {}
        masks: dict[str, np.ndarray] = {}
        active = 0
        for name in self._conditions.order:
            mask = self._conditions.mask(name, columns, masks)
            rows = np.arange(len(configs)) if mask is None else np.flatnonzero(mask)
            active_configs = configs if mask is None else [configs[row] for row in rows.tolist()]
            lacking = next((config for config in active_configs if name not in config), None)
            if lacking is not None:
                raise ConfigError(f"a config must have a value for {name!r}; got {dict(lacking)!r}")
            values = [config[name] for config in active_configs]
            encoded = self[name].encode(values, partial(_where, name, active_configs))
            columns[name] = np.zeros(len(configs), dtype=encoded.dtype)
            if isinstance(self[name].axis, Line):
                columns[name][:] = self[name].default
            columns[name][rows] = encoded
            if mask is not None:
                masks[name] = mask
            active += len(rows)
        if sum(map(len, configs)) != active:
            self._check_surplus(configs, masks)
        return columns, masks

    def _assemble(self, columns: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], n: int) -> list[Config]:
        if not masks:
            values = [self[name].decode(columns[name]) for name in self.names]
            return [dict(zip(self.names, row, strict=True)) for row in zip(*values, strict=True)]
        pattern = np.stack([masks.get(name, np.ones(n, dtype=bool)) for name in self.names], axis=1)
        patterns, group = np.unique(pattern, axis=0, return_inverse=True)
        configs: list[Config] = [{}] * n
        for g, active in enumerate(patterns):
            rows = np.flatnonzero(group.ravel() == g)
            names = [name for name, on in zip(self.names, active, strict=True) if on]
            values = [self[name].decode(columns[name][rows]) for name in names]
            for row, entries in zip(rows.tolist(), zip(*values, strict=True), strict=True):
                configs[row] = dict(zip(names, entries, strict=True))
        return configs

    def _check_surplus(self, configs: Sequence[Mapping[str, Any]], masks: Mapping[str, np.ndarray]) -> None:
        for row, config in enumerate(configs):
            for name in config:
                if name not in self._parameters:
                    known = ", ".join(map(repr, self.names))
                    raise ConfigError(f"a config may have {known}; got {name!r} in {dict(config)!r}")
                if name in masks and not masks[name][row]:
                    must = f"{name!r} must be left out unless {self[name].when!r}"
                    raise ConfigError(f"{must}; got {dict(config)!r}")


def _where(name: str, configs: Sequence[Mapping[str, Any]], row: int) -> str:
    return f"{name!r} of {dict(configs[row])!r}" if len(configs) > 1 else repr(name)


def _called(name: str, row: int) -> str:
    return repr(name)


def _tuple_of(value: Any) -> Any:
    """A JSON value -> the choice that it stands for: lists are tuples."""
    return tuple(map(_tuple_of, value)) if isinstance(value, list) else value


def _unwrapped(allowed: list[Any]) -> Any:
    values = _tuple_of(allowed)
    return values[0] if len(values) == 1 else values


def _check_name(name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise SpaceError(f"names must be identifiers that can follow `hp.`, without a leading underscore; got {name!r}")
    if name in RESERVED:
        raise SpaceError(f"names must differ from the columns of a study ({', '.join(sorted(RESERVED))}); got {name!r}")
