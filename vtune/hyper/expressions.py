"""Expressions over a config: what a scalar was computed from, to be computed again for any other config.

Every scalar that arithmetic on hyperparameters gives keeps its expression, such as `1 - hp.b2`. Expressions are
interned: two that are built alike are one object, so that identity is equality and a common part is computed once.
They are evaluated on exact Python values, a column (one value a config) at a time.
"""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np

LEAF = "hp"
NUMPY = "np."
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def _real_power(base: Any, exponent: Any) -> Any:
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base} ** {exponent} is a complex number")
    return result


OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": _real_power,
    "lshift": operator.lshift,
    "rshift": operator.rshift,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": abs,
    "invert": operator.invert,
    "round": round,
}
"""What an expression may do: Python's operators by name; NumPy's functions are named "np.sqrt" and so on."""

_IN_FLOAT32: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
}

_INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "and": "&",
    "or": "|",
    "xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}
_PREFIX = {"neg": "-", "pos": "+", "invert": "~"}
_DEEPEST_TEXT = 6


class Expression:
    """A hyperparameter, or an operation on expressions and constants. Made by `leaf` and `expression` only.

    Attributes:
      op: "hp" for a hyperparameter, a key of `OPERATORS`, or "np." and the name of a NumPy function.
      args: expressions and Python or NumPy scalars; the name of the hyperparameter for "hp".
      names: the hyperparameters that it reads.
    """

    __slots__ = ("__weakref__", "args", "names", "op")
    op: str
    args: tuple[Any, ...]
    names: frozenset[str]

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_tape, (_tape(self),)

    def __repr__(self) -> str:
        return f"Expression({text(self)})"

    @property
    def function(self) -> Callable[..., Any]:
        """What it does to the values of its arguments."""
        return OPERATORS.get(self.op) or getattr(np, self.op.removeprefix(NUMPY))


_interned: weakref.WeakValueDictionary[tuple[Any, ...], Expression] = weakref.WeakValueDictionary()


def expression(op: str, *args: Any) -> Expression:
    """The one expression with this operation and these arguments."""
    key = (op, *[arg if isinstance(arg, Expression) else (type(arg), repr(arg)) for arg in args])
    found = _interned.get(key)
    if found is None:
        found = Expression()
        found.op, found.args = op, args
        parts = [arg.names for arg in args if isinstance(arg, Expression)]
        found.names = frozenset().union(*parts) if op != LEAF else frozenset(args)
        _interned[key] = found
    return found


def leaf(name: str) -> Expression:
    """The expression that is the hyperparameter itself."""
    return expression(LEAF, name)


def in_order(expressions: Iterable[Expression]) -> list[Expression]:
    """All parts of the expressions, each once and after its own parts."""
    done: dict[Expression, None] = {}
    stack = [(part, False) for part in reversed(list(expressions))]
    while stack:
        part, ready = stack.pop()
        if part in done:
            continue
        if ready:
            done[part] = None
        else:
            stack.append((part, True))
            stack.extend((arg, False) for arg in part.args if isinstance(arg, Expression))
    return list(done)


def _tape(root: Expression) -> tuple[tuple[str, tuple[tuple[bool, Any], ...]], ...]:
    parts = in_order([root])
    number = {part: index for index, part in enumerate(parts)}
    return tuple(
        (part.op, tuple((True, number[arg]) if isinstance(arg, Expression) else (False, arg) for arg in part.args))
        for part in parts
    )


def _from_tape(tape: Sequence[tuple[str, tuple[tuple[bool, Any], ...]]]) -> Expression:
    parts: list[Expression] = []
    for op, args in tape:
        parts.append(expression(op, *[parts[arg] if inner else arg for inner, arg in args]))
    return parts[-1]


def plain_value(value: Any) -> Any:
    """A NumPy scalar as the Python value that it stands for; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


class Raised:
    """Stands for the value of an expression that Python cannot compute: what it raises instead."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


Recover = Callable[[Expression, Sequence[Any], Exception], Any]
"""Gives the value of an expression whose computation raised, from the values of its arguments and the error."""


def as_raised(part: Expression, values: Sequence[Any], error: Exception) -> Raised:
    """Keep the error in place of the value: what a guard needs."""
    return Raised(error)


def as_float32(part: Expression, values: Sequence[Any], error: Exception) -> float | int:
    """What arithmetic on arrays gives where Python raises: infinities and NaN, for integers what XLA gives.

    A column must have a value for every config; Python's `1 / 0.0` and `1e300 ** 2` have none.
    """
    if all(isinstance(value, int) for value in values) and part.op not in ("truediv", "pow"):
        if part.op == "floordiv":
            return -2 if values[0] else -1
        return -1 if part.op == "rshift" and values[0] < 0 else 0
    function = _IN_FLOAT32.get(part.op, part.function)
    try:
        return float(function(*[_float32(value) for value in values]))
    except (ArithmeticError, TypeError, ValueError):
        return math.nan


def _float32(value: Any) -> np.float32:
    try:
        return np.float32(value)
    except OverflowError:
        return np.float32(math.inf if value > 0 else -math.inf)


def evaluate(
    expressions: Sequence[Expression], configs: Sequence[Mapping[str, Any]], recover: Recover
) -> list[list[Any]]:
    """The values of expressions for many configs, exactly as Python computes them.

    Args:
      expressions: what to compute.
      configs: filled configs, n of them.
      recover: says what stands where Python raises.

    Returns:
      A list of n values for each expression.

    >>> half = expression("truediv", 1, leaf("n"))
    >>> evaluate([half], [{"n": 2}, {"n": 0}], as_float32)
    [[0.5, inf]]
    """
    columns: dict[Expression, list[Any]] = {}
    failed: set[Expression] = set()
    with np.errstate(all="ignore"):
        for part in in_order(expressions):
            if part.op == LEAF:
                name = part.args[0]
                columns[part] = [plain_value(config[name]) for config in configs]
                continue
            inputs = [columns[arg] if isinstance(arg, Expression) else repeat(arg) for arg in part.args]
            columns[part] = _column(part, inputs, failed, recover)
    return [columns[part] for part in expressions]


def _column(part: Expression, inputs: list[Any], failed: set[Expression], recover: Recover) -> list[Any]:
    if failed.isdisjoint(arg for arg in part.args if isinstance(arg, Expression)):
        try:
            return list(map(part.function, *inputs))
        except Exception:  # some row raises: find out which
            pass
    column = [compute(part, row, recover) for row in zip(*inputs, strict=False)]
    if any(isinstance(value, Raised) for value in column):
        failed.add(part)
    return column


def compute(part: Expression, values: Sequence[Any], recover: Recover) -> Any:
    """The value of an expression from the values of its arguments; the first error among them is passed on."""
    for value in values:
        if isinstance(value, Raised):
            return value
    try:
        return part.function(*values)
    except Exception as error:
        return recover(part, values, error)


def text(part: Any, depth: int = 0) -> str:
    """The expression as a user would have written it: "hp.depth // 2 + 1"."""
    if not isinstance(part, Expression):
        return repr(plain_value(part))
    if part.op == LEAF:
        return f"hp.{part.args[0]}"
    if depth == _DEEPEST_TEXT:
        return "..."
    args = [text(arg, depth + 1) for arg in part.args]
    if part.op in _INFIX:
        whole = f"{args[0]} {_INFIX[part.op]} {args[1]}"
        return f"({whole})" if depth else whole
    if part.op in _PREFIX:
        return f"{_PREFIX[part.op]}{args[0]}"
    return f"{part.op}({', '.join(args)})"
