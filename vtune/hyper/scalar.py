"""`Hyper`: a number that is a tracer for JAX, an expression for the host, and the exemplar's value for Python.

Arithmetic gives further Hypers. When Python itself needs the value (`if`, `range`, `float()`), the exemplar answers and
the question becomes a guard. Inside scans, branches and inner jits, and on their results, a Hyper that was passed in
is what it would be in plain JAX: a bare tracer, with JAX's own errors.
"""

from __future__ import annotations

import numbers
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import VtuneError
from vtune.hyper.expressions import NUMPY, OPERATORS, Expression, Raised, text

if TYPE_CHECKING:
    from vtune.hyper.body import Body

_CONSTANT = (bool, int, float, np.bool_, np.integer, np.floating)
_NEVER_EQUAL = (type(None), str, bytes, list, tuple, dict, set, frozenset, type)
_REFLECTED = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "or", "xor")
_ORDERINGS = ("lt", "le", "gt", "ge")
_UNARY = ("neg", "pos", "abs", "invert")


class StaleHyperError(VtuneError, RuntimeError):
    """A hyperparameter was used after the trace that it belongs to had ended."""


class Hyper:
    """A numeric hyperparameter, or a number computed from some, while a program is traced. Made by a session.

    Attributes:
      body: the call that it belongs to.
      expression: how it is computed from the config.
    """

    __slots__ = ("__weakref__", "_flat", "_own", "body", "expression")
    __array_priority__ = 1000
    body: Body
    expression: Expression

    def __init__(self, body: Body, part: Expression, own: Any = None) -> None:
        for name, value in (("body", body), ("expression", part), ("_own", own), ("_flat", None)):
            object.__setattr__(self, name, value)
        if own is not None:
            body.hold(self)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{self!r} cannot be changed; tried to set {name!r}")

    @property
    def tracer(self) -> Any:
        """The JAX scalar: one value a lane."""
        return self.body.tracer(self.expression) if self._own is None else self._own

    def flatten(self) -> Any:
        """The tracer, remembered, so that only an identity round trip through a pytree gives the Hyper back."""
        if self._own is None and self._flat is None:
            self.body.hold(self)
        tracer = self.tracer
        object.__setattr__(self, "_flat", tracer)
        return tracer

    def restored(self, leaf: Any) -> Any:
        """The Hyper if the leaf is the tracer that was flattened last, else the leaf."""
        return self if self._flat is not None and leaf is self._flat else leaf

    def drop_tracers(self) -> None:
        """Called when the body ends."""
        object.__setattr__(self, "_own", None)
        object.__setattr__(self, "_flat", None)

    # What Python may ask; each answer is the exemplar's and becomes a guard.

    def _ask(self, kind: str, function: str, argument: str | None = None) -> Any:
        return self.body.ask(kind, function, self.expression, argument)

    def _exact(self) -> Any:
        if self.body.truth(self.expression):
            return self._ask("bool", "value")
        return self._ask("exact", "value")

    def __bool__(self) -> bool:
        return self._ask("bool", "bool")

    def __index__(self) -> int:
        return self._ask("int", "index")

    def __int__(self) -> int:
        return self._ask("int", "int")

    def __trunc__(self) -> int:
        return self._ask("int", "trunc")

    def __floor__(self) -> int:
        return self._ask("floor", "floor")

    def __ceil__(self) -> int:
        return self._ask("ceil", "ceil")

    def __round__(self, digits: int | None = None) -> Any:
        return self._ask("round", "round") if digits is None else combine("round", self, digits)

    def __float__(self) -> float:
        return float(self._exact())

    def __complex__(self) -> complex:
        return complex(self._exact())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._exact(), dtype)

    def __hash__(self) -> int:
        if self.body.open:
            return hash(self._exact())
        value = self.body.session.value(self.expression)
        return hash(type(value.error) if isinstance(value, Raised) else value)

    def __str__(self) -> str:
        return self._ask("str", "str")

    def __format__(self, spec: str) -> str:
        return self._ask("str", "format", spec)

    def __repr__(self) -> str:
        return f"Hyper({text(self.expression)})"

    def item(self) -> Any:
        """The exact Python value."""
        return self._exact()

    tolist = item

    def is_integer(self) -> bool:
        """Whether the value is whole."""
        return self._ask("bool", "is_integer")

    def bit_length(self) -> int:
        """Bits of an integer."""
        return self._ask("int", "bit_length")

    def as_integer_ratio(self) -> tuple[int, int]:
        """Numerator and denominator of the exact value."""
        return self._exact().as_integer_ratio()

    # What JAX and NumPy ask.

    shape: tuple[int, ...] = ()
    ndim = 0
    size = 1

    @property
    def dtype(self) -> Any:
        """Of the tracer."""
        return self.tracer.dtype

    @property
    def real(self) -> Hyper:
        """Itself."""
        return self

    @property
    def imag(self) -> float:
        """Zero."""
        return 0.0

    def conjugate(self) -> Hyper:
        """Itself."""
        return self

    def __jax_array__(self) -> Any:
        return self.tracer

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        if getattr(np, ufunc.__name__, None) is not ufunc or not hasattr(jnp, ufunc.__name__):
            raise TypeError(
                f"{ufunc.__name__} of {self!r} has no counterpart in jax.numpy; use a function of jnp. instead"
            )
        if ufunc.nout != 1:
            return getattr(jnp, ufunc.__name__)(*map(_traced, inputs))
        return combine(NUMPY + ufunc.__name__, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = plain((args, kwargs))
        return getattr(jnp, function.__name__)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.tracer, name)

    def __copy__(self) -> Hyper:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Hyper:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{self!r} belongs to a trace and cannot be pickled")

    # Arithmetic that is not in the tables below.

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any, modulo: int | None = None) -> Any:
        return combine("pow", self, other) if modulo is None else pow(self.__index__(), other, modulo)

    def __eq__(self, other: object) -> Any:
        same = self._settled(other)
        return combine("eq", self, other) if same is None else same

    def __ne__(self, other: object) -> Any:
        same = self._settled(other)
        return combine("ne", self, other) if same is None else not same

    def _settled(self, other: object) -> bool | None:
        """Whether the two are the same where no value need be asked for; None where it must."""
        if other is self:
            return True
        if isinstance(other, _NEVER_EQUAL) or not self.body.open:
            return False
        if isinstance(other, Hyper):
            return other.body is self.body and (other.expression is self.expression or None)
        return None


def on_arrays(op: str) -> Callable[..., Any]:
    """The operation of an expression on JAX arrays."""
    if op == "round":
        return jnp.round
    return OPERATORS.get(op) or getattr(jnp, op.removeprefix(NUMPY))


def combine(op: str, *operands: Any) -> Any:
    """An operation of which at least one operand is a Hyper.

    Returns:
      A Hyper if the others are Hypers of the same body or constants; a bare array if arrays take part;
      NotImplemented for anything else, so that Python asks the other operand.
    """
    hypers = [operand for operand in operands if isinstance(operand, Hyper)]
    if all(isinstance(operand, _CONSTANT) or _of(operand, hypers[0].body) for operand in operands):
        return hypers[0].body.derive(op, operands)
    if not all(isinstance(operand, (Hyper, complex, *_CONSTANT)) or hasattr(operand, "dtype") for operand in operands):
        return NotImplemented
    return on_arrays(op)(*map(_traced, operands))


def _of(operand: Any, body: Body) -> bool:
    return isinstance(operand, Hyper) and operand.body is body


def _traced(operand: Any) -> Any:
    return operand.tracer if isinstance(operand, Hyper) else operand


def plain(tree: Any) -> Any:
    """A pytree with every Hyper replaced by its tracer."""
    return jax.tree.map(_traced, tree, is_leaf=lambda node: isinstance(node, Hyper))


def _define_arithmetic() -> None:
    for op in (*_REFLECTED, *_ORDERINGS):
        if op != "pow":
            setattr(Hyper, f"__{op}__", lambda self, other, op=op: combine(op, self, other))
    for op in _REFLECTED:
        setattr(Hyper, f"__r{op}__", lambda self, other, op=op: combine(op, other, self))
    for op in _UNARY:
        setattr(Hyper, f"__{op}__", lambda self, op=op: combine(op, self))


class _Origin:
    """Which Hyper a pytree node came from. All are equal: structures and caches need not tell Hypers apart."""

    __slots__ = ("hyper",)

    def __init__(self, hyper: Hyper) -> None:
        self.hyper = weakref.ref(hyper)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Origin)

    def __hash__(self) -> int:
        return hash(_Origin)

    def __repr__(self) -> str:
        return "scalar"


def _unflatten(origin: _Origin, leaves: Any) -> Any:
    hyper = origin.hyper()
    return leaves[0] if hyper is None else hyper.restored(leaves[0])


_define_arithmetic()
numbers.Real.register(Hyper)
jax.tree_util.register_pytree_node(Hyper, lambda hyper: ((hyper.flatten(),), _Origin(hyper)), _unflatten)
