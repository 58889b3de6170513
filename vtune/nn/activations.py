"""Activation functions by name, or one of several chosen by a hyperparameter."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import ArgumentError
from vtune.hyper import choice_index, choice_values

Activation = Callable[[jax.Array], jax.Array]

_FUNCTIONS: dict[str, Activation] = {
    "celu": jax.nn.celu,
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_silu": jax.nn.hard_silu,
    "hard_swish": jax.nn.hard_swish,
    "hard_tanh": jax.nn.hard_tanh,
    "identity": lambda x: x,
    "leaky_relu": jax.nn.leaky_relu,
    "linear": lambda x: x,
    "log_sigmoid": jax.nn.log_sigmoid,
    "mish": jax.nn.mish,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "soft_sign": jax.nn.soft_sign,
    "softplus": jax.nn.softplus,
    "squareplus": jax.nn.squareplus,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
}

ACTIVATIONS = tuple(_FUNCTIONS)
"""The names that `activation` knows."""


def activation(name: Any) -> Activation:
    """Returns an activation function: that of a name, or the one that a hyperparameter chooses.

    Args:
      name: a name such as "relu"; a hyperparameter that is a Choice of names, which is then packed: one program
        computes all of them and each trial takes its own; or any function, which is returned as it is.

    Returns:
      A function of an array that gives an array of the same shape, as `flax.linen` has it under that name. "linear" and
      "identity" give the array back.

    Raises:
      ArgumentError: there is no activation of that name; a Choice is looked through whole.

    Example:
      >>> import jax.numpy as jnp
      >>> from vtune import nn as vnn
      >>> vnn.activation("relu6")(jnp.array([-1.0, 3.0, 9.0])).tolist()
      [0.0, 3.0, 6.0]
    """
    if callable(name):
        return name
    index = choice_index(name) if isinstance(name, str) else None
    if index is None:
        return _named(name)
    return functools.partial(_chosen, index, [_named(choice) for choice in choice_values(name) or ()])


def _named(name: Any) -> Activation:
    if not isinstance(name, str) or name not in _FUNCTIONS:
        raise ArgumentError(
            f"An activation is one of {', '.join(ACTIVATIONS)}, or a function; {name!r} was given. "
            "Pass the function itself for any other."
        )
    return _FUNCTIONS[name]


def _chosen(index: jax.Array, functions: list[Activation], x: jax.Array) -> jax.Array:
    """Every function but the chosen one gets zeros, so that none overflows where its gradient is thrown away."""

    def branch(position: int, function: Activation) -> Activation:
        return lambda inputs: function(jnp.where(index == position, inputs, jnp.zeros((), inputs.dtype)))

    return jax.lax.switch(index, [branch(*item) for item in enumerate(functions)], x)
