"""Manual, grid, random and Bayesian search of the guide's nine hyperparameters, with as many trials each.

Each search chooses by validation accuracy; its choice is then trained again with a fresh seed and measured on test data
that no search has seen. Trials run 16 at a time; by hand 4, and someone looks before the next, and so does Bayesian
search once more. Intervals are 95 % bootstrap intervals over seeds; differences are paired with random search.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vtune

START = {
    "layers": 2, "width": 64, "activation": "relu", "initializer": "glorot_uniform", "optimizer": "momentum",
    "batch": 32, "dropout": 0.2, "lr": 0.1, "momentum": 0.9,
}  # fmt: skip
"""Where someone would begin by hand."""

TURNS = {
    "lr": [0.01, 0.03, 0.3, 1.0],
    "optimizer": ["adam", "sgd", "nesterov", "adadelta"],
    "width": [32, 128],
    "layers": [1, 3],
    "dropout": [0.0, 0.1, 0.4],
    "batch": [16, 64, 128],
    "activation": ["gelu", "tanh"],
    "initializer": ["he_normal", "lecun_normal"],
    "momentum": [0.7, 0.95],
}
"""What would be tried in its place, one hyperparameter after another, the most important first."""

GRID = {
    "layers": [2, 3], "width": [32, 128], "activation": ["relu"], "initializer": ["he_normal"],
    "optimizer": ["momentum", "adam"], "batch": [32], "dropout": [0.0, 0.25], "lr": [0.001, 0.01, 0.1, 1.0],
    "momentum": [0.9],
}  # fmt: skip
"""The combinations of a grid of 64."""


class ByHand:
    """One hyperparameter at a time: all its values around the best so far, round after round until nothing is new."""

    name = "by hand"

    def __init__(self, space: vtune.Space, start: Mapping[str, Any] = START) -> None:
        self.space = space
        self._waiting = [dict(start)]
        self._tried: set[str] = set()
        self._best, self._score, self._turn, self._idle = dict(start), math.inf, 0, 0

    def ask(self, n: int, pending: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
        while len(self._waiting) < n:
            self._waiting += self._turn_of(list(TURNS)[self._turn % len(TURNS)], n)
            self._turn += 1
        configs, self._waiting = self._waiting[:n], self._waiting[n:]
        self._tried |= set(map(repr, configs))
        return configs

    def tell(self, configs: Sequence[dict[str, Any]], scores: Any) -> None:
        for config, score in zip(configs, scores, strict=True):
            if score < self._score:
                self._best, self._score = dict(config), float(score)

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass

    def _turn_of(self, name: str, n: int) -> list[dict[str, Any]]:
        """What is new around the best by one hyperparameter; draws once nothing is new by any."""
        known = self._tried | set(map(repr, self._waiting))
        new = [config for value in TURNS[name] if repr(config := self._with(name, value)) not in known]
        self._idle = 0 if new else self._idle + 1
        return new if self._idle < len(TURNS) else self.space.sample(n, np.random.default_rng(len(known)))

    def _with(self, name: str, value: Any) -> dict[str, Any]:
        wished = {**START, **self._best, name: value}
        return self.space.unfold(wished.__getitem__)


def proposers(space: vtune.Space) -> dict[str, tuple[int, Callable[[int], Any]]]:
    """Kind of search -> how many trials run at a time, and what makes its proposer from a seed."""
    return {
        "manual": (4, lambda seed: ByHand(space)),
        "grid": (16, lambda seed: vtune.proposers.Grid(space, points=GRID, shuffle=True, seed=seed)),
        "random": (16, lambda seed: "random"),
        "Bayesian": (16, lambda seed: "bayes"),
        "Bayesian, 4": (4, lambda seed: "bayes"),
    }


def compare(task: Any, space: vtune.Space, *, trials: int, epochs: float, seeds: int, out: Path) -> dict[str, Any]:
    """Makes all searches and writes what came of them; those that the file has are not made again."""
    setting = {"trials": trials, "epochs": epochs}
    report = json.loads(out.read_text()) if out.exists() else {}
    if report.get("setting") != setting:
        report = {"setting": setting, "searches": {}}
    report |= {"date": f"{datetime.date.today()}", "jax": jax.__version__, "cpus": os.cpu_count()}
    for seed in range(seeds):
        for kind, (lanes, make) in proposers(space).items():
            done = report["searches"].setdefault(kind, {})
            if str(seed) not in done:
                done[str(seed)] = search(task, space, make(seed), seed, trials, epochs, lanes)
                report["summary"] = summary(report["searches"])
                out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def search(
    task: Any, space: vtune.Space, proposer: Any, seed: int, trials: int, epochs: float, lanes: int
) -> dict[str, float]:
    began = time.perf_counter()
    study = vtune.tune(
        task, space, metric="accuracy", mode="max", trials=trials, epochs=epochs, lanes=lanes, proposer=proposer,
        seed=seed, rerun=1, progress="off",
    )  # fmt: skip
    best = study.best
    return {
        "trials": len(study.frame()),
        "valid": best.score,
        "fresh": best.rerun.score,
        "test": best.rerun.test["accuracy"],
        "seconds": round(time.perf_counter() - began, 1),
    }


def summary(searches: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Means with intervals for each kind of search, and the differences to random search with the same seeds."""
    found: dict[str, Any] = {}
    for kind, done in searches.items():
        found[kind] = {"searches": len(done)}
        for name in ("valid", "test"):
            found[kind][name] = interval([each[name] for each in done.values()])
            others = searches.get("random", {})
            pairs = [each[name] - others[seed][name] for seed, each in done.items() if seed in others]
            found[kind][f"{name}, beyond random"] = interval(pairs) if pairs and kind != "random" else None
    return found


def interval(values: Sequence[float]) -> list[float]:
    """Mean, and the ends of its 95 % bootstrap interval.

    >>> interval([1.0, 1.0, 1.0])
    [1.0, 1.0, 1.0]
    """
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    return [round(float(value), 5) for value in (np.mean(values), *np.quantile(drawn, [0.025, 0.975]))]


def table(report: Mapping[str, Any]) -> str:
    """The summary as lines of text."""
    lines = [f"{'search':<12} {'validation':^26} {'test':^26} {'test, beyond random':^28}"]
    for kind, found in report["summary"].items():
        beyond = found["test, beyond random"]
        parts = [_words(found["valid"]), _words(found["test"]), _words(beyond, "+") if beyond else "-"]
        lines.append(f"{kind:<12} {parts[0]:^26} {parts[1]:^26} {parts[2]:^28}")
    return "\n".join(lines)


def _words(found: Sequence[float], sign: str = "") -> str:
    mean, low, high = found
    return f"{mean:{sign}.4f} ({low:{sign}.4f} to {high:{sign}.4f})"
