"""Trains one trial alone, with plain Python values in place of hyperparameters and nothing batched.

What a batch of lanes computes must equal this; `Study.verify` and the contract tests compare the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune import rng
from vtune.engine.stream import Feed
from vtune.hyper import PlainHP, resident
from vtune.records import Leg
from vtune.tasks.base import Run
from vtune.tasks.budget import Clock, length, next_mark


def train_alone(
    task: Any,
    route: Sequence[Leg],
    *,
    run: Run,
    seed: int,
    rng_name: str = "pcg",
    replica: int = 0,
    folds: int = 1,
    clock: Clock | None = None,
) -> tuple[list[tuple[int, dict[str, float]]], Any]:
    """Trains one trial as a plain jitted loop would.

    Args:
      task: the task, already told of the run.
      route: whose keys and which filled configs train it, up to which steps; the last leg goes to the trial's end.
      run: the budget of a trial.
      seed: the study's seed.
      rng_name: generator of the keys.
      replica: which of the trial's folds and seeds.
      folds: how many parts the data are divided into.
      clock: says after which steps it is measured besides.

    Returns:
      (step, metrics) of every measurement, and the final state.
    """
    data = jax.device_put(task.data)
    data = data if folds == 1 else jax.jit(task.fold)(data, replica % folds)
    feed = Feed(task, data)
    leaves: list[Any] = []
    curve: list[tuple[int, dict[str, float]]] = []
    since: list[Any] = []
    done = 0
    for leg in route:
        hp = PlainHP(leg.config)
        key = rng.trial_key(rng.study_key(seed, rng_name), leg.trial, replica)
        fresh = task.init(hp, data, rng.step_key(key, "init"))
        definition, leaves = jax.tree.structure(fresh), _inherited(leaves, fresh)
        step, evaluate = _jitted(task, hp, key, definition)
        whole = length(task, run, leg.config, clock)
        while done < min(leg.until, whole.steps):
            mark = int(next_mark(done, whole.steps, whole.every))
            data = feed.at(done)
            leaves, metrics = step(leaves, jnp.uint32(done), data)
            since.append(metrics)
            done += 1
            if done == mark or done in whole.also:
                measured = evaluate(leaves, jnp.uint32(done), data)
                averages = {name: _mean([m[name] for m in since]) for name in since[0]}
                curve.append((done, averages | {name: float(value) for name, value in measured.items()}))
                since = []
    feed.close()
    return curve, jax.tree.unflatten(definition, leaves)


def _inherited(leaves: list[Any], fresh: Any) -> list[Any]:
    """The leaves with which a leg begins: those that the last one left, but for hyperparameters that live there."""
    new = jax.tree_util.tree_leaves_with_path(fresh)
    if not leaves:
        return [leaf for _, leaf in new]
    pairs = zip(leaves, new, strict=True)
    return [leaf if resident(jax.tree_util.keystr(path)) else before for before, (path, leaf) in pairs]


def _jitted(task: Any, hp: Any, key: Any, definition: Any) -> tuple[Any, Any]:
    """A step and a measurement of the leaves of a state, under plain hyperparameters and a trial's key."""

    @jax.jit
    def step(leaves: Any, step: Any, data: Any) -> Any:
        state = jax.tree.unflatten(definition, leaves)
        state, metrics = task.step(hp, state, data, rng.step_key(key, "model", step))
        return jax.tree.leaves(state), metrics

    @jax.jit
    def evaluate(leaves: Any, step: Any, data: Any) -> Any:
        state = jax.tree.unflatten(definition, leaves)
        return task.evaluate(hp, state, data, rng.step_key(key, "evaluate", step))

    return step, evaluate


def _mean(values: list[Any]) -> float:
    known = np.asarray(jax.device_get(values), np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")
