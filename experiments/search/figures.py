"""What the searches say: mean normalised regret, mean rank, and who is worse than random where, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from search.runs import MARKS, Run
from search.tasks import Problem

Runs = Mapping[tuple[str, str, int, int], Run]
"""Problem, peer, batch and seed -> the search."""

DRAWS = 2000
"""Bootstrap draws."""

ENOUGH = 5
"""Seeds below which nothing is said of who is worse than random: a bootstrap of a few seeds is far too sure."""


NAMES = {
    "bayes": "**bayes**", "tpe": "vtune's tpe", "random": "random", "sobol": "Sobol",
    "optuna": "Optuna's TPE, multivariate", "hyperopt": "hyperopt's TPE", "cmaes": "CMA-ES",
    "tbpsa": "nevergrad's TBPSA", "hebo": "HEBO", "turbo": "TuRBO",
    "logei": "vtune's gp, log-EI alone", "thompson": "vtune's gp, Thompson sampling alone",
}  # fmt: skip
"""Peers as the documentation calls them."""


@dataclass(frozen=True)
class Row:
    """A peer after some evaluations; each figure with its 95 % interval over seeds, low and high.

    Attributes:
      peer: its name.
      regret: mean over tasks of the normalised regret.
      rank: mean over tasks and seeds of its rank among the peers of the table; 1 is best.
      behind: mean of its regret less that of the first peer of the table, seed by seed.
      worse: tasks on which its mean regret is above that of random search, at the 5 % level; none if there are too few
        seeds to tell.
      tasks: mean regret on each task.
    """

    peer: str
    regret: tuple[float, float, float]
    rank: tuple[float, float, float]
    behind: tuple[float, float, float]
    worse: tuple[str, ...]
    tasks: tuple[float, ...]


def scale(problem: Problem) -> float:
    """The regret of the best of ten random configurations, on the average: one unit."""
    drawn = [problem.space.sample(10, np.random.default_rng(900_000 + k)) for k in range(50)]
    return float(np.mean([min(map(problem.score, configs)) for configs in drawn])) - problem.best


def common(runs: Runs, problems: Sequence[Problem], peers: Sequence[str],
           batch: int, mark: int) -> list[int]:  # fmt: skip
    """Seeds with which all of these peers searched all of these problems that far."""
    place = MARKS.index(mark)
    seeds = sorted({key[3] for key in runs})
    return [
        seed
        for seed in seeds
        if all(
            len(runs[key].best) > place if (key := (problem.name, peer, batch, seed)) in runs else False
            for problem in problems
            for peer in peers
        )
    ]


def regrets(runs: Runs, problems: Sequence[Problem], peers: Sequence[str],
            batch: int, mark: int, seeds: Sequence[int]) -> np.ndarray:  # fmt: skip
    """Normalised regrets, at most 1: [peers, problems, seeds]."""
    place = MARKS.index(mark)
    best = np.array(
        [[[runs[p.name, peer, batch, seed].best[place] for seed in seeds] for p in problems] for peer in peers]
    )
    floor = np.array([problem.best for problem in problems])[:, None]
    unit = np.array([scale(problem) for problem in problems])[:, None]
    return np.clip((best - floor) / unit, 0.0, 1.0)


def table(values: np.ndarray, peers: Sequence[str], problems: Sequence[Problem]) -> list[Row]:
    """Rows for normalised regrets [peers, problems, seeds]; seeds are drawn again, the same for all peers of a task."""
    rng = np.random.default_rng(0)
    n = values.shape[2]
    ranks = rankdata(np.round(values, 6), axis=0)
    drawn = rng.integers(n, size=(DRAWS, values.shape[1], n))
    again = np.stack([values[:, task, drawn[:, task]].mean(axis=2) for task in range(values.shape[1])], axis=2)
    placed = np.stack([ranks[:, task, drawn[:, task]].mean(axis=2) for task in range(values.shape[1])], axis=2)
    rows = []
    for k, peer in enumerate(peers):
        worse: tuple[str, ...] = ()
        if "random" in peers and peer != "random" and n >= ENOUGH:
            least = np.quantile(again[k] - again[list(peers).index("random")], 0.05, axis=0)
            worse = tuple(problem.name for problem, low in zip(problems, least, strict=True) if low > 0.0)
        rows.append(
            Row(
                peer,
                _interval(values[k].mean(), again[k].mean(axis=1)),
                _interval(ranks[k].mean(), placed[k].mean(axis=1)),
                _interval((values[k] - values[0]).mean(), (again[k] - again[0]).mean(axis=1)),
                worse,
                tuple(values[k].mean(axis=1).tolist()),
            )
        )
    return rows


def markdown(title: str, marks: Sequence[int], by_mark: Sequence[Sequence[Row]]) -> str:
    """A table of regrets with their intervals and ranks after each mark; the lowest last regret first."""
    heads = [f"regret after {mark:,} | rank" for mark in marks]
    lines = [f"| {title} | {' | '.join(heads)} |", "| --- |" + " ---: | ---: |" * len(marks)]
    for rows in sorted(zip(*by_mark, strict=True), key=lambda rows: rows[-1].regret[0]):
        cells = [
            f"{_thousandths(row.regret[0])} ({' to '.join(map(_thousandths, row.regret[1:]))}) | {row.rank[0]:.1f}"
            for row in rows
        ]
        lines.append(f"| {NAMES[rows[0].peer]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _thousandths(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _interval(mean: float, draws: np.ndarray) -> tuple[float, float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(mean), float(low), float(high)
