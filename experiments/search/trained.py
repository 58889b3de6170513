"""Two problems that were trained: support vector machines on digits and boosted trees on diabetes, between grid points.

Every corner of a grid over the space was trained once and lies in `trained.npz`; between corners the score is linear in
each hyperparameter (in its logarithm where it has one), so that thousands of searches cost no training and the best
score is known: it is that of a corner.

usage: python experiments/search/trained.py       trains the corners anew, some minutes of one core
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from vtune.space import Choice, Float, Int, Space

Config = dict[str, Any]
FILE = Path(__file__).with_name("trained.npz")


@dataclass(frozen=True)
class Axis:
    """A hyperparameter and its values at the corners, rising."""

    name: str
    values: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> tuple[int, float]:
        """The corner below a value, and how far the value is on the way to the next."""
        if len(self.values) == 1:
            return 0, 0.0
        scale: Callable[[Any], Any] = np.log if self.log else np.asarray
        at = float(np.interp(scale(value), scale(self.values), np.arange(len(self.values))))
        below = min(int(at), len(self.values) - 2)
        return below, at - below


def spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """Values from low to high, evenly in their logarithm."""
    return tuple(np.geomspace(low, high, count).tolist())


_C = Axis("C", spaced(1e-3, 1e3, 9), log=True)
_GAMMA = Axis("gamma", spaced(1e-5, 1e1, 9), log=True)
_COEF = Axis("coef0", (-1.0, 0.5, 3.0))
_POWER = Axis("power", spaced(0.3, 3.0, 3), log=True)
SVM_GRID: dict[str, tuple[Axis, ...]] = {
    "linear": (_C, _POWER),
    "rbf": (_C, _POWER, _GAMMA),
    "sigmoid": (_C, _POWER, _GAMMA, _COEF),
    "poly": (_C, _POWER, _GAMMA, _COEF, Axis("degree", (2, 3, 5))),
}
SVM = Space(
    kernel=Choice("rbf", "poly", "linear", "sigmoid"),
    C=Float(1e-3, 1e3, log=True),
    power=Float(0.3, 3.0, log=True),
    gamma=Float(1e-5, 1e1, log=True, when={"kernel": ("rbf", "poly", "sigmoid")}),
    coef0=Float(-1.0, 3.0, when={"kernel": ("poly", "sigmoid")}),
    degree=Int(2, 5, when={"kernel": "poly"}),
)

_TREES = Axis("trees", (5, 10, 20, 40, 80), log=True)
_COMMON = (
    Axis("learning_rate", spaced(1e-3, 1.0, 7), log=True), Axis("max_depth", (1, 2, 4, 7)),
    Axis("subsample", (0.3, 1.0)), Axis("min_samples_leaf", (1, 6, 40), log=True), Axis("max_features", (0.2, 1.0)),
)  # fmt: skip
BOOSTING_GRID: dict[str, tuple[Axis, ...]] = {
    "squared_error": _COMMON,
    "absolute_error": _COMMON,
    "huber": (*_COMMON, Axis("alpha", (0.2, 0.6, 0.95))),
}
BOOSTING = Space(
    learning_rate=Float(1e-3, 1.0, log=True),
    trees=Int(5, 80, log=True),
    max_depth=Int(1, 7),
    subsample=Float(0.3, 1.0),
    min_samples_leaf=Int(1, 40, log=True),
    max_features=Float(0.2, 1.0),
    loss=Choice("squared_error", "absolute_error", "huber"),
    alpha=Float(0.2, 0.95, when={"loss": "huber"}),
)


def interpolated(corners: np.ndarray, axes: Sequence[Axis], config: Config) -> float:
    """The score between corners: linear along each axis."""
    for axis in axes:
        below, share = axis.place(config[axis.name])
        corners = corners[below] if share == 0.0 else (1.0 - share) * corners[below] + share * corners[below + 1]
    return float(corners)


@cache
def corners(problem: str, branch: str) -> np.ndarray:
    """Scores at the corners of a branch of a problem."""
    with np.load(FILE) as stored:
        return stored[f"{problem}/{branch}"].astype(np.float64)


def svm(config: Config) -> float:
    """Log loss of the margins of a support vector machine on digits."""
    return interpolated(corners("svm", config["kernel"]), SVM_GRID[config["kernel"]], config)


def boosting(config: Config) -> float:
    """Validation error of boosted trees on diabetes."""
    return interpolated(corners("boosting", config["loss"]), (*BOOSTING_GRID[config["loss"]], _TREES), config)


def best(problem: str) -> float:
    """The lowest score of a problem."""
    branches = SVM_GRID if problem == "svm" else BOOSTING_GRID
    return min(float(corners(problem, branch).min()) for branch in branches)


@cache
def _data(name: str) -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_diabetes, load_digits

    x, y = (load_digits if name == "digits" else load_diabetes)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return (x[:300] / 16.0, y[:300], x[300:900] / 16.0, y[300:900]) if name == "digits" else (
        x[:220], (y[:220] - y.mean()) / y.std(), x[220:], (y[220:] - y.mean()) / y.std()
    )  # fmt: skip


def trained_svm(kernel: str, values: Config) -> float:
    """The log loss of one training."""
    from sklearn.svm import SVC

    x, y, xv, yv = _data("digits")
    power, rest = values["power"], {name: value for name, value in values.items() if name != "power"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SVC(kernel=kernel, max_iter=1000, **rest).fit(x**power, y)
        margins = model.decision_function(xv**power)
    margins = np.clip(margins - margins.max(axis=1, keepdims=True), -50.0, 0.0)
    return float(np.mean(np.log(np.exp(margins).sum(axis=1)) - margins[np.arange(len(yv)), yv]))


def trained_boosting(loss: str, values: Config) -> list[float]:
    """The validation error of one training after each number of trees."""
    from sklearn.ensemble import GradientBoostingRegressor

    x, y, xv, yv = _data("diabetes")
    model = GradientBoostingRegressor(loss=loss, n_estimators=int(_TREES.values[-1]), random_state=0, **values)
    stages = [float(np.mean((guess - yv) ** 2)) for guess in model.fit(x, y).staged_predict(xv)]
    return [min(stages[int(trees) - 1], 10.0) for trees in _TREES.values]


def main() -> None:
    made: dict[str, Any] = {}
    for problem, grid, train in (("svm", SVM_GRID, trained_svm), ("boosting", BOOSTING_GRID, trained_boosting)):
        for branch, axes in grid.items():
            names, shape = [axis.name for axis in axes], [len(axis.values) for axis in axes]
            scores = map(
                partial(train, branch),
                (dict(zip(names, corner, strict=True)) for corner in product(*(axis.values for axis in axes))),
            )
            found = np.array(list(scores), dtype=np.float32)
            made[f"{problem}/{branch}"] = found.reshape(*shape, *found.shape[1:])
            print(problem, branch, found.size, "corners, the best", float(found.min()), flush=True)
    np.savez_compressed(FILE, **made)
    print(f"{FILE.stat().st_size / 1024:.0f} KiB, best {best('svm'):.4f} {best('boosting'):.4f}")


if __name__ == "__main__":
    main()
