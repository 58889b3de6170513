"""Search that learns is never worse than random search: paired by seed, one-sided, at the 5 % level."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

pytest.importorskip("optuna")
sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

from search.peers import PEERS
from search.runs import play
from search.tasks import PROBLEMS, Problem

SEEDS = range(40, 46)


def worse(ours: Mapping[str, list[float]], at_random: Mapping[str, list[float]]) -> list[str]:
    """The problems on which one search ends higher than the other with the same seeds, by more than chance explains."""
    return [name for name in ours if _higher(np.subtract(ours[name], at_random[name]))]


def _higher(gaps: np.ndarray) -> bool:
    """Whether differences are above 0 on the average: Student's test, or their sign where they are all alike."""
    if np.ptp(gaps) < 1e-9:
        return bool(gaps.mean() > 1e-9)
    return bool(ttest_1samp(gaps, 0.0, alternative="greater").pvalue < 0.05)


def ends(problem: Problem, peer: str) -> list[float]:
    return [play(problem, peer, 16, seed, (64, 128)).best[-1] for seed in SEEDS]


def test_what_is_worse_is_found():
    rng = np.random.default_rng(0)
    at_random = {"a": rng.random(6).tolist(), "b": rng.random(6).tolist(), "c": [0.1] * 6, "d": [0.1] * 6}
    ours = {"a": [score + 0.3 for score in at_random["a"]], "b": rng.random(6).tolist(), "c": [0.1] * 6, "d": [0.2] * 6}
    assert worse(ours, at_random) == ["a", "d"]
    assert worse(at_random, ours) == []


class Worst:
    """Learns the wrong way round: proposes near what scored worst."""

    def __init__(self, space, seed, batch, evaluations):
        self._tpe = PEERS["tpe"][1](space, seed, batch, evaluations)
        self.ask = self._tpe.ask

    def tell(self, configs, scores):
        self._tpe.tell(configs, -np.asarray(scores))


def test_a_search_that_learns_the_wrong_way_is_worse(monkeypatch):
    monkeypatch.setitem(PEERS, "worst", ("numpy", Worst))
    problem = next(problem for problem in PROBLEMS if problem.name == "hartmann6")
    assert worse({"it": ends(problem, "worst")}, {"it": ends(problem, "random")}) == ["it"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("peer", ["tpe", "bayes"])
def test_search_that_learns_is_on_no_problem_worse_than_random(peer):
    at_random = {problem.name: ends(problem, "random") for problem in PROBLEMS}
    assert worse({problem.name: ends(problem, peer) for problem in PROBLEMS}, at_random) == []
