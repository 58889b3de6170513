"""Spaces and configurations in the words of Optuna, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np

from vtune.errors import ConfigError
from vtune.extras import extra
from vtune.records import Config
from vtune.space import Choice, Int, Space
from vtune.space.axes import Cells
from vtune.space.parameter import Parameter

optuna = extra("optuna", "what has to do with Optuna")


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Optuna from writing a line about every study and trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def distribution(parameter: Any) -> Any:
    """The distribution of Optuna that a hyperparameter is.

    Optuna has no steps on a logarithmic scale: such hyperparameters keep the scale and lose the steps, as do steps that
    decimals cannot say.

    Example:
      >>> distribution(Int(1, 8, log=True)), distribution(Choice("a", (1, 2)))
      (IntDistribution(high=8, log=True, low=1, step=1), CategoricalDistribution(choices=('a', '[1, 2]')))
    """
    if isinstance(parameter, Choice):
        return optuna.distributions.CategoricalDistribution(categories(parameter))
    axis, low, log = parameter.axis, parameter.low, parameter.log
    if not isinstance(axis, Cells):
        return optuna.distributions.FloatDistribution(low, parameter.high, log=log)
    high = parameter.decode(np.array([axis.count - 1]))[0]
    step = None if log or axis.count == 1 else parameter.step
    if isinstance(parameter, Int):
        return optuna.distributions.IntDistribution(low, high, log=log, step=step or 1)
    even = step is not None and (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step)) == 0
    return optuna.distributions.FloatDistribution(low, high, log=log, step=step if even else None)


def categories(parameter: Choice) -> tuple[Any, ...]:
    """What stands in Optuna for the values of a choice: themselves, or JSON text for tuples, which it cannot store.

    Example:
      >>> categories(Choice("relu", None, 0.5)), categories(Choice("a", (1, 2)))
      (('relu', None, 0.5), ('a', '[1, 2]'))
    """
    labels = parameter.labels
    simple = tuple(json.dumps(label) if isinstance(label, list) else label for label in labels)
    return simple if len(set(simple)) == len(simple) else tuple(map(json.dumps, labels))


def params(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as the params of a trial of Optuna; hyperparameters that are not active are left out."""
    return {name: _given(space[name], config[name]) for name in space if name in config}


def suggested(space: Space, trial: Any) -> Config:
    """Has a trial of Optuna suggest what is active, parents first -> a configuration."""
    return space.unfold(lambda name: taken(space[name], _suggest(trial, name, space[name])))


def taken(parameter: Any, value: Any) -> Any:
    """A value of Optuna as the hyperparameter has it; what lies between two steps goes to the nearer one.

    Raises:
      ConfigError: a category that the choice does not have.
    """
    if isinstance(parameter, Choice):
        known = categories(parameter)
        for place, each in enumerate(known):
            if each == value and isinstance(each, bool) == isinstance(value, bool):
                return parameter.values[place]
        raise ConfigError(f"a value must be one of {', '.join(map(repr, known))}; got {value!r}")
    if not isinstance(parameter.axis, Cells) or not parameter.low <= value <= parameter.high:
        return value
    index = round((value - parameter.low) / (parameter.step or 1))
    return parameter.decode(np.array([min(index, parameter.axis.count - 1)]))[0]


def _given(parameter: Parameter, value: Any) -> Any:
    return categories(parameter)[parameter.index(value) or 0] if isinstance(parameter, Choice) else value


def _suggest(trial: Any, name: str, parameter: Parameter) -> Any:
    drawn = distribution(parameter)
    if isinstance(parameter, Choice):
        return trial.suggest_categorical(name, drawn.choices)
    if isinstance(drawn, optuna.distributions.IntDistribution):
        return trial.suggest_int(name, drawn.low, drawn.high, log=drawn.log, step=drawn.step)
    return trial.suggest_float(name, drawn.low, drawn.high, log=drawn.log, step=drawn.step)
