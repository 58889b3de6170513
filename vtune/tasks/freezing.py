"""Nested dicts of params by path: which are trained, which are frozen, and how pretrained values take their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from vtune.errors import TaskError

Path = tuple[str, ...]


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The (path, value) pairs of a nested dict; what is not a dict is a value, and so is an empty dict."""
    if not isinstance(tree, dict) or (path and not tree):
        yield path, tree
        return
    for key, value in tree.items():
        yield from leaves(value, (*path, key))


def nested(pairs: Iterator[tuple[tuple[Any, ...], Any]]) -> dict[Any, Any]:
    """The nested dict of (path, value) pairs."""
    tree: dict[Any, Any] = {}
    for path, value in pairs:
        place = tree
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return tree


def merged(*trees: Any) -> dict[Any, Any]:
    """One nested dict of all paths; where a path is in several, the last wins.

    >>> merged({"a": {"w": 1}}, {"a": {"b": 2}})
    {'a': {'w': 1, 'b': 2}}
    """
    return nested(pair for tree in trees for pair in leaves(tree))


def named(path: tuple[Any, ...]) -> Path:
    """A path with the integers of lists as text."""
    return tuple(map(str, path))


def pruned(tree: Any, keep: Callable[[Path], bool]) -> dict[Any, Any]:
    """The part of a nested dict whose paths `keep` wants.

    >>> pruned({"body": {"w": 1}, "head": {"w": 2}}, lambda path: path[0] == "head")
    {'head': {'w': 2}}
    """
    return nested((path, value) for path, value in leaves(tree) if keep(named(path)))


def fitted(what: str, tree: Any, given: Any) -> dict[Any, Any]:
    """The values of `given` at their places, checked against `tree`, the freshly initialised one.

    Raises:
      TaskError: for paths that the model does not have and for other shapes, naming path, expected and found.
    """
    fresh = {named(path): (path, value) for path, value in leaves(tree)}
    pairs = []
    for path, value in leaves(given):
        if isinstance(value, dict):
            continue
        if named(path) not in fresh:
            raise TaskError(
                f"init= has {what} at {'/'.join(named(path))}, which the model does not have; it has "
                f"{', '.join('/'.join(each) for each in fresh) or 'none'}."
            )
        own, expected = fresh[named(path)]
        shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(each)] for each in (expected, value)]
        if shapes[0] != shapes[1]:
            raise TaskError(
                f"init= has {what} at {'/'.join(named(path))} of shape {shapes[1]}; the model's has {shapes[0]}."
            )
        cast = jax.tree.map(lambda new, old: jax.numpy.asarray(new, old.dtype), value, expected)
        pairs.append((own, cast))
    return nested(iter(pairs))


def filled(
    params: Any, extra: Any, given_params: Any, given_extra: Any, is_trainable: Callable[[Path], bool]
) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Freshly initialised params and other variables with pretrained values in their places.

    Raises:
      TaskError: for values that do not fit the model, and for params that are neither trainable nor given.
    """
    given_params = fitted("params", params, given_params)
    known = {path for path, _ in leaves(given_params)}
    missing = [
        "/".join(named(path)) for path, _ in leaves(params) if path not in known and not is_trainable(named(path))
    ]
    if missing:
        raise TaskError(
            f"params that are not trainable must come from init=; it lacks {', '.join(missing)}. Pass their values "
            "in init=, or make trainable= true for them."
        )
    return merged(params, given_params), merged(extra, fitted("variables", extra, given_extra))
