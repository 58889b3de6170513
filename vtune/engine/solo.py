"""Trains one trial alone, with plain Python values in place of hyperparameters and nothing batched.

What a batch of lanes computes must equal this; `Study.verify` and the contract tests compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune import rng
from vtune.hyper import PlainHP
from vtune.tasks.base import Run
from vtune.tasks.budget import Clock, length, next_mark


def train_alone(
    task: Any,
    config: Mapping[str, Any],
    *,
    run: Run,
    seed: int,
    trial: int,
    rng_name: str = "pcg",
    replica: int = 0,
    folds: int = 1,
    clock: Clock | None = None,
) -> tuple[list[tuple[int, dict[str, float]]], Any]:
    """Trains one trial as a plain jitted loop would.

    Args:
      task: the task, already told of the run.
      config: a filled config.
      run: the budget of a trial.
      seed: the study's seed.
      trial: the trial's id.
      rng_name: generator of the keys.
      replica: which of the trial's folds and seeds.
      folds: how many parts the data are divided into.
      clock: says after which steps it is measured besides.

    Returns:
      (step, metrics) of every measurement, and the final state.
    """
    hp = PlainHP(config)
    key = rng.trial_key(rng.study_key(seed, rng_name), trial, replica)
    data = jax.device_put(task.data)
    data = data if folds == 1 else jax.jit(task.fold)(data, replica % folds)
    state = task.init(hp, data, rng.step_key(key, "init"))
    definition = jax.tree.structure(state)

    @jax.jit
    def step(leaves: Any, step: Any, data: Any) -> Any:
        state = jax.tree.unflatten(definition, leaves)
        state, metrics = task.step(hp, state, data, rng.step_key(key, "model", step))
        return jax.tree.leaves(state), metrics

    @jax.jit
    def evaluate(leaves: Any, step: Any, data: Any) -> Any:
        state = jax.tree.unflatten(definition, leaves)
        return task.evaluate(hp, state, data, rng.step_key(key, "evaluate", step))

    leaves = jax.tree.leaves(state)
    curve: list[tuple[int, dict[str, float]]] = []
    since: list[Any] = []
    whole = length(task, run, config, clock)
    mark = int(next_mark(0, whole.steps, whole.every))
    for done in range(whole.steps):
        leaves, metrics = step(leaves, jnp.uint32(done), data)
        since.append(metrics)
        if done + 1 == mark or done + 1 in whole.also:
            measured = evaluate(leaves, jnp.uint32(done + 1), data)
            averages = {name: _mean([m[name] for m in since]) for name in since[0]}
            curve.append((done + 1, averages | {name: float(value) for name, value in measured.items()}))
            since = []
            mark = int(next_mark(done + 1, whole.steps, whole.every))
    return curve, jax.tree.unflatten(definition, leaves)


def _mean(values: list[Any]) -> float:
    known = np.asarray(jax.device_get(values), np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")
