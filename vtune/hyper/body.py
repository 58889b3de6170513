"""A body: one call of a function of a program inside one trace, and the only holder of tracers."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.hyper.expressions import COMPARISONS, LEAF, Expression, expression, in_order, leaf
from vtune.hyper.layout import Columns
from vtune.hyper.scalar import Hyper, StaleHyperError, on_arrays
from vtune.hyper.text import HyperStr, Reading

if TYPE_CHECKING:
    from vtune.hyper.session import Session


@dataclass(eq=False)
class Body:
    """What a bound function works with from its call to its return.

    Attributes:
      session: holds what the functions of the program share.
      columns: the scalars of one lane, tracers; None once the body has ended.
    """

    session: Session
    columns: Columns | None
    _scalars: dict[str, Hyper] = field(default_factory=dict)
    _holders: list[weakref.ref[Hyper]] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether its tracers may still be used."""
        return self.columns is not None

    def close(self) -> None:
        """Drop every tracer: caches may keep Hypers alive."""
        for reference in self._holders:
            hyper = reference()
            if hyper is not None:
                hyper.drop_tracers()
        self.columns = None
        self._holders.clear()
        self._scalars.clear()

    def hold(self, hyper: Hyper) -> None:
        """Remember a Hyper that keeps a tracer of its own."""
        self._holders.append(weakref.ref(hyper))

    def read(self, name: str) -> Any:
        """What user code gets for `hp.name`."""
        session, part = self.session, leaf(name)
        if name in session.demotion.plain:
            return session.ask("equal", "value", part)
        if session.numeric(name):
            if len({type(value) for value in session.choices.get(name, ())}) > 1:
                session.ask("equal", "type", part)
            if name in session.demotion.raw:
                return self._open_columns()["values"][name]
            return self._scalars.setdefault(name, Hyper(self, part))
        value = session.ask("equal", "value", part)
        if not isinstance(value, str):
            return value
        reading = Reading(name, self)
        session.read_text(reading)
        return HyperStr(value, reading)

    def ask(self, kind: str, function: str, part: Expression, argument: str | None = None) -> Any:
        """Let the exemplar answer; see `Session.ask`."""
        self._open_columns()
        return self.session.ask(kind, function, part, argument)

    def derive(self, op: str, operands: tuple[Any, ...]) -> Hyper:
        """The scalar that an operation on Hypers of this body and constants gives."""
        self._open_columns()
        part = expression(op, *[operand.expression if isinstance(operand, Hyper) else operand for operand in operands])
        self._settle_kind(part, operands)
        if self.session.has_column(part):
            return Hyper(self, part)
        return Hyper(self, part, self._on_arrays(part, [_tracer(operand) for operand in operands]))

    def _settle_kind(self, part: Expression, operands: tuple[Any, ...]) -> None:
        """A power of integers is an integer or a float by the sign of the exponent: let it be guarded."""
        if part.op == "pow" and isinstance(operands[1], Hyper):
            values = [self.session.value(arg) if isinstance(arg, Expression) else arg for arg in part.args]
            if all(isinstance(value, int) for value in values):
                self.session.ask("bool", "bool", expression("ge", operands[1].expression, 0))

    def _on_arrays(self, part: Expression, tracers: list[Any]) -> Any:
        if part.op == "pow" and isinstance(self.session.value(part), float):
            tracers = [tracers[0] * 1.0, tracers[1]]
        return on_arrays(part.op)(*tracers)

    def tracer(self, part: Expression) -> Any:
        """The tracer of an expression without one of its own."""
        columns = self._open_columns()
        if part.op == LEAF:
            return columns["values"][part.args[0]]
        if self.session.has_column(part):
            return self.session.column(part, columns)
        made: dict[Expression, Any] = {}
        for inner in in_order([part]):  # the last spare column went meanwhile
            if inner.op == LEAF:
                made[inner] = columns["values"][inner.args[0]]
            else:
                made[inner] = self._on_arrays(
                    inner, [made[arg] if isinstance(arg, Expression) else arg for arg in inner.args]
                )
        return made[part]

    def position(self, name: str) -> Any:
        """The tracer of the position of a Choice's value among its values."""
        return self._open_columns()["choices"][name]

    def truth(self, part: Expression) -> bool:
        """Whether the expression is a truth value."""
        return part.op in COMPARISONS or isinstance(self.session.value(part), bool | np.bool_)

    def _open_columns(self) -> Columns:
        if self.columns is None:
            raise StaleHyperError(
                "a hyperparameter was used after the trace that it belongs to had ended; read it from hp inside "
                "init, step or evaluate, and keep no object that holds it in a global or on self"
            )
        return self.columns


def _tracer(operand: Any) -> Any:
    return operand.tracer if isinstance(operand, Hyper) else operand
