"""Hyperparameters that live in a trial's state, where the trial's own code reads them, and not in its config."""

from __future__ import annotations

import re

_NAME = re.compile(r"\.hyperparams\b|\['hyperparams'\]")


def resident(path: str) -> bool:
    """Whether an array of a state holds a hyperparameter, as `optax.inject_hyperparams` keeps them.

    A trial that goes on from a copy of another has its own there, since the copied ones are the other's.

    Args:
      path: of the array, as `jax.tree_util.keystr` writes it.

    >>> import jax, jax.numpy as jnp, optax
    >>> state = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1).init({"w": jnp.zeros(2)})
    >>> paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    >>> [path for path in paths if resident(path)]
    [".hyperparams['learning_rate']"]
    """
    return _NAME.search(path) is not None
