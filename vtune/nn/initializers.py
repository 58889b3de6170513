"""Initial values of params by name; padded arrays get those of the true shape, with the true fan-in and fan-out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.hyper import Hyper, Size, choice_index, choice_values, packed_size
from vtune.nn import draws
from vtune.nn.sizes import count, masked

_STDDEV_WITHIN_TWO = 0.87962566103423978
_DEFAULT_SCALES = {"normal": 1e-2, "truncated_normal": 1e-2, "uniform": 1e-2}


@dataclass(frozen=True)
class _Layout:
    """Which axes of an array come in and go out; the others are the receptive field of a convolution."""

    sizes: tuple[Size, ...]
    in_axes: tuple[int, ...]
    out_axes: tuple[int, ...]

    def without(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(self.sizes)) if axis not in axes)

    def of(self, axes: tuple[int, ...]) -> tuple[Size, ...]:
        return tuple(self.sizes[axis] for axis in axes)

    @property
    def fan_in(self) -> Any:
        return count(self.of(self.without(self.out_axes)))

    @property
    def fan_out(self) -> Any:
        return count(self.of(self.without(self.in_axes)))


_Rule = Callable[[jax.Array, _Layout, Any], jax.Array]


def _full(value: float, key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
    return masked(jnp.full([size.cap for size in layout.sizes], value, dtype), layout.sizes)


def _normal(key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
    return draws.normal(key, layout.sizes, dtype)


def _truncated_normal(key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
    return draws.truncated_normal(key, -2, 2, layout.sizes, dtype)


def _uniform(key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
    return draws.uniform(key, layout.sizes, dtype)


def _by_fan(
    gain: float, fan: Callable[[_Layout], Any], distribution: str, key: jax.Array, layout: _Layout, dtype: Any
) -> jax.Array:
    """Variance gain / fan; a fan of zero, in a layer that a trial does not have, must not divide."""
    number = fan(layout)
    number = jnp.maximum(number, 1) if isinstance(number, jax.Array) else max(number, 1)
    variance = jnp.asarray(gain / number, dtype)
    if distribution == "uniform":
        return draws.uniform(key, layout.sizes, dtype, -1) * jnp.sqrt(3 * variance)
    if distribution == "normal":
        return draws.normal(key, layout.sizes, dtype) * jnp.sqrt(variance)
    # XLA multiplies by the reciprocal of a divisor that it can see is the same in every lane: a last bit is lost
    divisor = jnp.where(number > 0, jnp.asarray(_STDDEV_WITHIN_TWO, dtype), 1)
    return _truncated_normal(key, layout, dtype) * (jnp.sqrt(variance) / divisor)


def _fan_in(layout: _Layout) -> Any:
    return layout.fan_in


def _fan_average(layout: _Layout) -> Any:
    return (layout.fan_in + layout.fan_out) / 2


def _features(layout: _Layout) -> Any:
    return layout.sizes[-1].value


def _orthogonal(key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
    """Orthonormal columns, or rows where there are fewer of them, of the matrix that maps all else to the outputs."""
    in_axes = layout.without(layout.out_axes)
    row = jnp.expand_dims(draws.positions(layout.of(in_axes)), layout.out_axes)
    column = jnp.expand_dims(draws.positions(layout.of(layout.out_axes)), in_axes)
    rows, columns = _joined(layout.of(in_axes)), _joined(layout.of(layout.out_axes))
    if 0 in (rows.cap, columns.cap):
        return _full(0.0, key, layout, dtype)
    tall = rows.value >= columns.value
    at = jnp.where(tall, row, column), jnp.where(tall, column, row)
    return masked(_orthonormal_columns(key, rows, columns, dtype).at[at].get(mode="clip"), layout.sizes)


def _joined(sizes: Sequence[Size]) -> Size:
    cap = count([Size(size.cap, size.cap) for size in sizes])
    return Size(count(sizes), cap, _hyper(sizes))


def _hyper(sizes: Sequence[Size]) -> Hyper | None:
    return next((size.hyper for size in sizes if size.packed), None)


def _orthonormal_columns(key: jax.Array, rows: Size, columns: Size, dtype: Any) -> jax.Array:
    """Of a matrix as long as the longer side and as wide as the shorter one: zero beyond the true ones."""
    hyper = _hyper((rows, columns))
    longer = Size(jnp.maximum(rows.value, columns.value), max(rows.cap, columns.cap), hyper)
    shorter = Size(jnp.minimum(rows.value, columns.value), min(rows.cap, columns.cap), hyper)
    return _gram_schmidt(draws.normal(key, (longer, shorter), dtype))


def _gram_schmidt(matrix: jax.Array) -> jax.Array:
    """The Q of a QR decomposition with a positive diagonal, zero where columns are zero.

    Classical Gram-Schmidt, each column twice (Giraud, Langou and Rozloznik, "The loss of orthogonality in the
    Gram-Schmidt orthogonalization process", 2005). XLA's QR on a CPU is a library call, several of which wait for each
    other for ever where there are fewer cores.
    """

    def turn(at: Any, q: jax.Array) -> jax.Array:
        column = at // 2
        earlier = jnp.arange(q.shape[1]) < column
        seen = jnp.where(earlier, jnp.matmul(q[:, column], q, precision=jax.lax.Precision.HIGHEST), 0)
        rest = q[:, column] - jnp.matmul(q, seen, precision=jax.lax.Precision.HIGHEST)
        length = jnp.sqrt(jnp.sum(jnp.square(rest)))
        return q.at[:, column].set(rest / jnp.where(length > 0, length, 1.0))

    wide = matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))
    return jax.lax.fori_loop(0, 2 * matrix.shape[1], turn, wide).astype(matrix.dtype)


def _pair(gain: float, fan: Callable[[_Layout], Any], *names: str) -> dict[str, _Rule]:
    uniform: _Rule = functools.partial(_by_fan, gain, fan, "uniform")
    normal: _Rule = functools.partial(_by_fan, gain, fan, "truncated_normal")
    return {f"{name}_{kind}": rule for name in names for kind, rule in (("uniform", uniform), ("normal", normal))}


_RULES: dict[str, _Rule] = {
    "constant": functools.partial(_full, 1.0),
    "embedding": functools.partial(_by_fan, 1.0, _features, "normal"),
    **_pair(1.0, _fan_average, "glorot", "xavier"),
    **_pair(2.0, _fan_in, "he", "kaiming"),
    **_pair(1.0, _fan_in, "lecun"),
    "normal": _normal,
    "ones": functools.partial(_full, 1.0),
    "orthogonal": _orthogonal,
    "truncated_normal": _truncated_normal,
    "uniform": _uniform,
    "zeros": functools.partial(_full, 0.0),
}
_OF_TWO_AXES = {name for name in _RULES if name.endswith(("_uniform", "_normal", "orthogonal"))} - {"truncated_normal"}

INITIALIZERS = tuple(sorted(_RULES))
"""The names that `initializer` knows."""


@dataclass(frozen=True, eq=False)
class Initializer:
    """Makes the initial values of a param. Made by `initializer`.

    Attributes:
      names: what it may be.
      index: which of them, int32 []; None for the only one.
      scale: what the values are multiplied by; None for what JAX does.
    """

    names: tuple[str, ...]
    index: Any = None
    scale: Any = None

    def __call__(
        self,
        key: jax.Array,
        sizes: Sequence[Any],
        dtype: Any = float,
        *,
        in_axis: int | Sequence[int] = -2,
        out_axis: int | Sequence[int] = -1,
    ) -> jax.Array:
        """Makes values.

        Args:
          key: a typed key, [].
          sizes: the length of each axis: a `Size`, an int or a Hyper.
          dtype: a floating type.
          in_axis: axes that inputs come along; those that are neither are the receptive field.
          out_axis: axes that outputs go along.

        Returns:
          `[caps]`: what `jax.nn.initializers` gives for the true shape, and zeros around it.

        Raises:
          ArgumentError: fewer than two axes, where there must be a fan-in.
        """
        lengths = tuple(size if isinstance(size, Size) else packed_size(size) for size in sizes)
        for name in self.names:
            if name in _OF_TWO_AXES and len(lengths) < 2:
                raise ArgumentError(
                    f"The initializer {name!r} needs at least two axes, as its values depend on the number of inputs; "
                    f"the array has {len(lengths)}. Pass zeros, ones, constant, normal or uniform for biases."
                )
        layout = _Layout(lengths, _axes(in_axis, len(lengths)), _axes(out_axis, len(lengths)))
        branches = [functools.partial(self._values, name, layout=layout, dtype=dtype) for name in self.names]
        return branches[0](key) if self.index is None else jax.lax.switch(self.index, branches, key)

    def _values(self, name: str, key: jax.Array, layout: _Layout, dtype: Any) -> jax.Array:
        values = _RULES[name](key, layout, dtype)
        scale = _DEFAULT_SCALES.get(name) if self.scale is None else self.scale
        return values if scale is None else values * jnp.asarray(scale, values.dtype)


def _axes(given: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    return tuple(axis % max(ndim, 1) for axis in ((given,) if isinstance(given, int) else given))


@dataclass(frozen=True)
class _Given:
    """An initializer of the user's, which knows shapes and not sizes."""

    function: Callable[..., jax.Array]

    def __call__(
        self, key: jax.Array, sizes: Sequence[Any], dtype: Any = float, *, in_axis: Any = -2, out_axis: Any = -1
    ) -> jax.Array:
        """Several axes on either side are drawn as one, as `flax.linen.DenseGeneral` does."""
        lengths = tuple(size if isinstance(size, Size) else packed_size(size) for size in sizes)
        if any(size.packed for size in lengths):
            name = getattr(self.function, "__qualname__", repr(self.function))
            raise ArgumentError(
                f"An array with packed axes needs an initializer that knows its true size; {name} was given, which "
                f"sees the padded shape {tuple(size.cap for size in lengths)} only. Pass a name instead, or "
                f"vtune.nn.initializer(name, scale): {', '.join(INITIALIZERS)}."
            )
        shape = tuple(size.cap for size in lengths)
        if isinstance(in_axis, int) and isinstance(out_axis, int):
            return self.function(key, shape, dtype)
        matrix = [math.prod(shape[axis] for axis in _axes(each, len(shape))) for each in (in_axis, out_axis)]
        return self.function(key, tuple(matrix), dtype).reshape(shape)


_SIZELESS = ((jax.nn.initializers.zeros, "zeros"), (jax.nn.initializers.ones, "ones"))


def initializer(name: Any, scale: Any = None) -> Callable[..., jax.Array]:
    """Returns an initializer: that of a name, or the one that a hyperparameter chooses.

    What it makes has the values that `jax.nn.initializers` gives for the same key and the true shape, whatever the
    padding: from the same random bits, to the last digit but for what XLA rounds. Glorot (Xavier): Glorot and Bengio
    2010. He (Kaiming): He et al. 2015. LeCun: LeCun et al. 1998. Orthogonal: Saxe et al. 2014. "embedding" is the
    default of `flax.linen.Embed`.

    Args:
      name: one of `INITIALIZERS`; a hyperparameter that is a Choice of names, which is then packed; or a function of
        (key, shape, dtype), which serves arrays without packed axes.
      scale: what the values are multiplied by, []: the standard deviation of "normal" and "truncated_normal" (before
        the truncation), the bound of "uniform", the value of "constant", a gain for all others. By default 0.01 for the
        first three, as in JAX, and 1.

    Returns:
      init(key, sizes, dtype=float, *, in_axis=-2, out_axis=-1) -> array `[caps]`, zero for padding. Sizes may be plain
      ints: it is an initializer for any layer of Flax too.

    Raises:
      ArgumentError: there is no initializer of that name (a Choice is looked through whole), "constant" without a
        scale, or a scale for a function.

    Example:
      >>> import jax
      >>> from vtune import nn as vnn
      >>> vnn.initializer("ones", 0.5)(jax.random.key(0), (2, 3)).tolist()
      [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    if callable(name):
        return _of_function(name, scale)
    index = choice_index(name) if isinstance(name, str | Hyper) else None
    names = (name,) if index is None else choice_values(name) or ()
    for each in names:
        if not isinstance(each, str) or each not in _RULES:
            raise ArgumentError(
                f"An initializer is one of {', '.join(INITIALIZERS)}, or a function of (key, shape, dtype); "
                f"{each!r} was given."
            )
        if each == "constant" and scale is None:
            raise ArgumentError('The initializer "constant" needs its value: pass it as scale.')
    return Initializer(tuple(map(str, names)), index, scale)


def _of_function(function: Callable[..., jax.Array], scale: Any) -> Callable[..., jax.Array]:
    if scale is not None:
        raise ArgumentError(f"A scale goes with the name of an initializer; a function was given: {function!r}.")
    if isinstance(function, Initializer | _Given):
        return function
    known = [name for sizeless, name in _SIZELESS if sizeless is function]
    return Initializer((known[0],)) if known else _Given(function)
