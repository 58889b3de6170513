"""What packed code asks of a hyperparameter instead of its value: its position among the choices, or a bound."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.hyper.expressions import LEAF, expression, leaf
from vtune.hyper.scalar import Hyper
from vtune.hyper.text import HyperStr

_BOUNDS = {"<=": "le", "<": "lt", ">=": "ge", ">": "gt"}


def choice_index(value: Any) -> Any:
    """The position of a hyperparameter's value among the values of its Choice, as a tracer.

    Takes back the equality guard of the reading, unless Python looked at the string, and marks the name as packed.

    Args:
      value: what `hp.name` gave.

    Returns:
      int32 scalar tracer; None for a plain value and for a name that the program does not pack: use the value itself.

    Raises:
      ArgumentError: a number that is not itself a Choice of the space (an Int, or the result of arithmetic).
    """
    if isinstance(value, HyperStr):
        reading = value.reading
        if not reading.body.session.packing.packs(reading.name):
            return None
        position = reading.body.position(reading.name)
        reading.packed = True
        reading.body.session.mark_packed(reading.name)
        return position
    if not isinstance(value, Hyper):
        return None
    session, part = value.body.session, value.expression
    if part.op != LEAF or part.args[0] not in session.choices:
        raise ArgumentError(f"a position needs a hyperparameter that is a Choice; got {value!r}")
    if not session.packing.packs(part.args[0]):
        return None
    session.mark_packed(part.args[0])
    return value.body.position(part.args[0])


def keep_choice(value: Any) -> None:
    """Note that a packed choice says what the arrays of a state mean: a trial cannot change it while it trains.

    Args:
      value: what `hp.name` gave, for which `choice_index` gave a tracer.
    """
    if isinstance(value, HyperStr):
        value.reading.body.session.lasting.add(value.reading.name)
    else:
        value.body.session.lasting |= value.expression.names


def choice_values(value: Any) -> tuple[Any, ...] | None:
    """The values of the Choice that a hyperparameter comes from, in the order of `choice_index`; None for others."""
    if isinstance(value, HyperStr):
        return value.reading.body.session.choices[value.reading.name]
    if isinstance(value, Hyper) and value.expression.op == LEAF:
        return value.body.session.choices.get(value.expression.args[0])
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """The length of an axis that may be padded.

    Attributes:
      value: the true length: an int, or an int32 tracer [] of the current trace.
      cap: the length of the axis as it is stored.
      hyper: where the value comes from; None for a plain length.
    """

    value: Any
    cap: int
    hyper: Hyper | None = None

    @property
    def packed(self) -> bool:
        """Whether the axis is padded."""
        return self.hyper is not None

    @property
    def mask(self) -> Any:
        """True for what is not padding, bool[cap]."""
        return jnp.arange(self.cap) < self.value


def packed_size(value: Any) -> Size:
    """The length of an axis, padded to the largest one of the program where it is a hyperparameter.

    Args:
      value: an int, or a Hyper: a hyperparameter or whole-number arithmetic on some.

    Returns:
      A `Size`. It is not packed where Python must know the length: for an int, and for hyperparameters that the
      program does not pack, which are then guarded by equality.

    Raises:
      TypeError: no whole number.
      ArgumentError: a hyperparameter of the expression has values that are no whole numbers.

    >>> packed_size(8)
    Size(value=8, cap=8, hyper=None)
    """
    if isinstance(value, Hyper) and value.body.session.packs(value.expression):
        cap = value.body.session.cap(value.expression)
        return Size(jnp.asarray(value.tracer, jnp.int32), cap, value)
    length = operator.index(value)
    return Size(length, length)


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


def packed_at_least(value: Any, least: int) -> bool:
    """Whether a hyperparameter that packed code uses is at least so large: the program serves only configs like it.

    Args:
      value: a Hyper, or a plain number when a trial is trained alone.
      least: the number to compare with.
    """
    if not isinstance(value, Hyper):
        return value >= least
    return value.body.ask("packed", "bool", expression("ge", value.expression, least))


def chosen(value: Any, *options: str) -> Any:
    """Whether a hyperparameter is one of these strings, as a number of the program.

    Args:
      value: what `hp.name` gave.
      *options: strings, of which some may not be among the values of the Choice.

    Returns:
      A Hyper that is true or false; a bool for a plain value, and where no value of the Choice is an option.
    """
    index, values = choice_index(value), choice_values(value)
    if index is None or values is None:
        return value in options
    positions = [position for position, each in enumerate(values) if each in options]
    if not positions:
        return False
    body, name = value.reading.body, leaf(value.reading.name)
    parts = [expression("eq", name, values[position]) for position in positions]
    any_of = functools.reduce(lambda left, right: expression("or", left, right), parts)
    return Hyper(body, any_of, jnp.isin(index, jnp.array(positions)))
