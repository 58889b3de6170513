"""One face for flax.linen and flax.nnx models: initialise, apply, hand out variables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from vtune.errors import TaskError


class Network(Protocol):
    """A model built for one set of hyperparameters, as pure functions of plain nested dicts."""

    def init(self, key: Any, arguments: tuple[Any, ...]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Fresh (params, extra): what the optimizer may train, and what the model changes by itself."""
        ...

    def apply(
        self, params: Any, extra: Any, arguments: tuple[Any, ...], key: Any, training: bool
    ) -> tuple[Any, dict[Any, Any]]:
        """(outputs, next extra) of one batch."""
        ...

    def given(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """(params, extra) among pretrained variables, which may be only some of the model's."""
        ...

    def variables(self, params: Any, extra: Any) -> dict[Any, Any]:
        """What the plain Flax model loads."""
        ...

    def restored(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """(params, extra) from what `variables` gave, in which nothing is missing."""
        ...


def build(model: Callable[..., Any], hp: Any, key: Any) -> Network:
    """Calls the user's `model(hp)` (linen) or `model(hp, rngs)` (nnx) and wraps what it returns.

    Args:
      model: the user's function.
      hp: hyperparameters, handed through.
      key: seeds the nnx model's streams; linen models do not need it here.

    Raises:
      TaskError: when it returns something else.
    """
    from flax import linen, nnx

    from vtune.tasks.linen_network import LinenNetwork
    from vtune.tasks.nnx_network import NnxNetwork

    if takes_rngs(model):
        module = model(hp, nnx.Rngs(key))
        if isinstance(module, nnx.Module):
            return NnxNetwork(module)
        raise TaskError(f"model(hp, rngs) must return a flax.nnx.Module; it returned a {type(module).__name__}.")
    module = model(hp)
    if isinstance(module, linen.Module):
        return LinenNetwork(module)
    hint = " Take the streams of an nnx model as a second argument: model(hp, rngs)." * isinstance(module, nnx.Module)
    raise TaskError(f"model(hp) must return a flax.linen.Module; it returned a {type(module).__name__}.{hint}")


def plain(variables: Any, nnx_model: bool) -> dict[Any, Any]:
    """Pretrained variables as a nested dict of NumPy arrays.

    Raises:
      TaskError: when they have another form.
    """
    from flax import core, nnx

    if isinstance(variables, nnx.State):
        variables = nnx.to_pure_dict(nnx.filter_state(variables, nnx.Not(nnx.RngState)))
    elif isinstance(variables, Mapping):
        variables = core.unfreeze(dict(variables))
    if not isinstance(variables, dict):
        raise TaskError(f"init= must be a nested dict of variables; it is a {type(variables).__name__}.")
    if not nnx_model and "params" not in variables:
        raise TaskError(
            "init= of a linen model must be {'params': ...}, with other collections beside it; its keys are "
            f"{', '.join(map(str, variables)) or 'none'}."
        )
    return jax.tree.map(np.asarray, variables)


def takes_rngs(model: Callable[..., Any]) -> bool:
    """Whether a model function is of the nnx form, model(hp, rngs)."""
    return takes("rngs", model)


def takes(name: str, function: Callable[..., Any]) -> bool:
    """Whether a function of hyperparameters takes something else by position: of that name, or without a default."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [each for each in inspect.signature(function).parameters.values() if each.kind in kinds]
    return len(parameters) > 1 and (parameters[1].name == name or parameters[1].default is parameters[1].empty)


def mode_arguments(module: Any, training: bool) -> dict[str, Any]:
    """Which of train, training, is_training and deterministic the module's `__call__` takes, with their values."""
    accepted = inspect.signature(type(module).__call__).parameters
    values = {"train": training, "training": training, "is_training": training, "deterministic": not training}
    return {name: value for name, value in values.items() if name in accepted}
