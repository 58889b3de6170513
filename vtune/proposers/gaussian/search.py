"""From a history to a batch: fit the model, look for candidates, choose among them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from vtune.proposers.branches import Branches
from vtune.proposers.fresh import Fresh
from vtune.proposers.gaussian import batch, draws
from vtune.proposers.gaussian.candidates import candidates
from vtune.proposers.gaussian.features import Features
from vtune.proposers.gaussian.learned import Learned, learn
from vtune.proposers.gaussian.precision import double
from vtune.proposers.gaussian.warp import Warp
from vtune.proposers.history import History, rung
from vtune.space import Space

DRAWS, WAVES = 256, 512
"""Functions drawn from the posterior, and the waves that each is made of."""

PATHS = 64
"""Draws that are followed downhill to a minimum, which joins the candidates; all of them for a larger batch."""

MOST = 256
"""Configs that are chosen at once; more are chosen in turns."""


class Found(NamedTuple):
    """A batch.

    Attributes:
      rows: of the unit cube, [n, dim].
      origins: where each came from, as JSON values.
    """

    rows: np.ndarray
    origins: list[dict[str, Any]]


class Sight(NamedTuple):
    """Candidates as draws from the posterior see them.

    Attributes:
      points: of the unit cube, [m, dim].
      features: of these, [m, width].
      free: which may be proposed, bool [m].
      parent: the place in the order of the row that each is near, [m]; -1 for none.
      losses: of each draw there, [m, draws].
      best: lowest loss of each draw among the rows, [draws].
      draws: the functions drawn.
      scale: how several objectives count in each.
    """

    points: np.ndarray
    features: np.ndarray
    free: np.ndarray
    parent: np.ndarray
    losses: np.ndarray
    best: np.ndarray
    draws: draws.Draws
    scale: batch.Scale


class Search:
    """Chooses batches by a Gaussian process.

    Args:
      space: where the configurations lie.
      acquisition: one of `batch.ACQUISITIONS`.
    """

    def __init__(self, space: Space, acquisition: str) -> None:
        self._space = space
        self._acquisition = acquisition
        self._features = Features(space)
        self._branches = Branches(space)

    def choose(self, history: History, waiting: np.ndarray, fresh: Fresh, rng: np.random.Generator, n: int) -> Found:
        """Up to n configs, fewer if there are too few new candidates.

        Args:
          history: what was told.
          waiting: rows [m, dim] that are under way.
          fresh: what may be proposed; the rows chosen are taken from it.
          rng: where random numbers come from.
          n: how many.
        """
        rows: np.ndarray = np.empty((0, self._space.dim))
        origins: list[dict[str, Any]] = []
        with double():
            learned = learn(history, self._features, rng)
            while len(rows) < n:
                sight = self._look(learned, fresh, rng, n - len(rows))
                found = self._pick(learned, sight, np.concatenate([waiting, rows]), min(n - len(rows), MOST))
                if not len(found.rows):
                    break
                fresh.take(found.rows)
                rows, origins = np.concatenate([rows, found.rows]), origins + found.origins
        return Found(rows, origins)

    def promise(self, history: History, fresh: Fresh, rng: np.random.Generator) -> tuple[float, float] | None:
        """How much lower than the best row the lowest point of a draw is, in scores: mean and deviation over draws."""
        with double():
            learned = learn(history, self._features, rng)
            sight = self._look(learned, fresh, rng, DRAWS)
        lowest = np.minimum(sight.best, sight.losses[sight.free].min(axis=0, initial=np.inf))
        allowed = sight.best < batch.forbidden(1)
        best, lowest = sight.best[allowed], np.minimum(lowest, sight.best)[allowed]
        if not allowed.any():
            return None
        gain = learned.warps[0].inverse(best) - learned.warps[0].inverse(lowest)
        return float(gain.mean()), float(gain.std())

    def _look(self, learned: Learned, fresh: Fresh, rng: np.random.Generator, n: int) -> Sight:
        features, space, objectives = self._features, self._space, len(learned.warps)
        drawn = candidates(space, learned.unit, self._weights(learned), rng)
        points = space.snap(drawn.points)
        rays = np.abs(rng.standard_normal((objectives, DRAWS)))
        worst = np.array([warp.values.max() for warp in learned.warps]) if objectives > 1 else np.zeros(1)
        scale = batch.Scale(worst, rays / np.linalg.norm(rays, axis=0))
        base = draws.base(rng, len(learned.y), DRAWS, WAVES, features.width, len(learned.x))
        explored = batch.explore(
            learned.x, learned.y, learned.real, features.group, learned.hyper, base, scale,
            features.embed(points), features.movable(points), features.spread(drawn.reach),
            PATHS if n <= PATHS else DRAWS,
        )  # fmt: skip
        starts = np.asarray(explored.starts)
        lowest = space.snap(features.moved(points[starts], np.asarray(explored.lowest)))
        rows = features.embed(lowest)
        every = np.concatenate([points, lowest])
        return Sight(
            points=every,
            features=np.concatenate([features.embed(points), rows]),
            free=fresh.sieve(every),
            parent=np.concatenate([drawn.parent, drawn.parent[starts]]),
            losses=np.concatenate([explored.losses, batch.evaluate(explored.draws, rows, scale)]),
            best=np.asarray(explored.best),
            draws=explored.draws,
            scale=scale,
        )

    def _pick(self, learned: Learned, sight: Sight, waiting: np.ndarray, n: int) -> Found:
        best, n = sight.best, min(n, int(sight.free.sum()))
        if len(waiting):
            rows = np.pad(self._features.embed(waiting), ((0, rung(len(waiting), MOST) - len(waiting)), (0, 0)))
            under_way = np.asarray(batch.evaluate(sight.draws, rows, sight.scale))[: len(waiting)]
            best = np.minimum(best, under_way.min(axis=0))
        branch = self._branches.of(sight.points)
        owed = self._branches.owed(self._branches.of(np.concatenate([learned.unit, waiting])), n)
        picked = batch.pick(
            sight.losses, sight.features, sight.free, best, sight.draws,
            branch, np.append(owed, np.full(MOST - n, -1)), n, MOST, self._acquisition,
        )  # fmt: skip
        chosen = np.asarray(picked.order)[:n]
        means, deviations = np.asarray(picked.mean)[:, :n], np.asarray(picked.deviation)[:, :n]
        parents = [[int(learned.order[place])] if place >= 0 else [] for place in sight.parent[chosen].tolist()]
        expected = [_in_scores(*each) for each in zip(learned.warps, means, deviations, strict=False)]
        mean, deviation = (np.stack(part, axis=-1) for part in zip(*expected, strict=True))
        if len(expected) == 1:
            mean, deviation = mean[:, 0], deviation[:, 0]
        columns = {"mean": mean, "deviation": deviation, "gain": np.asarray(picked.gain)[:n]}
        if len(means) > len(learned.warps):
            columns["allowed"] = ndtr(-means[-1] / deviations[-1])
        told = zip(*(column.tolist() for column in columns.values()), parents, strict=True)
        origins = [{"model": "gp", **dict(zip((*columns, "parents"), row, strict=True))} for row in told]
        for origin, kept in zip(origins, (owed >= 0) & (branch[chosen] == owed), strict=True):
            if kept:
                origin["neglected"] = True
        return Found(sight.points[chosen], origins)

    def _weights(self, learned: Learned) -> np.ndarray:
        """How long boxes are in each dimension: in proportion to length scales, within bounds, [dim]."""
        features = self._features
        own = np.asarray(learned.hyper.scales).mean(axis=0)[features.group[features.numeric]]
        weights = np.ones(self._space.dim)
        weights[features.dims] = np.exp(np.clip(own - own.mean(), -1.2, 1.2)) if len(own) else 1.0
        return weights


def _in_scores(warp: Warp, mean: np.ndarray, deviation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations [n] of the model in the units of scores."""
    return warp.inverse(mean), 0.5 * (warp.inverse(mean + deviation) - warp.inverse(mean - deviation))
