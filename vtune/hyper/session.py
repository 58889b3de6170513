"""A session: what one program learns about hyperparameters while it is traced.

Guards, expressions and the layout of the columns belong to the session and are shared by all functions of a program.
Tracers belong to a body: one call of one of these functions inside one trace. They are dropped when the body ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import ArgumentError
from vtune.hyper.body import Body
from vtune.hyper.config import HP
from vtune.hyper.expressions import (
    LEAF,
    Expression,
    Raised,
    as_raised,
    compute,
    expression,
    in_order,
    leaf,
    plain_value,
)
from vtune.hyper.guards import Guard, ask, decided_by
from vtune.hyper.layout import Columns, Layout
from vtune.hyper.packing import Packing, largest
from vtune.hyper.places import user_place
from vtune.hyper.scalar import plain
from vtune.hyper.text import Reading

if TYPE_CHECKING:
    from vtune.space import Space

_SMALLEST_INT, _LARGEST_INT = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class Demotion:
    """Hyperparameters that user code gets as less than a Hyper, because tracing or lowering failed with Hypers.

    Attributes:
      plain: names that read as plain Python values, guarded by equality: one program for each value.
      raw: names of numbers that read as bare tracers: traced, but Python cannot ask for their value.
      reason: the error that the program gave without this.
    """

    plain: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()
    reason: str = ""

    def __bool__(self) -> bool:
        return bool(self.plain or self.raw)

    def __str__(self) -> str:
        parts = [f"{name}: plain Python value, one program for each" for name in sorted(self.plain)]
        parts += [f"{name}: bare tracer" for name in sorted(self.raw)]
        because = f" (otherwise: {self.reason})" if self.reason else ""
        return "; ".join(parts) + because


@dataclass(frozen=True)
class _Kind:
    """How a numeric value enters a program."""

    column: str
    dtype: str | None = None
    truth: bool = False


def _kind(value: Any) -> _Kind | None:
    """None for what no column can hold."""
    if isinstance(value, bool | np.bool_):
        return _Kind("ints", truth=True)
    if isinstance(value, np.floating | np.integer):
        column = "floats" if isinstance(value, np.floating) else "ints"
        return _Kind(column, str(jax.dtypes.canonicalize_dtype(value.dtype)))
    if isinstance(value, int):
        return _Kind("ints") if _SMALLEST_INT <= value <= _LARGEST_INT else None
    return _Kind("floats") if isinstance(value, float) else None


class Session:
    """Hyperparameters of one program while it is traced.

    Args:
      exemplar: a filled config, whose values answer when Python asks.
      space: the space that it comes from.
      demotion: which hyperparameters are not to be Hypers.
      packing: which hyperparameters packed code may trace, and between which bounds.
      spare_floats: how many derived floats, such as `1 - hp.b2`, the host computes in float64 for every config.
      spare_ints: the same for integers and truth values. Further ones are computed in the program.

    Raises:
      ArgumentError: the exemplar has no value for some name.

    >>> from vtune.space import Float, Int, Space
    >>> session = Session({"lr": 0.1, "depth": 2}, Space(lr=Float(0.0, 1.0), depth=Int(1, 4)))
    >>> def train(hp, x):
    ...     for _ in range(hp.depth):
    ...         x = x * (1 - hp.lr)
    ...     return x
    >>> lanes = jax.vmap(session.bind(train), in_axes=(0, None))
    >>> program = jax.jit(lanes).lower(session.abstract_columns(2), 8.0).compile()
    >>> columns = session.layout.encode([{"lr": 0.5, "depth": 2}, {"lr": 0.75, "depth": 2}])
    >>> program(columns, 8.0).tolist(), session.kinds(), session.guards[0].question
    ([2.0, 0.5], {'lr': 'traced', 'depth': 'guarded'}, 'hp.depth as an integer')
    """

    def __init__(
        self,
        exemplar: Mapping[str, Any],
        space: Space,
        *,
        demotion: Demotion = Demotion(),
        packing: Packing = Packing(),
        spare_floats: int = 48,
        spare_ints: int = 24,
    ) -> None:
        missing = [name for name in space if name not in exemplar]
        if missing:
            raise ArgumentError(
                f"the exemplar of a session must be a filled config: a value for every name of the space; "
                f"got {dict(exemplar)}, without {', '.join(missing)}"
            )
        self.exemplar = {name: plain_value(exemplar[name]) for name in space}
        self.demotion = demotion
        self.packing = packing
        self._space = space
        listed = {name: getattr(space[name], "values", None) for name in space}
        self.choices: dict[str, tuple[Any, ...]] = {
            name: values for name, values in listed.items() if values is not None
        }
        self._guards: dict[tuple[Any, ...], Guard] = {}
        self._values: dict[Expression, Any] = {}
        self._slots: dict[str, dict[Expression, int]] = {"floats": {}, "ints": {}}
        self._spare = {"floats": spare_floats, "ints": spare_ints}
        self._dtypes = {"floats": jnp.result_type(float).name, "ints": jnp.result_type(int).name}
        self._readings: dict[str, list[Reading]] = {}
        self.packed: set[str] = set()
        self.lasting: set[str] = set()

    def numeric(self, name: str) -> bool:
        """Whether the exemplar's value is a number, and not a truth value."""
        value = self.exemplar[name]
        return isinstance(value, int | float) and not isinstance(value, bool)

    def abstract_columns(self, lanes: int | None) -> Columns:
        """Shapes and types of the hyperparameter columns: what a program is traced with.

        Args:
          lanes: length of the columns; None for the scalars of one lane.

        Returns:
          The tree that `Layout.encode` gives, of weakly typed `jax.ShapeDtypeStruct`: like Python numbers,
          hyperparameters do not widen arrays of fewer bits.
        """
        shape = () if lanes is None else (lanes,)

        def abstract(dtype: str) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype, weak_type=True)

        return {
            "values": {name: abstract(dtype) for name, dtype in self._value_dtypes()},
            "choices": {name: abstract("int32") for name in self.choices},
            "floats": (abstract(self._dtypes["floats"]),) * self._spare["floats"],
            "ints": (abstract(self._dtypes["ints"]),) * self._spare["ints"],
        }

    def _value_dtypes(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (name, self._dtypes["ints" if isinstance(value, int) else "floats"])
            for name, value in self.exemplar.items()
            if self.numeric(name)
        )

    def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give a function its hyperparameters.

        Args:
          function: called as function(hp, *args); several functions may be bound to one session.

        Returns:
          g(columns, *args), to be called inside a trace with the scalars of one lane. Its results hold no Hyper, and no
          tracer of the hyperparameters outlives the call.
        """

        @functools.wraps(function)
        def bound(columns: Columns, *args: Any) -> Any:
            body = Body(self, columns)
            try:
                return plain(function(HP(body), *args))
            finally:
                body.close()

        return bound

    @property
    def layout(self) -> Layout:
        """What the columns hold, as far as it is known by now: take it after tracing."""
        return Layout(
            self._value_dtypes(),
            tuple(self.choices.items()),
            tuple(self._slots["floats"]),
            tuple(self._slots["ints"]),
            self._spare["floats"],
            self._spare["ints"],
            self._dtypes["floats"],
            self._dtypes["ints"],
        )

    @property
    def guards(self) -> tuple[Guard, ...]:
        """What a config must answer like the exemplar, in the order asked; what packed code took back is left out."""
        taken = {
            leaf(name)
            for name, readings in self._readings.items()
            if name in self.packed and not any(reading.stands for reading in readings)
        }
        return tuple(
            guard for guard in self._guards.values() if not (guard.kind == "equal" and guard.expression in taken)
        )

    def kinds(self) -> dict[str, str]:
        """Hyperparameter -> "guarded" (it decides which program a config needs), "packed" or "traced"."""
        guards = self.guards

        def kind(name: str) -> str:
            if decided_by(guards, name):
                return "guarded"
            return "packed" if name in self.packed else "traced"

        return {name: kind(name) for name in self.exemplar}

    def mark_packed(self, name: str) -> None:
        """Note that packed code uses the hyperparameter in its traced form."""
        self.packed.add(name)

    def packs(self, part: Expression) -> bool:
        """Whether packed code may trace an expression: it is a whole number, and all that it reads may be packed."""
        return isinstance(self.value(part), int) and all(map(self.packing.packs, part.names))

    def cap(self, part: Expression) -> int:
        """The largest value of an expression over the configs that the program is for; asks the bounds as guards."""
        cap, sure = largest(part, self._space, self.exemplar, self.packing)
        for name in sorted(part.names):
            low, high = self.packing.bounds(name, self._space[name])
            if low is not None:
                self.ask("packed", "bool", expression("ge", leaf(name), low))
            self.ask("packed", "bool", expression("le", leaf(name), high))
            self.mark_packed(name)
        if not sure:
            self.ask("packed", "bool", expression("le", part, cap))
        return cap

    def read_text(self, reading: Reading) -> None:
        """Note that a string was read."""
        self._readings.setdefault(reading.name, []).append(reading)

    def value(self, part: Expression) -> Any:
        """The exemplar's value of an expression, `Raised` if Python cannot compute it."""
        if part not in self._values:
            with np.errstate(all="ignore"):
                for inner in in_order([part]):
                    if inner not in self._values:
                        self._values[inner] = self._compute(inner)
        return self._values[part]

    def _compute(self, part: Expression) -> Any:
        if part.op == LEAF:
            return self.exemplar[part.args[0]]
        values = [self._values[arg] if isinstance(arg, Expression) else arg for arg in part.args]
        return compute(part, values, as_raised)

    def ask(self, kind: str, function: str, part: Expression, argument: str | None = None) -> Any:
        """The exemplar's answer to a question, recorded as a guard; raises what Python raises."""
        key = (kind, function, part, argument)
        answer = ask(function, self.value(part), argument)
        raised = isinstance(answer, Raised)
        if key not in self._guards:
            outcome, exception = (None, type(answer.error)) if raised else (answer, None)
            self._guards[key] = Guard(kind, function, part, outcome, exception, argument, *user_place())
        if raised:
            raise answer.error
        return answer

    def has_column(self, part: Expression) -> bool:
        """Whether the host computes the expression: the exemplar has a value for it and a spare column is free."""
        kind = _kind(self.value(part))
        if kind is None:
            return False
        slots = self._slots[kind.column]
        return part in slots or len(slots) < self._spare[kind.column]

    def column(self, part: Expression, columns: Columns) -> Any:
        """The tracer of an expression that the host computes, of the type that the Python or NumPy value has in JAX."""
        kind = _kind(self.value(part))
        if kind is None:
            raise ArgumentError(f"no column can hold {part}")
        slots = self._slots[kind.column]
        tracer = columns[kind.column][slots.setdefault(part, len(slots))]
        if kind.truth:
            return tracer != 0
        return tracer if kind.dtype is None else jax.lax.convert_element_type(tracer, kind.dtype)
