"""Checks that a network with packed structure is the small, plain network, padded in ways that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from vtune.errors import TaskError
from vtune.hyper import Guard, Packing, PlainHP, Session, trace_with_ladder, whole_values
from vtune.nn.sizes import ledger
from vtune.tasks.freezing import leaves, named, nested

Shape = tuple[int, ...]
Fresh = Callable[[Any, Any], tuple[dict[Any, Any], dict[Any, Any]]]
"""fn(hp, key) -> (params, extra) of a fresh network."""
Use = Callable[[Any, Any, Any, Any], None]
"""fn(hp, params, extra, key) that calls whatever else of the user's code reads hyperparameters."""
_PARTS = ("params", "extra")
_STREAMS = ("extra", "rngs")
"""Keys and counters of nnx layers: those that a trial does not have draw nothing that counts."""


@dataclass(frozen=True, slots=True)
class Structure:
    """The network of a program.

    Attributes:
      guards: what Python asked while it was made and used; other configs with the same answers have the same structure.
      small: params of the plain network, nested dict of shapes and types; None if nothing is packed.
      wide: the same paths with every packed axis twice as long as it is in truth; None if nothing is packed.
    """

    guards: tuple[Guard, ...]
    small: dict[Any, Any] | None = None
    wide: dict[Any, Any] | None = None


def structure(fresh: Fresh, use: Use, config: Mapping[str, Any], space: Any, packing: Packing, key: Any) -> Structure:
    """Compares the packed network of a config with the small one.

    Args:
      fresh: makes the network's variables.
      use: trains with them.
      config: a filled config; its packed sizes are made as small as can be, so that padding shows.
      space: where it comes from.
      packing: what the program packs.
      key: any key.

    Raises:
      TaskError: a variable is padded in a way that nobody knows of, naming it and what to do.
    """
    session, _ = _traced(fresh, use, config, space, packing, key)
    guards = session.guards
    sizes = {name for guard in guards if guard.kind == "packed" for name in guard.names}
    if not sizes and "packed" not in session.kinds().values():
        return Structure(guards)
    least = {**config, **{name: whole_values(space[name])[0] for name in sizes}}
    _, found = _traced(fresh, None, least, space, packing, key)
    small = dict(zip(_PARTS, jax.eval_shape(lambda key: fresh(PlainHP(least), key), key), strict=True))
    plain = {path: leaf.shape for path, leaf in _variables(small)}
    for path, (_, true, _) in found.items():
        _check(path[1:], true, plain.get(path))
    lost = [path for path in plain if path not in found]
    if lost:
        raise TaskError(
            f"a packed network must have every variable of the plain one; {_words(lost[0][1:])} is missing from it."
        )
    wide = nested(
        (path[1:], jax.ShapeDtypeStruct(_widened(shape, true), dtype))
        for path, (shape, true, dtype) in found.items()
        if path[0] == "params" and path in plain
    )
    return Structure(guards, small["params"], wide)


def _traced(
    fresh: Fresh, use: Use | None, config: Mapping[str, Any], space: Any, packing: Packing, key: Any
) -> tuple[Session, dict[tuple[Any, ...], tuple[Shape, Shape, Any]]]:
    """A session, and by path each variable's shape, its true shape as far as it is known, and its type."""

    def attempt(session: Session) -> dict[tuple[Any, ...], tuple[Shape, Shape, Any]]:
        found = {}

        def make(hp: Any, key: Any) -> None:
            with ledger() as made:
                trees = fresh(hp, key)
            for path, leaf in _variables(dict(zip(_PARTS, trees, strict=True))):
                true = [
                    session.value(each.hyper.expression) if each.hyper is not None else each.cap
                    for each in made.sizes(leaf)
                ]
                found[path] = (leaf.shape, tuple(map(int, true)), leaf.dtype)
            if use is not None:
                use(hp, *trees, key)

        jax.eval_shape(session.bind(make), session.abstract_columns(None), key)
        return found

    return trace_with_ladder(attempt, config, space, packing)


def _variables(tree: Any) -> list[tuple[tuple[Any, ...], Any]]:
    return [
        (path, leaf) for path, leaf in leaves(tree) if not isinstance(leaf, dict) and path[: len(_STREAMS)] != _STREAMS
    ]


def _check(path: tuple[Any, ...], true: Shape, plain: Shape | None) -> None:
    if plain is None and 0 not in true:
        raise TaskError(
            f"{_words(path)} is a variable of the packed network, {list(true)}, but not of the plain one. Make layers "
            "whose number is a hyperparameter with vtune.nn: MLP(depth=...), or features=hp.width * (hp.depth > i)."
        )
    if plain is not None and true != plain:
        raise TaskError(
            f"{_words(path)} is {list(plain)} in the plain network; in the packed one it is {list(true)}, without "
            "knowing what of it is padding. Use the module of vtune.nn in its place, and where its inputs are packed "
            "but do not come straight from such a module, say how many there are: vnn.Dense(..., inputs=hp.width)."
        )


def _widened(shape: Shape, true: Shape) -> Shape:
    return tuple(2 * length if length != cap else cap for cap, length in zip(shape, true, strict=True))


def _words(path: tuple[Any, ...]) -> str:
    return "/".join(named(path))
