"""Tries, before a program is traced, whether a batch may be padded: whether padded rows leave all else as it is.

A loss that is averaged over true rows is not enough: a batch norm mixes rows, and random numbers may be drawn by the
size of the batch. So the real model is run once on a small batch, alone and padded in two ways, and the loss, its
gradients and what the model changes by itself are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import TaskError
from vtune.hyper import Demotion, Hyper, Packing, PlainHP, Session, Size, whole_values
from vtune.tasks.data import pick, rows

SAME = 1e-5
"""Differences below this share of an array's largest entry do not come from the padding."""
ALIKE = 1e-2
"""The same for batches of different sizes, whose sums are rounded in another order, in half precision too."""
_LOUD, _NOTHING = 8.0, 1e-2
_PINS = ("int", "floor", "ceil", "round", "exact", "str", "equal")
_QUICKLY: dict[str, str | bool] = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}


@dataclass(frozen=True, slots=True)
class Parts:
    """What is rehearsed of a task.

    Attributes:
      batch_size: rows a step, or fn(hp) -> rows a step.
      rows: fn(hp) -> the `Size` of a batch.
      fresh: fn(hp, key) -> (params, extra) of a fresh network.
      objective: fn(hp, extra, batch, size, key) -> fn(params) -> (loss, next extra); the batch has `size.cap` rows.
      optimizer: fn(hp) -> the transformation.
      train: the training data, pytree of arrays `[rows, ...]` on the host.
    """

    batch_size: int | Callable[[Any], Any]
    rows: Callable[[Any], Size]
    fresh: Callable[..., Any]
    objective: Callable[..., Any]
    optimizer: Callable[[Any], Any]
    train: Any


def packed_names(
    batch_size: Callable[[Any], Any], config: Mapping[str, Any], space: Any, packing: Packing
) -> tuple[str, ...]:
    """The hyperparameters that a batch size is made of, if all of them may be packed; else none."""
    session = Session(config, space, packing=packing)
    names: tuple[str, ...] = ()

    def read(hp: Any) -> None:
        nonlocal names
        given = batch_size(hp)
        if isinstance(given, Hyper) and session.packs(given.expression):
            names = tuple(sorted(given.expression.names))

    jax.eval_shape(session.bind(read), session.abstract_columns(None))
    return names


def objection(parts: Parts, names: tuple[str, ...], config: Mapping[str, Any], space: Any, key: Any) -> str | None:
    """Why a batch must not be padded; None if it may.

    Args:
      parts: of the task.
      names: the hyperparameters that the batch size is made of.
      config: a filled config; its other values are taken as they are.
      space: where it comes from.
      key: a trial's key, of the generator that trials use.
    """
    values = {name: whole_values(space[name]) for name in names}
    if all(len(each) == 1 for each in values.values()):
        return "it has one value"
    small = {**config, **{name: each[0] for name, each in values.items()}}
    packing = Packing(frozenset(names), {name: (each[0], each[:2][-1]) for name, each in values.items()})
    others = Demotion(frozenset(space) - set(names), frozenset(), "rehearsal")
    session = Session(small, space, demotion=others, packing=packing)
    try:
        return _objection(parts, set(names), session, small, key)
    except TaskError as error:
        return str(error)
    except Exception as error:
        return f"a padded batch raised {type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _objection(parts: Parts, names: set[str], session: Session, small: Mapping[str, Any], key: Any) -> str | None:
    true, cap = _lengths(session, parts)
    total = rows(parts.train)
    batch, near = (pick(parts.train, np.arange(*ends) % total) for ends in ((0, true), (true, cap)))
    far = pick(parts.train, -1 - np.arange(true, cap) % total)
    loud = jax.tree.map(lambda leaf: leaf * _LOUD if np.issubdtype(leaf.dtype, np.inexact) else leaf, far)

    def outcome(hp: Any, size: Size, params: Any, extra: Any, batch: Any, key: Any) -> Any:
        loss = parts.objective(hp, extra, batch, size, key)
        (value, following), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return {"the loss": value, "the gradients of": gradients, "the variables": following}

    def packed(hp: Any, params: Any, *given: Any) -> Any:
        parts.optimizer(hp).init(params)
        return outcome(hp, parts.rows(hp), params, *given)

    def both(columns: Any, params: Any, extra: Any, batch: Any, padding: Any, key: Any) -> Any:
        padded = jax.tree.map(lambda *each: jnp.concatenate(each), batch, padding)
        alone = outcome(PlainHP(small), Size(true, true), params, extra, batch, key)
        return alone, session.bind(packed)(columns, params, extra, padded, key)

    state = _filled(jax.eval_shape(lambda key: parts.fresh(PlainHP(small), key), key), key)
    lowered = jax.jit(both).lower(session.abstract_columns(None), *state, batch, near, key)
    pinned = [guard for guard in session.guards if guard.kind in _PINS and guard.names & names]
    if pinned:
        return f"Python asks for it: {pinned[0]}"
    columns = jax.tree.map(lambda column: column[0], session.layout.encode([small]))
    run = lowered.compile(compiler_options=_QUICKLY if jax.default_backend() == "cpu" else None)
    alone, quiet = run(columns, *state, batch, near, key)
    _, loud = run(columns, *state, batch, loud, key)
    if changed := _differs(quiet, loud, SAME):
        return (
            f"padded rows change {changed}: something mixes the rows of a batch, as nn.BatchNorm does "
            "(vtune.nn.BatchNorm leaves padded rows out)"
        )
    if changed := _differs(alone, quiet, ALIKE):
        return (
            f"a longer batch changes {changed} although its true rows are the same: random numbers are drawn by the "
            "size of the batch, or the loss depends on it"
        )
    return None


def _lengths(session: Session, parts: Parts) -> tuple[int, int]:
    """True and padded rows of the batch."""
    lengths = (0, 0)

    def read(hp: Any) -> None:
        nonlocal lengths
        size = parts.rows(hp)
        lengths = (session.value(size.hyper.expression) if size.hyper is not None else size.value, size.cap)

    jax.eval_shape(session.bind(read), session.abstract_columns(None))
    return lengths


def _filled(forms: Any, key: Any) -> Any:
    """Variables of some shapes without zeros, which could hide what depends on what; made without compiling."""
    source = np.random.default_rng(0)

    def fill(form: Any) -> Any:
        if jax.dtypes.issubdtype(form.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(key, form.shape)
        if not jnp.issubdtype(form.dtype, jnp.inexact):
            return np.zeros(form.shape, form.dtype)
        if len(form.shape) < 2:
            return source.uniform(0.5, 1.5, form.shape).astype(form.dtype)
        return (source.normal(size=form.shape) / np.sqrt(np.prod(form.shape[:-1]))).astype(form.dtype)

    return jax.tree.map(fill, forms)


def _differs(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> str | None:
    """The first floating leaf that differs, in words; what is zero but for rounding is measured by the largest leaf."""
    for what, part in one.items():
        pairs = zip(jax.tree_util.tree_leaves_with_path(part), jax.tree.leaves(other[what]), strict=True)
        floating = [
            (path, np.asarray(first, np.float64), np.asarray(second, np.float64))
            for (path, first), second in pairs
            if jnp.issubdtype(first.dtype, jnp.inexact)
        ]
        sizes = [np.abs(first).max(initial=0.0) for _, first, _ in floating]
        for (path, first, second), size in zip(floating, sizes, strict=True):
            if not np.abs(first - second).max(initial=0.0) <= tolerance * max(size, _NOTHING * max(sizes)):
                return f"{what} {'/'.join(str(getattr(each, 'key', each)) for each in path)}".strip()
    return None
