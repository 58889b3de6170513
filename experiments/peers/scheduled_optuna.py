"""Optuna with its Hyperband pruner: one trial at a time, each structure compiled once, pruned at the rungs."""

from __future__ import annotations

import functools
import time

import numpy as np
import optuna
from peers import structure_optuna, with_optuna
from peers.problem import Batch
from peers.scheduled import Outcome, Settings, Trainer

optuna.logging.set_verbosity(optuna.logging.ERROR)
SAMPLERS = {"TPE": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}


def search(settings: Settings, train: Batch, valid: Batch, sampler: str = "TPE") -> Outcome:
    """Reports at every rung; memory storage, which is Optuna's fastest."""
    began, trainer = time.perf_counter(), Trainer(settings, train, valid)
    suggest = with_optuna.suggest if settings.space == "digits" else structure_optuna.suggest
    ended, scores, steps = [], [], []

    def objective(trial: optuna.Trial) -> float:
        on, done, score = trainer.begin(suggest(trial), trial.number), 0, np.nan
        for rung in settings.rungs:
            score, done = on(done, rung - done), rung
            trial.report(score, rung)
            if not np.isfinite(score) or (rung < settings.steps and trial.should_prune()):
                break
        ended.append(time.perf_counter() - began)
        scores.append(score)
        steps.append(done)
        if done < settings.steps:
            raise optuna.TrialPruned
        return score

    pruner = optuna.pruners.HyperbandPruner(settings.min_steps, settings.steps, settings.reduction)
    study = optuna.create_study(sampler=SAMPLERS[sampler](seed=settings.seed), pruner=pruner, direction="maximize")
    study.optimize(objective, n_trials=settings.trials, timeout=settings.seconds)
    return Outcome(ended, scores, steps, {"structures": len(trainer.compiled)})


DRIVERS = {f"Optuna, {sampler}, Hyperband": functools.partial(search, sampler=sampler) for sampler in SAMPLERS}
