"""How much work a training step is, by the sizes that are hyperparameters: from the operations that the task traces.

The plain, unpadded step is lowered for the largest and the smallest sizes and its operations are counted; between them
work is interpolated as a power of the size. Nothing is compiled or run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vtune import rng
from vtune.hyper import PlainHP, whole_values
from vtune.space import Space

SECONDS = 1e-11
"""Seconds of a thread for one operation or one byte, before a run on this machine has shown more."""


@dataclass(frozen=True, slots=True)
class Work:
    """Expected seconds of one step of one lane.

    Attributes:
      top: operations and bytes of the largest step.
      curves: hyperparameter -> (its least and largest value; log of the share of the largest step's work).
      rate: seconds of a thread for an operation or a byte.
    """

    top: float
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
    rate: float = SECONDS

    def seconds(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Seconds of a thread for a step of each config without padding, float64 [n]."""
        shares = np.zeros(len(configs))
        for name, (values, logs) in self.curves.items():
            at = np.array([config[name] for config in configs], np.float64)
            shares += np.interp(np.log(at), np.log(values), logs)
        return self.rate * self.top * np.exp(shares)

    def measured(self, config: Mapping[str, Any], seconds: float) -> Work:
        """The same with a rate that fits the seconds that a lane-step of a config took."""
        return dataclasses.replace(self, rate=self.rate * seconds / float(self.seconds([config])[0]))


def count_work(task: Any, space: Space, config: Mapping[str, Any], names: Sequence[str], data: Any) -> Work:
    """Counts the work of a task's step.

    Args:
      task: the task.
      space: where the hyperparameters come from.
      config: a filled config, for the hyperparameters that are not counted.
      names: the packed sizes.
      data: the task's data, or their shapes.
    """
    tops = {name: whole_values(space[name])[-1] for name in names}
    top = _operations(task, {**config, **tops}, data)
    curves = {}
    for name in names:
        values = whole_values(space[name])
        least = _operations(task, {**config, **tops, name: values[0]}, data)
        curves[name] = (np.array([values[0], tops[name]], np.float64), np.array([np.log(least / top), 0.0]))
    return Work(top, curves)


def _operations(task: Any, config: Mapping[str, Any], data: Any) -> float:
    key = jax.eval_shape(lambda: rng.study_key(0))
    hp = PlainHP(config)
    state = jax.eval_shape(lambda key, data: task.init(hp, data, key), key, data)
    step = jax.jit(lambda state, key, data: task.step(hp, state, data, key))
    counted = step.lower(state, key, data).cost_analysis() or {}
    return float(counted.get("flops", 0.0)) + float(counted.get("bytes accessed", 0.0)) + 1.0
