"""Importance beside Optuna's: the same trials, the same question, how far the answers agree and what they cost.

Five functions whose importances are known by their making are sampled at random. For each, `vtune.analysis.importance`
and Optuna's evaluators (PED-ANOVA by Watanabe, Bansal and Hutter, 2023; fANOVA by Hutter, Hoos and Leyton-Brown, 2014)
rank the hyperparameters. Agreement is Spearman's rank correlation over the hyperparameters that matter: those to which
either gives at least one hundredth (the order of the others is luck). Optuna measures volume in fANOVA on linear axes
even of hyperparameters drawn logarithmically; vtune measures it on the axis on which they are drawn. So that
the same is compared, its spaces here are linear in the logarithm, but for the last, which shows the difference.

Run it with `python experiments/bench_importance.py`; it prints a table and writes
experiments/results/bench_importance.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from scipy.stats import spearmanr

from vtune.analysis import importance, positions
from vtune.space import Choice, Float, Int, Space

RESULT = Path(__file__).parent / "results" / "bench_importance.json"
WORTH = 0.01
PLAIN = Space(**{f"x{i}": Float(0.0, 1.0) for i in range(6)})
NETWORK = Space(
    log_lr=Float(-5.0, -1.0),
    dropout=Float(0.0, 0.5),
    depth=Int(1, 6),
    activation=Choice("relu", "gelu", "tanh"),
    optimizer=Choice("adam", "momentum"),
    idle=Float(0.0, 1.0),
)
LOGARITHMIC = Space(lr=Float(1e-5, 1e-1, log=True), decay=Float(1e-6, 1e-2, log=True), dropout=Float(0.0, 0.5))


def additive(frame: pd.DataFrame) -> np.ndarray:
    """Six effects, each half as large as the one before."""
    return sum(2.0**-i * (frame[f"x{i}"].to_numpy() - 0.4) ** 2 for i in range(6))


def multiplied(frame: pd.DataFrame) -> np.ndarray:
    """Three that work together, and one alone."""
    x = [frame[f"x{i}"].to_numpy() for i in range(6)]
    return (x[0] - 0.2) ** 2 * (0.5 + x[1]) + 0.3 * x[1] * x[2] + 0.2 * (x[3] - 0.5) ** 2


def network(frame: pd.DataFrame) -> np.ndarray:
    """What a small network's validation loss looks like, with noise."""
    best = np.where(frame["optimizer"] == "adam", -3.0, -1.8)
    loss = 0.5 * (frame["log_lr"] - best) ** 2 + 0.3 * (frame["dropout"] - 0.2) ** 2
    loss += 0.15 * (frame["activation"] == "tanh") + 0.02 * (frame["depth"] - 3) ** 2
    return loss.to_numpy() + 0.05 * np.random.default_rng(5).standard_normal(len(frame))


def logarithmic(frame: pd.DataFrame) -> np.ndarray:
    """Two hyperparameters drawn logarithmically, which matter on that axis."""
    return (
        (np.log10(frame["lr"]) + 3) ** 2 + 0.5 * (np.log10(frame["decay"]) + 4) ** 2 + 2.0 * frame["dropout"]
    ).to_numpy()


CASES: dict[str, tuple[Space, Callable[[pd.DataFrame], np.ndarray], int]] = {
    "additive": (PLAIN, additive, 300),
    "multiplied": (PLAIN, multiplied, 300),
    "network": (NETWORK, network, 300),
    "network, 1,000 trials": (NETWORK, network, 1000),
    "logarithmic": (LOGARITHMIC, logarithmic, 300),
}


def distributions(space: Space) -> dict[str, Any]:
    """The same space for Optuna."""
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for name, parameter in space.items():
        if isinstance(parameter, Choice):
            found[name] = kinds.CategoricalDistribution(parameter.values)
        elif isinstance(parameter, Int):
            found[name] = kinds.IntDistribution(parameter.low, parameter.high, log=parameter.log)
        else:
            found[name] = kinds.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return found


def in_optuna(space: Space, configs: list[dict[str, Any]], scores: np.ndarray) -> optuna.Study:
    """A study of Optuna that holds the same trials."""
    study, spread = optuna.create_study(), distributions(space)
    study.add_trials(
        [
            optuna.trial.create_trial(params=config, distributions=spread, value=float(score))
            for config, score in zip(configs, scores, strict=True)
        ]
    )
    return study


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """A result, and the processor seconds of this process (all threads) that it took."""
    start = time.process_time()
    return call(), time.process_time() - start


def compared(name: str, method: str, seed: int, trees: int) -> dict[str, Any]:
    """One case by one method."""
    space, function, count = CASES[name]
    configs = space.sample(count, np.random.default_rng(seed))
    frame = pd.DataFrame(configs).assign(id=range(count), state="complete")
    scores = function(frame)
    table, ours = timed(lambda: importance(frame.assign(score=scores), space, method=method, seed=seed))
    study = in_optuna(space, configs, scores)
    if method == "fanova":
        evaluator: Any = optuna.importance.FanovaImportanceEvaluator(n_trees=trees, seed=seed)
    else:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    theirs, seconds = timed(lambda: optuna.importance.get_param_importances(study, evaluator=evaluator))
    here = table.set_index("parameter")["importance"].to_dict()
    total = sum(theirs.values()) or 1.0
    there = {parameter: float(value) / total for parameter, value in theirs.items()}
    worth = [parameter for parameter in space if max(here[parameter], there[parameter]) >= WORTH]
    agreement = spearmanr([here[p] for p in worth], [there[p] for p in worth]).statistic if len(worth) > 1 else 1.0
    return {
        "case": name, "method": method, "seed": seed, "trials": count, "rank_correlation": float(agreement),
        "seconds": ours, "optuna_seconds": seconds, "vtune": here, "optuna": there,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how often each case is drawn")
    parser.add_argument("--trees", type=int, default=64, help="trees of Optuna's fANOVA; 64 is its default")
    parser.add_argument("--to", type=Path, default=RESULT)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    positions(pd.DataFrame({"x0": [0.5]}), PLAIN)
    rows = []
    for method in ("ped-anova", "fanova"):
        for name in CASES:
            for seed in range(options.seeds if CASES[name][2] <= 300 else 1):
                row = compared(name, method, seed, options.trees)
                rows.append(row)
                print(
                    f"{method:10} {name:22} seed {seed}  rank correlation {row['rank_correlation']:5.2f}  "
                    f"vtune {row['seconds']:6.2f} s  Optuna {row['optuna_seconds']:7.2f} s",
                    flush=True,
                )
    table = pd.DataFrame(rows).groupby(["method", "case"], sort=False)
    summary = table[["rank_correlation", "seconds", "optuna_seconds"]].median().reset_index()
    result = {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "optuna": optuna.__version__,
        "trees": options.trees,
        "summary": summary.to_dict("records"),
        "rows": rows,
    }
    options.to.parent.mkdir(parents=True, exist_ok=True)
    options.to.write_text(json.dumps(result, indent=1) + "\n")
    print(summary.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
