"""Small search problems on which proposers are compared: smooth, rugged, mixed, conditional, noisy and trained ones.

Each `Problem` has a space, the score of a config (lower is better) and the best score that there is. What a proposer is
told may be noisier; regret is always that of the score without noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from search import trained

from vtune.space import Choice, Float, Int, Space

Config = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """A search problem.

    Attributes:
      name: what it is called in tables.
      space: where its configs lie.
      score: config -> score without noise, lower is better.
      best: the lowest score.
      told: config, generator -> the score that a proposer hears of; the score itself unless given.
    """

    name: str
    space: Space
    score: Callable[[Config], float]
    best: float
    told: Callable[[Config, np.random.Generator], float] | None = None


def cube(dim: int, low: float, high: float) -> Space:
    """A space of `dim` floats x0, x1, ... with the same bounds."""
    return Space(**{f"x{i}": Float(low, high) for i in range(dim)})


def point(config: Config) -> np.ndarray:
    """The values of x0, x1, ... of a config, [dim]."""
    return np.array([config[f"x{i}"] for i in range(sum(name[0] == "x" for name in config))])


def branin(config: Config) -> float:
    """Branin and Hoo (1972)."""
    x, y = point(config)
    bend = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_P = 1e-4 * np.array([
    [1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
    [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381],
])  # fmt: skip


def hartmann6(config: Config) -> float:
    """Hartmann (1973), six dimensions."""
    return -float(np.array([1.0, 1.2, 3.0, 3.2]) @ np.exp(-np.sum(_A * (point(config) - _P) ** 2, axis=1)))


def noisy(config: Config, rng: np.random.Generator) -> float:
    """Hartmann-6 with noise of a tenth of its range."""
    return hartmann6(config) + 0.3 * rng.standard_normal()


def ackley(config: Config) -> float:
    """Ackley (1987)."""
    x = point(config)
    waves = math.exp(float(np.mean(np.cos(2 * math.pi * x))))
    return -20 * math.exp(-0.2 * math.sqrt(float(np.mean(x**2)))) - waves + 20 + math.e


def rosenbrock(config: Config) -> float:
    """Rosenbrock (1960), on a logarithmic scale of heights."""
    x = point(config)
    return float(np.log1p(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)))


def levy(config: Config) -> float:
    """Levy and Montalvo (1985)."""
    w = 1 + (point(config) - 1) / 4
    middle = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * math.pi * w[-1]) ** 2)
    return float(np.sin(math.pi * w[0]) ** 2 + np.sum(middle) + last)


def network(config: Config) -> float:
    """Like the validation error of a network: a valley in log lr that moves with optimizer and batch size."""
    lr, width, depth = math.log10(config["lr"]), math.log2(config["width"]), config["depth"]
    valley = {"sgd": -0.8, "momentum": -1.8, "adam": -2.9, "rms": -3.2}[config["optimizer"]]
    valley += 0.4 * math.log2(config["batch"] / 64)
    if config["optimizer"] == "momentum":
        valley -= 1.2 * (config["momentum"] - 0.9)
    error = 0.08 + 0.05 * (lr - valley) ** 2 + (0.6 if lr > valley + 1.1 else 0.0)
    error += {"sgd": 0.03, "momentum": 0.0, "adam": 0.005, "rms": 0.02}[config["optimizer"]]
    error += (
        0.01 * (width - 7.5) ** 2 + 0.012 * (depth - 3) ** 2 + {"relu": 0.01, "gelu": 0.0, "tanh": 0.03}[config["act"]]
    )
    error += 0.4 * (config["dropout"] - 0.06 * depth) ** 2
    if config["optimizer"] == "momentum":
        error += 0.3 * (config["momentum"] - 0.93) ** 2
    if config["optimizer"] == "adam":
        error += 0.01 * (math.log10(1 - config["beta2"]) + 2.5) ** 2
    if config["decay"] == "cosine":
        error += 0.1 * (config["warmup"] - 0.1) ** 2 - 0.012
    return error


NETWORK = Space(
    lr=Float(1e-5, 1.0, log=True),
    width=Int(16, 512, log=True),
    depth=Int(1, 6),
    dropout=Float(0.0, 0.6),
    batch=Choice(16, 32, 64, 128, 256),
    act=Choice("relu", "gelu", "tanh"),
    optimizer=Choice("sgd", "momentum", "adam", "rms"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
    beta2=Float(0.9, 0.999, when={"optimizer": "adam"}),
    decay=Choice("none", "cosine"),
    warmup=Float(0.0, 0.4, when={"decay": "cosine"}),
)


def mixed(config: Config) -> float:
    """A Hartmann surface over floats and integers that each kind shifts, and two choices that interact."""
    shift = {"a": 0.0, "b": 0.15, "c": -0.1, "d": 0.3, "e": -0.2}[config["kind"]]
    x = [
        config["x0"] + shift,
        config["x1"],
        config["n0"] / 20,
        config["n1"] / 9,
        math.log(config["n2"]) / math.log(256),
    ]
    clash = 0.6 * (config["kind"] in "bd") * (config["mode"] == "fast") - 0.3 * (config["kind"] == "c") * config["flag"]
    return hartmann6({f"x{i}": v for i, v in enumerate([*x, 0.6573])}) + clash


MIXED = Space(
    x0=Float(0.0, 1.0), x1=Float(0.0, 1.0), n0=Int(0, 20), n1=Int(0, 9), n2=Int(1, 256, log=True),
    kind=Choice("a", "b", "c", "d", "e"), mode=Choice("fast", "slow"), flag=Choice(False, True),
)  # fmt: skip


def branches(config: Config) -> float:
    """Three branches with floats of their own, one of which holds the optimum in a narrow basin."""
    if config["branch"] == "wide":
        return 0.3 + (config["a"] - 0.3) ** 2 + (config["b"] - 0.6) ** 2
    if config["branch"] == "deep":
        basin = (
            ((config["c"] - 0.72) / 0.08) ** 2 + ((config["d"] - 0.21) / 0.1) ** 2 + ((config["e"] + 2.2) / 0.5) ** 2
        )
        return 1.0 - math.exp(-basin / 2) - 0.2 * math.exp(-basin / 40)
    return 0.25 + 0.1 * abs(config["k"] - 7) + 0.5 * (config["s"] - 0.5) ** 2 + 0.2 * math.sin(9 * config["s"]) ** 2


BRANCHES = Space(
    branch=Choice("wide", "deep", "count"),
    a=Float(0.0, 1.0, when={"branch": "wide"}), b=Float(0.0, 1.0, when={"branch": "wide"}),
    c=Float(0.0, 1.0, when={"branch": "deep"}), d=Float(0.0, 1.0, when={"branch": "deep"}),
    e=Float(-5.0, 0.0, when={"branch": "deep"}),
    k=Int(1, 32, when={"branch": "count"}), s=Float(0.0, 1.0, when={"branch": "count"}),
)  # fmt: skip


PROBLEMS = (
    Problem("branin", Space(x0=Float(-5.0, 10.0), x1=Float(0.0, 15.0)), branin, 0.397887),
    Problem("hartmann6", cube(6, 0.0, 1.0), hartmann6, -3.322368),
    Problem("ackley10", cube(10, -16.0, 32.0), ackley, 0.0),
    Problem("rosenbrock5", cube(5, -2.0, 2.0), rosenbrock, 0.0),
    Problem("levy10", cube(10, -10.0, 10.0), levy, 0.0),
    Problem("noisy6", cube(6, 0.0, 1.0), hartmann6, -3.322368, told=noisy),
    Problem("network", NETWORK, network, 0.068),
    Problem("mixed", MIXED, mixed, -3.5344147),
    Problem("branches", BRANCHES, branches, -0.2),
    Problem("svm", trained.SVM, trained.svm, trained.best("svm")),
    Problem("boosting", trained.BOOSTING, trained.boosting, trained.best("boosting")),
)
