"""One use of a library with a hyperparameter in place of a number, and what becomes of it under vtune."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.hyper import PlainHP, Session, matches, trace_with_ladder
from vtune.space import Choice, Space

FLOATS = (0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Use:
    """A function of one number that runs with plain Python numbers, and numbers to run it with."""

    function: Callable[[Any], Any]
    values: Sequence[Any] = FLOATS


@dataclass(frozen=True)
class Verdict:
    """What became of a use: how the hyperparameter enters, and for which of the values the program is right."""

    kind: str
    served: tuple[Any, ...]
    session: Session


def space_of(use: Use) -> Space:
    return Space(v=Choice(*dict.fromkeys(use.values)))


def _signature(tree: Any) -> list[tuple[tuple[int, ...], Any]]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]


def _arrays(tree: Any) -> list[np.ndarray]:
    """Numbers of a result; random keys are left out."""
    leaves = [leaf if hasattr(leaf, "dtype") else np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return [np.asarray(leaf, np.float64) for leaf in leaves if not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)]


def trace(use: Use, value: Any, *, lower: bool) -> tuple[Session, Any]:
    def attempt(session: Session) -> Any:
        lanes = jax.jit(jax.vmap(session.bind(lambda hp: use.function(hp.v))))
        columns = session.abstract_columns(len(use.values))
        return lanes.lower(columns) if lower else lanes.trace(columns)

    return trace_with_ladder(attempt, {"v": value}, space_of(use))


def _jaxpr(traced: Any) -> str:
    """Without addresses, and without what is computed for nothing, which depends on JAX's caches."""
    text = re.sub(r"0x[0-9a-f]+|at \d+|<.*?>|id=\d+", "", str(traced.jaxpr.jaxpr))
    return re.sub(r"\n *_:.*", "", text)


def judge(use: Use, *, run: bool = False) -> Verdict:
    """Trace a use and hold it against plain Python: shapes and types, and for every value that the program serves the
    same computation; with `run`, also lowered, compiled, and the same numbers."""
    first = use.values[0]
    plain = jax.eval_shape(lambda: use.function(PlainHP({"v": first}).v))
    session, traced = trace(use, first, lower=run)
    lanes = [(shape[1:], dtype) for shape, dtype in _signature(traced.out_info)]
    assert lanes == _signature(plain), "shapes or types differ from plain Python's"

    configs = [{"v": value} for value in use.values]
    serves = matches(session.guards, configs)
    assert serves[0], "a program must serve its own exemplar"
    for config in [config for config, served in zip(configs[1:], serves[1:], strict=True) if served]:
        if not run and config["v"] != first:
            assert _jaxpr(trace(use, config["v"], lower=False)[1]) == _jaxpr(traced), "one program, two computations"
    if run:
        _same_numbers(use, session, traced, configs, serves)

    kinds = {guard.kind for guard in session.guards}
    if session.demotion:
        kind = "plain" if session.demotion.plain else "raw"
    elif not kinds:
        kind = "traced"
    else:
        kind = "exact" if kinds & {"exact", "str", "equal"} else "guarded"
    return Verdict(kind, tuple(value for value, served in zip(use.values, serves, strict=True) if served), session)


def _same_numbers(use: Use, session: Session, lowered: Any, configs: list[Any], serves: np.ndarray) -> None:
    served = [config if serve else configs[0] for config, serve in zip(configs, serves, strict=True)]
    program = lowered.compile(compiler_options={"xla_backend_optimization_level": 0})
    batch = _arrays(program(session.layout.encode(served)))
    for lane in np.flatnonzero(serves):
        alone = _arrays(use.function(configs[lane]["v"]))
        for ours, plain in zip(batch, alone, strict=True):
            np.testing.assert_allclose(ours[lane], plain, rtol=2e-2 if _half(lowered) else 2e-4, atol=2e-5)


def _half(lowered: Any) -> bool:
    return any(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(lowered.out_info) if hasattr(leaf, "dtype"))
