"""Whether an Optax transformation sees the padding of packed params: found by trying, not from a list of names.

A packed param is zero outside its true block, and so is its gradient. A transformation that treats entries one by one,
or takes sums over arrays, gives the true block what it would give the small array alone. One that takes means, or looks
at shapes, does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vtune.errors import TaskError

TOLERANCE = 1e-3
"""Differences below this share of the largest update of a leaf are rounding."""

_QUICKLY: dict[str, str | bool] = {"xla_backend_optimization_level": "0", "xla_llvm_disable_expensive_passes": True}
_SCALES = (30.0, 0.03)
"""Gradients of the first and the second update: what clips large values and what acts on small ones both show."""


def padded_leaves(transformation: optax.GradientTransformation, params: Any, *paddings: Any) -> dict[str, float]:
    """The leaves whose updates depend on how far they are padded.

    Two updates are made from random params and gradients, once without and once with each padding. To be called outside
    of traces.

    Args:
      transformation: what is tried: what `optimizer(hp)` returns for plain values.
      params: pytree of the params' true shapes: arrays or `jax.ShapeDtypeStruct`.
      *paddings: the same pytrees with padded shapes, at least as long on every axis.

    Returns:
      Path of each such leaf, as "Dense_0/kernel", and the largest difference of its updates, as a share of the largest
      update; infinite where they are not zero outside the true block, or finite in one case only. Empty: parity.

    >>> params, padded = {"w": jnp.zeros((3, 4))}, {"w": jnp.zeros((3, 8))}
    >>> padded_leaves(optax.adam(0.1), params, padded)
    {}
    >>> list(padded_leaves(optax.chain(optax.centralize(), optax.sgd(0.1)), params, padded))
    ['w']
    """
    expected, *others = _updates(transformation, params, (params, *paddings))
    found: dict[str, float] = {}
    for given in others:
        for (path, alone), (_, padded) in zip(expected, given, strict=True):
            found[path] = max(found.get(path, 0.0), _difference(alone, padded))
    return {path: difference for path, difference in found.items() if difference > TOLERANCE}


def check_padding(
    transformation: optax.GradientTransformation, params: Any, *paddings: Any, name: str = "optimizer(hp)"
) -> None:
    """Refuses a transformation whose updates depend on how far packed params are padded.

    Args:
      transformation: what `optimizer(hp)` returns for plain values.
      params: pytree of the params' true shapes.
      *paddings: the same pytrees with padded shapes.
      name: what the transformation is called in the error.

    Raises:
      TaskError: it sees the padding of some leaf.

    >>> check_padding(optax.adam(0.1), {"w": jnp.zeros((3, 4))}, {"w": jnp.zeros((3, 8))})
    """
    found = padded_leaves(transformation, params, *paddings)
    if not found:
        return
    blamed = list(dict.fromkeys(_name(part) for part in _parts(transformation) if _sees(part, params, *paddings)))
    by = f" It is due to {', '.join(blamed)}." if blamed else ""
    listed = ", ".join(f"{path} ({_in_words(found[path])})" for path in sorted(found)[:6])
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    raise TaskError(
        f"the updates of packed params must not depend on how far they are padded; those of {name} do, for "
        f"{listed}{more}.{by} Something in it takes means over whole arrays, or draws or decides by their shape. Use "
        f"transformations that treat entries one by one or take sums (optax.sgd, adam, adamw, rmsprop, adadelta, "
        f"lion, lamb and clip_by_global_norm do), apply it to other params only (optax.partition), or train one "
        f"program for each size: int(hp.width) instead of hp.width."
    )


def _sees(transformation: optax.GradientTransformation, params: Any, *paddings: Any) -> bool:
    return bool(padded_leaves(transformation, params, *paddings))


def _updates(
    transformation: optax.GradientTransformation, params: Any, paddings: Sequence[Any]
) -> list[list[tuple[str, list[tuple[np.ndarray, tuple[int, ...]]]]]]:
    """For each padding, (path, its two updates and the true shape) of each leaf.

    What is drawn depends on the true shapes only. All paddings are one program, compiled quickly: it runs once.
    """
    update = optax.with_extra_args_support(transformation).update

    def drawn(source: np.random.Generator, scale: float, shapes: Any) -> Any:
        def block(leaf: Any, shape: Any) -> np.ndarray:
            margins = [(0, long - short) for short, long in zip(leaf.shape, shape.shape, strict=True)]
            return np.pad(scale * source.normal(size=leaf.shape).astype("float32"), margins)

        return jax.tree.map(block, params, shapes)

    def run(start: Any, pulls: Any) -> Any:
        now, state, made = start, transformation.init(start), []
        for pull in pulls:

            def loss(at: Any, pull: Any = pull) -> Any:
                return sum(map(_pulled, jax.tree.leaves(at), jax.tree.leaves(pull)))

            value, gradients = jax.value_and_grad(loss)(now)
            updates, state = update(gradients, state, now, value=value, grad=gradients, value_fn=loss)
            now = optax.apply_updates(now, updates)
            made.append(updates)
        return made

    sources = [np.random.default_rng(0) for _ in paddings]
    given = [
        [drawn(source, scale, shapes) for scale in (1.0, *_SCALES)]
        for source, shapes in zip(sources, paddings, strict=True)
    ]
    every = jax.jit(lambda given: [run(start, pulls) for start, *pulls in given]).lower(given)
    return [_by_path(params, made) for made in every.compile(compiler_options=_QUICKLY)(given)]


def _by_path(params: Any, made: Any) -> list[tuple[str, list[tuple[np.ndarray, tuple[int, ...]]]]]:
    flat = [jax.tree_util.tree_flatten_with_path(updates)[0] for updates in made]
    true = [leaf.shape for leaf in jax.tree.leaves(params)]
    return [
        (jax.tree_util.keystr(both[0][0], simple=True, separator="/"), [(np.asarray(each), shape) for _, each in both])
        for shape, *both in zip(true, *flat, strict=True)
    ]


def _pulled(leaf: Any, pull: Any) -> Any:
    return jnp.sum(leaf * pull + 0.5 * leaf**2)


def _difference(alone: Any, padded: Any) -> float:
    worst = 0.0
    for (expected, shape), (given, _) in zip(alone, padded, strict=True):
        block = tuple(map(slice, shape))
        outside = np.array(given)
        outside[block] = 0
        if outside.any() or not np.array_equal(np.isfinite(expected), np.isfinite(given[block])):
            return np.inf
        finite = np.isfinite(expected)
        largest = np.abs(expected[finite]).max(initial=0.0)
        if largest > 0:
            worst = max(worst, float(np.abs(expected - given[block])[finite].max(initial=0.0) / largest))
    return worst


def _parts(transformation: optax.GradientTransformation) -> Iterator[optax.GradientTransformation]:
    """The innermost transformations that the closures of one hold; none where it is no combination of others."""
    inner = [each for each in _held(transformation.update, set()) if each is not transformation]
    for each in inner:
        deeper = list(_parts(each))
        yield from deeper or [each]


def _held(value: Any, seen: set[int]) -> Iterator[optax.GradientTransformation]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, optax.GradientTransformation):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _held(each, seen)
    elif isinstance(value, dict):
        yield from _held(list(value.values()), seen)
    else:
        for cell in getattr(value, "__closure__", None) or ():
            yield from _held(cell.cell_contents, seen)


def _name(transformation: optax.GradientTransformation) -> str:
    return transformation.update.__qualname__.partition(".<locals>")[0]


def _in_words(share: float) -> str:
    return f"by {share:.0%} of the largest update" if np.isfinite(share) else "not zero or not finite in the padding"
