"""Guards: the questions that Python asked about hyperparameters, and the answers that a program relies on.

A program serves exactly the configs that give every question the answer that its exemplar gave. Questions are asked
again on exact Python values, never on values rounded to float32, and of many configs at once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.errors import GuardError
from vtune.hyper.expressions import COMPARISONS, Expression, Raised, as_raised, evaluate, text

if TYPE_CHECKING:
    from vtune.space import Space

QUESTIONS: dict[str, Callable[..., Any]] = {
    "bool": bool,
    "index": operator.index,
    "int": int,
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "value": lambda value: value,
    "str": str,
    "format": format,
    "type": lambda value: type(value).__name__,
    "is_integer": lambda value: float(value).is_integer(),
    "bit_length": lambda value: value.bit_length(),
}
"""What Python can ask of a value, by name, so that a guard holds no function and can be stored."""

_TEXT = {
    "index": "{0} as an integer",
    "int": "int({0})",
    "trunc": "math.trunc({0})",
    "floor": "math.floor({0})",
    "ceil": "math.ceil({0})",
    "round": "round({0})",
    "value": "{0}",
    "str": "str({0})",
    "format": "format({0}, {1!r})",
    "type": "type({0})",
    "is_integer": "({0}).is_integer()",
    "bit_length": "({0}).bit_length()",
}
_PINS = ("exact", "str", "equal")


@dataclass(frozen=True, slots=True)
class Guard:
    """One question about a config, with the answer that a program was traced with.

    Attributes:
      kind: "bool", "int", "floor", "ceil", "round", "exact" (the value itself: `float()`, `math.sqrt`, a hash), "str",
        "equal" (strings and plain values, where they are read) or "packed" (an inequality that packed code relies on).
      function: what was asked, a key of `QUESTIONS`.
      expression: of which value.
      outcome: the answer; None where Python raised.
      exception: the type of what Python raised; None as a rule.
      argument: the format specification, for `format`.
      place: "file:line" of the user's code that asked.
      via: "package/file.py:line" of the library that asked on its behalf.

    >>> from vtune.hyper.expressions import expression, leaf
    >>> guard = Guard("bool", "bool", expression("eq", leaf("dropout"), 0.0), False)
    >>> guard.question, guard.holds({"dropout": 0.3}), guard.holds({"dropout": 0.0})
    ('hp.dropout == 0.0', True, False)
    """

    kind: str
    function: str
    expression: Expression
    outcome: Any
    exception: type[Exception] | None = None
    argument: str | None = None
    place: str = "unknown"
    via: str | None = None

    def __hash__(self) -> int:
        return hash((self.kind, self.function, self.expression, self.argument))

    @property
    def names(self) -> frozenset[str]:
        """The hyperparameters that the answer depends on."""
        return self.expression.names

    @property
    def question(self) -> str:
        """What was asked, readable: "hp.dropout == 0.0"."""
        asked = text(self.expression)
        if self.function == "bool":
            return asked if self.expression.op in COMPARISONS else f"bool({asked})"
        return _TEXT[self.function].format(asked, self.argument)

    def holds(self, config: Mapping[str, Any]) -> bool:
        """Whether this filled config gives the same answer."""
        return bool(matches((self,), (config,))[0])

    def answers(self, values: Iterable[Any]) -> list[Any]:
        """The answer for each value of the expression; `Raised` where there is none."""
        return [ask(self.function, value, self.argument) for value in values]

    def __str__(self) -> str:
        answer = self.exception.__name__ if self.exception else repr(self.outcome)
        via = f" (via {self.via})" if self.via else ""
        return f"{self.question} -> {answer} at {self.place}{via}"


def ask(function: str, value: Any, argument: str | None) -> Any:
    """Ask a question of a value as Python would; `Raised` if Python raises."""
    if isinstance(value, Raised):
        return value
    try:
        return QUESTIONS[function](value) if argument is None else QUESTIONS[function](value, argument)
    except Exception as error:
        return Raised(error)


def _identity(answer: Any) -> Any:
    """A hashable stand-in: equal for answers that Python code cannot tell apart (-0.0 and 0.0 differ, NaNs agree)."""
    if isinstance(answer, Raised):
        return Raised, type(answer.error)
    if isinstance(answer, float):
        return type(answer), answer.hex()
    try:
        hash(answer)
    except TypeError:
        return type(answer), repr(answer)
    return type(answer), answer


def _by_guard(guards: Sequence[Guard], configs: Sequence[Mapping[str, Any]]) -> Iterable[tuple[Guard, list[Any]]]:
    columns = evaluate([guard.expression for guard in guards], configs, as_raised)
    for guard, values in zip(guards, columns, strict=True):
        yield guard, guard.answers(values)


def matches(guards: Sequence[Guard], configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Which configs a program may train.

    Args:
      guards: the program's guards.
      configs: filled configs, n of them.

    Returns:
      bool[n]: whether every guard gives the answer that it gave for the program's exemplar.
    """
    keep = np.ones(len(configs), bool)
    for guard, answers in _by_guard(guards, configs):
        if isinstance(guard.outcome, bool):
            alike = [answer is guard.outcome for answer in answers]
        else:
            expected = _identity(guard.outcome) if guard.exception is None else (Raised, guard.exception)
            alike = [_identity(answer) == expected for answer in answers]
        keep &= np.array(alike, bool)
    return keep


def outcomes(guards: Sequence[Guard], configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """A number for each config, equal for configs that answer all questions alike.

    Args:
      guards: whose questions to ask; their own outcomes do not matter.
      configs: filled configs, n of them.

    Returns:
      int64[n], numbered from 0 in the order of first appearance.
    """
    codes = np.zeros(len(configs), np.int64)
    for _, answers in _by_guard(guards, configs):
        seen: dict[Any, int] = {}
        codes = np.array(
            [
                seen.setdefault((code, _identity(answer)), len(seen))
                for code, answer in zip(codes.tolist(), answers, strict=True)
            ],
            np.int64,
        )
    return codes


def refuse_pins(guards: Sequence[Guard], space: Space) -> None:
    """Refuse a program that is tied to the exact value of a continuous hyperparameter.

    Such a program serves one trial: a sweep would compile once a trial.

    Args:
      guards: the program's guards.
      space: says which hyperparameters are continuous.

    Raises:
      GuardError: names the hyperparameter, the question, the user's line and the remedy.
    """
    for guard in guards:
        pinned = sorted(guard.names & space.continuous)
        if guard.kind in _PINS and pinned:
            raise GuardError(_pin_message(guard, pinned))


def _pin_message(guard: Guard, pinned: list[str]) -> str:
    name = pinned[0]
    subject = ", ".join(f"hp.{pin}" for pin in pinned)
    many = "are continuous" if len(pinned) > 1 else "is continuous"
    via = f", through {guard.via}" if guard.via else ""
    if guard.kind == "exact":
        what = f"Python asked for the exact value of {guard.question}"
    elif guard.kind == "str":
        what = f"Python made a string of it: {guard.question}"
    else:
        what = f"the code runs only with {guard.question} as a plain Python number"
    return (
        f"{subject} {many}, but {what}, at {guard.place}{via}. Every trial would need a program of its own. "
        "Keep it an array: use jnp. or np. functions in place of math., float(), .item() and f-strings. "
        f"Or give {name} few values: a grid, Float(..., step=...), or a Choice."
    )


def decided_by(guards: Iterable[Guard], name: str) -> bool:
    """Whether a hyperparameter's value decides which program a config needs (inequalities of packed code aside)."""
    return any(name in guard.names and guard.kind != "packed" for guard in guards)
