"""What packed code asks of a hyperparameter instead of its value: its position among the choices, or a bound."""

from __future__ import annotations

from typing import Any

from vtune.errors import ArgumentError
from vtune.hyper.expressions import LEAF, expression
from vtune.hyper.scalar import Hyper
from vtune.hyper.text import HyperStr

_BOUNDS = {"<=": "le", "<": "lt", ">=": "ge", ">": "gt"}


def choice_index(value: Any) -> Any:
    """The position of a hyperparameter's value among the values of its Choice, as a tracer.

    Takes back the equality guard of the reading, unless Python looked at the string, and marks the name as packed.

    Args:
      value: what `hp.name` gave.

    Returns:
      int32 scalar tracer; None for a plain value, which has no position to trace.

    Raises:
      ArgumentError: a number that is not itself a Choice of the space (an Int, or the result of arithmetic).
    """
    if isinstance(value, HyperStr):
        reading = value.reading
        position = reading.body.position(reading.name)
        reading.packed = True
        reading.body.session.mark_packed(reading.name)
        return position
    if not isinstance(value, Hyper):
        return None
    session, part = value.body.session, value.expression
    if part.op != LEAF or part.args[0] not in session.choices:
        raise ArgumentError(f"a position needs a hyperparameter that is a Choice; got {value!r}")
    session.mark_packed(part.args[0])
    return value.body.position(part.args[0])


def packed_bound(value: Any, bound: str, cap: float) -> Any:
    """Rely on an inequality only: the program serves every config that satisfies it.

    Args:
      value: a Hyper, or a plain number when a trial is trained alone.
      bound: "<=", "<", ">=" or ">".
      cap: the number on the right of it.

    Returns:
      The tracer of the value; a plain number as it is.

    Raises:
      ArgumentError: an unknown bound, or one that the traced config itself does not satisfy.
    """
    if bound not in _BOUNDS:
        raise ArgumentError(f"a bound must be one of {', '.join(_BOUNDS)}; got {bound!r}")
    if not isinstance(value, Hyper):
        if not expression(_BOUNDS[bound], 0, cap).function(value, cap):
            raise ArgumentError(f"packed code needs a value {bound} {cap}; got {value}")
        return value
    inequality = expression(_BOUNDS[bound], value.expression, cap)
    if not value.body.session.value(inequality):
        raise ArgumentError(f"packed code needs {value!r} {bound} {cap}; the traced config does not satisfy it")
    value.body.ask("packed", "bool", inequality)
    for name in value.expression.names:
        value.body.session.mark_packed(name)
    return value.tracer
