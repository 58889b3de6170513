"""Optuna around one trial at a time: a tutorial's loop, and a whole run compiled once."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import optuna
from flax.training.train_state import TrainState
from peers import problem
from peers.problem import BOUNDS, Batch, Settings

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Table(optuna.samplers.BaseSampler):
    """Suggests given configurations in order, as cheaply as Optuna's random sampler: all drivers try the same."""

    def __init__(self, table: list[dict[str, float]]):
        self.table = table

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.table[trial.number][param_name]


def new_study(settings: Settings, sqlite: bool) -> optuna.Study:
    """A study in memory, or in a fresh SQLite file."""
    path = Path(tempfile.mkdtemp(prefix="optuna-")) / "study.db"
    return optuna.create_study(
        storage=f"sqlite:///{path}" if sqlite else None,
        sampler=Table(problem.configs(settings.trials)),
        direction="maximize",
    )


def suggest(trial: optuna.Trial) -> dict[str, float]:
    return {
        name: trial.suggest_float(name, low, high, log=scale == "log") for name, (low, high, scale) in BOUNDS.items()
    }


def report(trial: optuna.Trial, scores: np.ndarray, settings: Settings) -> None:
    """Intermediate validation accuracies, where there is more than the last."""
    for i, accuracy in enumerate(scores[:-1, 0]):
        trial.report(float(accuracy), (i + 1) * settings.eval_every)


def tutorial(settings: Settings, train: Batch, valid: Batch) -> list[float]:
    """Model, optimizer and a jitted step made inside the objective, batches fed from the host."""
    (x, y), (x_valid, y_valid) = (tuple(map(np.asarray, part)) for part in (train, valid))

    def objective(trial: optuna.Trial) -> float:
        hp = suggest(trial)
        model = problem.network(settings, hp["dropout"], nn.Dropout)
        params = model.init(jax.random.key(trial.number), x[:1], False)["params"]
        state = TrainState.create(apply_fn=model.apply, params=params, tx=problem.optimizer(hp))

        @jax.jit
        def train_step(state, x, y, key):
            def loss_of(params):
                logits = state.apply_fn({"params": params}, x, True, rngs={"dropout": key})
                return problem.cross_entropy(logits, y)

            loss, grads = jax.value_and_grad(loss_of)(state.params)
            return state.apply_gradients(grads=grads), loss

        @jax.jit
        def measure(params, x, y):
            logits = model.apply({"params": params}, x, False)
            return (logits.argmax(-1) == y).mean(), problem.cross_entropy(logits, y)

        rng, key = np.random.default_rng(trial.number), jax.random.key(trial.number)
        for i in range(1, settings.steps + 1):
            batch = rng.integers(0, len(x), settings.batch)
            key, dropout_key = jax.random.split(key)
            state, _ = train_step(state, x[batch], y[batch], dropout_key)
            if i % settings.eval_every == 0:
                accuracy = float(measure(state.params, x_valid, y_valid)[0])
                measure(state.params, x[: len(x_valid)], y[: len(x_valid)])
                if i < settings.steps:
                    trial.report(accuracy, i)
        return accuracy

    study = new_study(settings, sqlite=False)
    study.optimize(objective, n_trials=settings.trials)
    return [trial.value for trial in study.trials]


def jit_once(settings: Settings, train: Batch, valid: Batch, *, sqlite: bool) -> list[float]:
    """The whole run as one scan with the values as arguments: one compilation, one call a trial."""
    run = jax.jit(problem.whole_run(settings))

    def objective(trial: optuna.Trial) -> float:
        scores = np.asarray(run(suggest(trial), jax.random.key(trial.number), train, valid))
        report(trial, scores, settings)
        return float(scores[-1, 0])

    study = new_study(settings, sqlite)
    study.optimize(objective, n_trials=settings.trials)
    return [trial.value for trial in study.trials]


def vmapped(settings: Settings, train: Batch, valid: Batch, *, lanes: int, sqlite: bool) -> list[float]:
    """Ask for as many trials as there are lanes, train them in one vmapped call, tell their accuracies."""
    run = jax.jit(jax.vmap(problem.whole_run(settings), in_axes=(0, 0, None, None)))
    study = new_study(settings, sqlite)
    for first in range(0, settings.trials, lanes):
        trials = [study.ask() for _ in range(min(lanes, settings.trials - first))]
        hp = problem.stack([suggest(trial) for trial in trials])
        keys = jax.vmap(jax.random.key)(np.arange(first, first + len(trials)))
        for trial, scores in zip(trials, np.asarray(run(hp, keys, train, valid)), strict=True):
            report(trial, scores, settings)
            study.tell(trial, float(scores[-1, 0]))
    return [trial.value for trial in study.trials]


DRIVERS = {
    "Optuna, a tutorial's loop": tutorial,
    "Optuna, jitted once": functools.partial(jit_once, sqlite=False),
    "Optuna, jitted once, SQLite": functools.partial(jit_once, sqlite=True),
    **{
        f"Optuna and vmap over {lanes}{', SQLite' if sqlite else ''}": functools.partial(
            vmapped, lanes=lanes, sqlite=sqlite
        )
        for sqlite in (False, True)
        for lanes in (32, 64, 256)
    },
}
