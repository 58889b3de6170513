"""The good and the bad mixture of TPE, for each of its focuses, as arrays that the compiled part takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vtune.proposers.history import rung
from vtune.proposers.parzen import Layout, Widths


@dataclass(frozen=True)
class Focus:
    """One way to look at the told trials; a batch takes turns between several.

    Attributes:
      width: factor on the widths of kernels around good trials.
      good: factor on the number of good trials.
    """

    width: float
    good: float


@dataclass(frozen=True)
class Settings:
    """Numbers that were chosen on the problems of experiments/search.

    Attributes:
      start: told trials from which on the model proposes.
      root: good trials for each root of the number told, as in hyperopt (Bergstra et al., 2013).
      least: good trials at least, if twice as many are told.
      most: good trials at most, before a focus multiplies them.
      focuses: ways to look at the trials.
      weighting: power with which the weight of a good trial falls with its rank.
      width: factor on the widths of kernels around good trials.
      bad_width: factor on these widths around the others.
      prior: weight of the prior among the good, in trials.
      bad_prior: the same among the others.
      crossing: chance that a hyperparameter of a candidate is drawn around another good trial than the rest.
      repulsion: weight of a picked or pending configuration among the others.
      rows: told trials that the model looks at.
    """

    start: int = 16
    root: float = 0.625
    least: int = 8
    most: int = 64
    focuses: tuple[Focus, ...] = (Focus(0.5, 1.0), Focus(1.0, 1.0), Focus(2.0, 1.0))
    weighting: float = 2.0
    width: float = 1.0
    bad_width: float = 1.5
    prior: float = 1.0
    bad_prior: float = 1.0
    crossing: float = 0.3
    repulsion: float = 0.5
    rows: int = 1024


@dataclass(frozen=True)
class Mixtures:
    """Kernels around told and pending configurations, one pair of mixtures for each focus.

    Attributes:
      told: row numbers of the trials used, from best to worst [t].
      rows: units of these, of pending configurations, and padding [k, dim].
      good: for each focus, weights of the first rows among the good; with that of the prior they sum to 1.
      good_prior: weight of the prior among the good [focuses].
      bad: weights of rows among the others [focuses, k], 0 for the good ones and padding; they too sum to 1.
      bad_prior: weight of the prior among the others [focuses].
      repulsion: weight of a picked configuration among the others [focuses], beside theirs.
      good_widths: for each focus.
      bad_widths: for each focus.
    """

    told: np.ndarray
    rows: np.ndarray
    good: tuple[np.ndarray, ...]
    good_prior: np.ndarray
    bad: np.ndarray
    bad_prior: np.ndarray
    repulsion: np.ndarray
    good_widths: tuple[Widths, ...]
    bad_widths: tuple[Widths, ...]

    def log_good(self) -> np.ndarray:
        """Log weights of the first rows among the good [focuses, a rung], -inf for none."""
        size = rung(max(map(len, self.good)))
        return log(np.stack([np.pad(weights, (0, size - len(weights))) for weights in self.good]))


def mix(layout: Layout, settings: Settings, unit: np.ndarray, order: np.ndarray, pending: np.ndarray) -> Mixtures:
    """Splits trials into good and bad, and puts kernels around them.

    A history larger than `settings.rows` is thinned: of the worse half of the rows used, each stands for several.

    Args:
      layout: of the space.
      settings: the numbers.
      unit: told rows [n, dim].
      order: their numbers from best to worst.
      pending: rows [p, dim] that are under way, which count as bad; the latest `settings.rows` of them.
    """
    told, shares = thinned(order, settings.rows)
    away = pending[-settings.rows :]
    rows = np.concatenate([unit[told], away])
    weights = np.concatenate([shares, np.full(len(away), settings.repulsion)])
    good, good_prior, bad, totals, good_widths, bad_widths = [], [], [], [], [], []
    for focus in settings.focuses:
        count = good_count(len(order), focus, settings)
        ranked = (1.0 - np.arange(count) / count) ** settings.weighting
        good.append(ranked / ranked.mean() / (count + settings.prior))
        good_prior.append(settings.prior / (count + settings.prior))
        rest = np.where(np.arange(len(rows)) < count, 0.0, weights)
        totals.append(rest.sum() + settings.bad_prior)
        bad.append(rest / totals[-1])
        good_widths.append(layout.widths(rows[:count], good[-1], settings.width * focus.width))
        bad_widths.append(good_widths[-1].times(settings.bad_width))
    missing = rung(len(rows)) - len(rows)
    return Mixtures(
        told=told,
        rows=np.pad(rows, ((0, missing), (0, 0)), constant_values=np.nan),
        good=tuple(good),
        good_prior=np.array(good_prior),
        bad=np.pad(np.stack(bad), ((0, 0), (0, missing))),
        bad_prior=settings.bad_prior / np.array(totals),
        repulsion=settings.repulsion / np.array(totals),
        good_widths=tuple(good_widths),
        bad_widths=tuple(bad_widths),
    )


def good_count(trials: int, focus: Focus, settings: Settings) -> int:
    """How many of so many trials are good."""
    wished = min(max(settings.root * trials**0.5, min(settings.least, trials / 2)), settings.most)
    return max(1, min(math.ceil(wished * focus.good), trials))


def thinned(order: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to `most` of the rows, evenly from what is worse than the best half of them, and for how many each stands.

    Example:
      >>> rows, shares = thinned(np.arange(100), 8)
      >>> rows.tolist(), shares.tolist()
      ([0, 1, 2, 3, 4, 36, 67, 99], [1.0, 1.0, 1.0, 1.0, 24.0, 24.0, 24.0, 24.0])
    """
    if len(order) <= most:
        return order, np.ones(len(order))
    best = most // 2
    others = np.linspace(best, len(order) - 1, most - best).round().astype(np.int64)
    share = (len(order) - best) / (most - best)
    return order[np.append(np.arange(best), others)], np.append(np.ones(best), np.full(most - best, share))


def log(weights: np.ndarray) -> np.ndarray:
    """Logs of weights as float32, -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights).astype(np.float32)
