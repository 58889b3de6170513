"""One of several normalisations, chosen by a hyperparameter: all share one scale, one bias and one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.hyper import Size, choice_index, choice_values, chosen
from vtune.nn.norms import Moments, layer_moments, normalise
from vtune.nn.sizes import masked

NORMS = ("batch", "layer", "none", "rms")
"""The names of normalisations; None is "none"."""

_EPSILON = {"batch": 1e-5, "layer": 1e-6, "rms": 1e-6}


def norm_name(norm: Any) -> str:
    """The plain name of a normalisation.

    Raises:
      ArgumentError: there is none of that name.

    >>> norm_name(None)
    'none'
    """
    name = "none" if norm is None else norm
    if not isinstance(name, str) or name not in NORMS:
        raise ArgumentError(f"A norm is None or one of {', '.join(NORMS)}; {norm!r} was given.")
    return name


@dataclass(frozen=True, slots=True)
class NormChoice:
    """What a normalisation that a hyperparameter chooses is made of. Made by `norm_choice`.

    Attributes:
      kinds: what it may be.
      index: which of them, int32 [].
      features: size of the last axis.
      scale: size of the scale: 0 in trials without one.
      bias: the same for the bias; None if no kind has one.
      statistics: the same for the running mean and variance of batch norm.
    """

    kinds: tuple[str, ...]
    index: jax.Array
    features: Size
    scale: Size
    bias: Size | None
    statistics: Size | None

    def normalised(
        self, x: jax.Array, batch: Moments | None, scale: jax.Array, bias: jax.Array | None, dtype: Any = None
    ) -> jax.Array:
        """Normalises as chosen.

        Args:
          x: [..., features.cap].
          batch: mean and variance that batch norm takes, [features.cap]; None if it is not among the kinds.
          scale: [features.cap], zero beyond its size.
          bias: the same; None if no kind has one.
          dtype: of the result; inferred if None.
        """
        mean, variance, epsilon = jnp.zeros(()), jnp.ones(()), jnp.zeros(())
        for at, kind in enumerate(self.kinds):
            if kind != "none":
                moments = batch if kind == "batch" else layer_moments(x, self.features, centred=kind == "layer")
                here = self.index == at
                mean, variance = (jnp.where(here, *pair) for pair in zip(moments or (), (mean, variance), strict=True))
                epsilon = jnp.where(here, _EPSILON[kind], epsilon)
        scale = masked(scale, (self.scale,))
        bias = None if bias is None or self.bias is None else masked(bias, (self.bias,))
        y = normalise(x, (mean, variance), scale, bias, self.features, epsilon, dtype)
        if "none" not in self.kinds:
            return y
        return jnp.where(self.index == self.kinds.index("none"), masked(x, (self.features,)).astype(y.dtype), y)


def norm_choice(norm: Any, features: Size) -> NormChoice | None:
    """What packs a normalisation that a hyperparameter chooses.

    Args:
      norm: what `hp.name` gave.
      features: size of the last axis.

    Returns:
      None for a plain name, which `norm_name` checks.

    Raises:
      ArgumentError: a value of the Choice is no normalisation.
    """
    index = choice_index(norm) if isinstance(norm, str) else None
    kinds = () if index is None else tuple(norm_name(value) for value in choice_values(norm) or ())
    if index is None or not set(kinds) - {"none"}:
        return None

    def size(*having: str) -> Size | None:
        return None if set(having).isdisjoint(kinds) else _where(chosen(norm, *having), features)

    return NormChoice(kinds, index, features, size(*_EPSILON) or features, size("batch", "layer"), size("batch"))


def _where(flag: Any, size: Size) -> Size:
    """The size in trials in which the flag is true, else 0."""
    length = size.value if size.hyper is None else size.hyper
    return Size(jnp.where(flag.tracer, size.value, 0), size.cap, length * flag)
