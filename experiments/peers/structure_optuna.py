"""Optuna over nine hyperparameters: a jitted step a trial, and whole runs compiled once for each structure."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

import flax.linen as nn
import jax
import numpy as np
import optuna
from flax.training.train_state import TrainState
from peers import problem, structure_problem
from peers.problem import Batch
from peers.structure_outcome import Outcome
from peers.structure_problem import BOUNDS, CHOICES, WITH_MOMENTUM, Config, Settings
from peers.with_optuna import Table

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggest(trial: optuna.Trial) -> Config:
    """All nine, momentum only where it counts."""
    config: Config = {name: trial.suggest_categorical(name, values) for name, values in CHOICES.items()}
    for name, (low, high, scale) in BOUNDS.items():
        if name != "momentum" or config["optimizer"] in WITH_MOMENTUM:
            config[name] = trial.suggest_float(name, low, high, log=scale == "log")
    return config


def optimized(settings: Settings, objective: Callable[[Config, int], float]) -> list[float]:
    """Scores of a study in memory; a trial that diverged has none and counts as failed, as Optuna has it."""
    study = optuna.create_study(sampler=Table(structure_problem.configs(settings.trials)), direction="maximize")
    study.optimize(lambda trial: objective(suggest(trial), trial.number), n_trials=settings.trials)
    return [np.nan if trial.value is None else trial.value for trial in study.trials]


def step_per_trial(settings: Settings, train: Batch, valid: Batch) -> Outcome:
    """What tutorials show: model, optimizer and jitted step made in the objective, batches fed from the host."""
    (x, y), (x_valid, y_valid) = (tuple(map(np.asarray, part)) for part in (train, valid))

    def objective(config: Config, number: int) -> float:
        model = structure_problem.network(config, config["dropout"], nn.Dropout)
        params = model.init(jax.random.key(number), x[:1], False)["params"]
        tx = structure_problem.optimizer(config["optimizer"], config["lr"], config.get("momentum"))
        state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

        @jax.jit
        def train_step(state, x, y, key):
            def loss_of(params):
                return problem.cross_entropy(state.apply_fn({"params": params}, x, True, rngs={"dropout": key}), y)

            loss, grads = jax.value_and_grad(loss_of)(state.params)
            return state.apply_gradients(grads=grads), loss

        measure = jax.jit(lambda params, x, y: structure_problem.accuracy(model, params, (x, y)))
        rng, key = np.random.default_rng(number), jax.random.key(number)
        for _ in range(settings.steps):
            batch = rng.integers(0, len(x), config["batch"])
            key, dropout_key = jax.random.split(key)
            state, _ = train_step(state, x[batch], y[batch], dropout_key)
        measure(state.params, x[: len(x_valid)], y[: len(x_valid)])
        return float(measure(state.params, x_valid, y_valid))

    return Outcome(optimized(settings, objective))


def runs_by_structure(settings: Settings, train: Batch, valid: Batch) -> Outcome:
    """A whole run as one scan, compiled when a structure is met first and kept.

    It takes initial params, so that the initializer is no part of the structure: 1,280 programs in place of 5,120. They
    are made as tutorials make them, without `jit`, which compiles a few operations for each width and initializer.
    """
    runs: dict[Hashable, jax.stages.Compiled] = {}
    seen: set[Hashable] = set()
    setup: dict[str, list[float]] = {"run": [], "init": []}
    running: list[float] = []

    def objective(config: Config, number: int) -> float:
        structure = structure_problem.structures(config)
        init_key, run_key = jax.random.split(jax.random.key(number))
        began = time.perf_counter()
        params = jax.block_until_ready(structure_problem.initial(config, init_key))
        made = time.perf_counter()
        given = structure_problem.values(config), params, run_key, train, valid
        if structure["run"] not in runs:
            run = jax.jit(structure_problem.whole_run(config, settings.steps))
            runs[structure["run"]] = run.lower(*given).compile()
            setup["run"].append(time.perf_counter() - made)
        compiled = time.perf_counter()
        score = float(runs[structure["run"]](*given)[0])
        running.append(time.perf_counter() - compiled)
        if structure["init"] in seen:
            running[-1] += made - began
        else:
            setup["init"].append(made - began)
            seen.add(structure["init"])
        return score

    return Outcome(optimized(settings, objective), setup, running)


DRIVERS = {
    "Optuna, a jitted step a trial": step_per_trial,
    "Optuna, whole runs by structure": runs_by_structure,
}
