"""Races a fast proposer against others on the search problems beside this file, with the settings given.

    python experiments/search/race.py tpe optuna random --problems hartmann6 mixed --batches 16 64 --seeds 100 101 102
    python experiments/search/race.py tpe --set crossing=0 --set most=25

Prints the mean normalised regret after 128 and 256 evaluations: the regret of the best config so far, over that of the
best of ten random ones. Seeds from 100 on are for choosing settings; those below are for reported figures.
"""

from __future__ import annotations

import argparse
import ast
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from tasks import PROBLEMS, Config, Problem

from vtune import proposers
from vtune.space import Choice, Int, Space

MARKS = (128, 256)


class Optuna:
    """Optuna's TPE (multivariate, group, constant liar) behind ask and tell."""

    def __init__(self, space: Space, seed: int):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        self.space = space
        self.study = optuna.create_study(sampler=sampler)
        self.trials: list[Any] = []

    def ask(self, n: int) -> list[Config]:
        self.trials = [self.study.ask() for _ in range(n)]
        return [self._suggested(trial) for trial in self.trials]

    def tell(self, configs: Sequence[Config], scores: Sequence[float]) -> None:
        for trial, score in zip(self.trials, scores, strict=True):
            self.study.tell(trial, float(score))

    def _suggested(self, trial: Any) -> Config:
        config: Config = {}
        left = dict(self.space)
        while left:
            for name, parameter in list(left.items()):
                parents = parameter.when or {}
                if any(parent in left for parent in parents):
                    continue
                del left[name]
                if not all(parent in config and _among(config[parent], parents[parent]) for parent in parents):
                    continue
                if isinstance(parameter, Choice):
                    config[name] = trial.suggest_categorical(name, parameter.values)
                else:
                    suggest = trial.suggest_int if isinstance(parameter, Int) else trial.suggest_float
                    config[name] = suggest(name, parameter.low, parameter.high, log=parameter.log)
        return config


def _among(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, tuple) else value == wanted


def made(name: str, space: Space, seed: int, changes: dict[str, Any]) -> Any:
    """A proposer by its name, TPE with other settings."""
    if name == "optuna":
        return Optuna(space, seed)
    proposer = proposers.make(name, space, seed)
    if name == "tpe":
        proposer.settings = replace(proposer.settings, **changes)
    return proposer


def played(problem: Problem, proposer: Any, batch: int, seed: int) -> tuple[list[float], float]:
    """Normalised regrets at the marks, and seconds for an ask and a tell on the average."""
    drawn = [problem.space.sample(10, np.random.default_rng(900 + k)) for k in range(20)]
    scale = np.mean([min(map(problem.score, configs)) for configs in drawn]) - problem.best
    noise = np.random.default_rng(10_000 + seed)
    best, seconds, regrets = np.inf, 0.0, []
    for asked in range(batch, MARKS[-1] + 1, batch):
        started = time.perf_counter()
        configs = proposer.ask(batch)
        seconds += time.perf_counter() - started
        scores = np.array([problem.score(config) for config in configs])
        best = min(best, scores.min())
        started = time.perf_counter()
        proposer.tell(configs, scores + problem.noise * noise.standard_normal(batch))
        seconds += time.perf_counter() - started
        if asked in MARKS:
            regrets.append(float((best - problem.best) / scale))
    return regrets, seconds * batch / MARKS[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proposers", nargs="+")
    parser.add_argument("--problems", nargs="+", default=[problem.name for problem in PROBLEMS])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(100, 110)))
    parser.add_argument("--set", action="append", default=[], help="a setting of TPE, as in crossing=0.5")
    arguments = parser.parse_args()
    changes = {key: ast.literal_eval(value) for key, value in (item.split("=") for item in arguments.set)}
    for batch in arguments.batches:
        for name in arguments.proposers:
            means = []
            for problem in PROBLEMS:
                if problem.name not in arguments.problems:
                    continue
                runs = [
                    played(problem, made(name, problem.space, seed, changes), batch, seed) for seed in arguments.seeds
                ]
                means.append(np.mean([regrets for regrets, _ in runs], axis=0))
                ask = 1e3 * np.mean([seconds for _, seconds in runs])
                print(f"{name:8s} {problem.name:12s} {batch:3d} {means[-1].round(3)} {ask:7.1f} ms an ask", flush=True)
            print(f"{name:8s} {'mean':12s} {batch:3d} {np.mean(means, axis=0).round(3)}", flush=True)


if __name__ == "__main__":
    main()
