"""Which hyperparameters matter, alone and in pairs, with the confidence that the trials allow."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vtune.analysis.forest import Forest
from vtune.analysis.ped_anova import divergences
from vtune.analysis.positions import position, positions, steps
from vtune.analysis.scores import check_mode
from vtune.errors import ArgumentError

METHODS = ("ped-anova", "fanova")
INTERVAL = (0.05, 0.95)
FEWEST = 10
"""Fewer scored trials than this say nothing of importance."""


def importance(
    frame: pd.DataFrame, space: Mapping[str, Any], mode: str = "min", *, method: str = "ped-anova", seed: int = 0
) -> pd.DataFrame:
    """How much each hyperparameter matters by itself.

    "ped-anova" asks how differently the best tenth of the trials lies from all of them, one hyperparameter at a time
    (Watanabe, Bansal and Hutter, "PED-ANOVA", IJCAI 2023): it sees what makes trials excellent, only ranks them, and
    counts diverged and stopped trials as worse than the others. "fanova" fits a forest to the scores and asks which
    share of its variance over the whole space a hyperparameter explains (Hutter, Hoos and Leyton-Brown, "An efficient
    approach for assessing hyperparameter importance", ICML 2014): it sees what makes trials bad just as well.

    Args:
      frame: one row a trial, with `state`, `score` and one column a hyperparameter.
      space: the study's `Space`.
      mode: "min" or "max".
      method: one of `METHODS`.
      seed: of the bootstrap and of the forest.

    Returns:
      One row a hyperparameter, the most important first: `parameter`, `importance` (they sum to 1), `low` and `high`
      (where nine tenths of the bootstrap, or of the trees, lie), `active` (share of the trials in which it was
      active). No rows if fewer than ten trials have a score, and importances of 0 if nothing matters.

    Raises:
      ArgumentError: `mode` or `method` is unknown.

    >>> from vtune.space import Float, Space
    >>> space = Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0))
    >>> frame = pd.DataFrame(space.sample(300, np.random.default_rng(0))).assign(state="complete")
    >>> importance(frame.assign(score=frame["x"] ** 2), space)["parameter"].tolist()
    ['x', 'y']
    """
    check_mode(mode)
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    columns = ["parameter", "importance", "low", "high", "active"]
    standing = standings(frame, mode) if method == "ped-anova" else costs(frame, mode)
    known = np.isfinite(standing)
    places = positions(frame, space)[known]
    if known.sum() < FEWEST or places.empty:
        return pd.DataFrame(columns=columns)
    if np.ptp(standing[known]) == 0:
        draws = np.zeros((1, places.shape[1]))
    elif method == "ped-anova":
        draws = divergences(places.to_numpy(), standing[known], _kinds(places, space), seed=seed)
    else:
        draws = forest(frame, space, mode, seed=seed).single()
    mean, low, high = _shares(draws)
    found = {"parameter": places.columns, "importance": mean, "low": low, "high": high}
    table = pd.DataFrame(found | {"active": places.notna().mean().to_numpy()})
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def interactions(frame: pd.DataFrame, space: Mapping[str, Any], mode: str = "min", *, seed: int = 0) -> pd.DataFrame:
    """How much pairs of hyperparameters matter beyond what each of them does alone, by the forest of `importance`.

    Returns:
      One row a pair, the most important first: `first`, `second`, `importance` (share of the variance of the scores
      over the space), `low`, `high`. Together with the shares of single hyperparameters (rows in which `first` equals
      `second`) they sum to at most 1; what is left belongs to three and more at once.

    Raises:
      ArgumentError: `mode` is neither "min" nor "max".
    """
    check_mode(mode)
    columns = ["first", "second", "importance", "low", "high"]
    names = [name for name in space if name in frame.columns]
    if np.isfinite(costs(frame, mode)).sum() < FEWEST or not names:
        return pd.DataFrame(columns=columns)
    grown = forest(frame, space, mode, seed=seed)
    single, pairs = grown.single(), grown.pairs()
    rows = [(name, name, single[:, i]) for i, name in enumerate(names)]
    rows += [(names[i], names[j], pairs[:, k]) for k, (i, j) in enumerate(combinations(range(len(names)), 2))]
    found = [(a, b, draws.mean(), *np.quantile(draws, INTERVAL)) for a, b, draws in rows]
    return pd.DataFrame(found, columns=columns).sort_values("importance", ascending=False, ignore_index=True)


def forest(frame: pd.DataFrame, space: Mapping[str, Any], mode: str = "min", *, seed: int = 0) -> Forest:
    """A forest fitted to the trials that are over; hyperparameters that are not active count as their defaults.

    Its axes are the hyperparameters that the frame has, in the order of the space.
    """
    cost = costs(frame, mode)
    known = np.isfinite(cost)
    places = positions(frame, space)[known]
    defaults = {name: position(pd.Series([space[name].default]), space[name])[0] for name in places.columns}
    ordered = [hasattr(space[name], "low") for name in map(str, places)]
    return Forest(places.fillna(defaults).to_numpy(), cost[known], _kinds(places, space), ordered, seed=seed)


def standings(frame: pd.DataFrame, mode: str) -> NDArray[np.float64]:
    """Ranks of trials that are over, lower is better: complete ones by their score, then stopped ones, then diverged.

    Equal trials have the rank of the first of them.

    Returns:
      [trials]; NaN for those that are not over.
    """
    state = frame["state"].to_numpy(str)
    score = frame["score"].to_numpy(np.float64) * (1.0 if mode == "min" else -1.0)
    group = np.select([state == "complete", state == "stopped", state == "diverged"], [0.0, 1.0, 2.0], np.nan)
    group = np.where((group == 0) & np.isnan(score), 2.0, group)
    rank = np.full(len(frame), np.nan)
    over = np.isfinite(group)
    value = np.nan_to_num(score[over], nan=np.inf)
    order = np.lexsort((value, group[over]))
    pairs = np.stack([group[over], value], axis=1)[order]
    new = np.r_[True, (pairs[1:] != pairs[:-1]).any(axis=1)][: len(order)]
    rank[np.flatnonzero(over)[order]] = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return rank


def costs(frame: pd.DataFrame, mode: str) -> NDArray[np.float64]:
    """Scores of trials that are over, lower is better; wild ones are drawn to the bulk, diverged ones are as bad as the
    worst.

    Returns:
      [trials]; NaN for those that are not over.
    """
    state = frame["state"].to_numpy(str)
    score = frame["score"].to_numpy(np.float64) * (1.0 if mode == "min" else -1.0)
    scored = np.isfinite(score) & np.isin(state, ("complete", "stopped"))
    if not scored.any():
        return np.full(len(frame), np.nan)
    worst = float(score[scored].max())
    if scored.sum() >= 20:
        best, bulk = np.quantile(score[scored], [0.0, 0.9])
        if bulk > best:
            worst = min(worst, float(bulk + 3 * (bulk - best)))
    found = np.where(scored, np.minimum(score, worst), np.nan)
    return np.where(state == "diverged", worst, found)


def _kinds(places: pd.DataFrame, space: Mapping[str, Any]) -> list[int | None]:
    """Numbers of choices, or of steps; None for other numbers."""
    return [
        steps(space[name]) or None if hasattr(space[name], "low") else len(space[name].values)
        for name in map(str, places)
    ]


def _shares(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Mean and interval of bootstrap draws [draws, hyperparameters], each draw made to sum to 1."""
    total = draws.sum(axis=1, keepdims=True)
    shares = np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    return shares.mean(axis=0), *np.quantile(shares, INTERVAL, axis=0)
