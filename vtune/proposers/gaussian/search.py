"""From a history to a batch: fit the model, look for candidates, choose among them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from vtune.proposers.fresh import Fresh
from vtune.proposers.gaussian import batch, draws
from vtune.proposers.gaussian.candidates import SCALES, Around
from vtune.proposers.gaussian.features import Features
from vtune.proposers.gaussian.fit import beginnings, fit
from vtune.proposers.gaussian.precision import double
from vtune.proposers.gaussian.values import full
from vtune.proposers.gaussian.warp import Warp
from vtune.proposers.history import SMALLEST, History, rung
from vtune.proposers.standing import standing
from vtune.space import Space

ACQUISITIONS = ("logei", "thompson")

ROWS = 1024
"""Rows that the model is conditioned on; of more, the best half of these and a random choice of the rest."""

FITTED = 256
"""Rows from which the hyperparameters of the kernel are read."""

GLOBAL, LOCAL, PATHS = 512, 1536, 256
"""Candidates all over the space, near good rows, and at the minima of draws."""

DRAWS, WAVES = 256, 512
MOST = 256
"""Configs that are chosen at once; more are chosen in turns."""

STARTS = 2


class Found(NamedTuple):
    """A batch.

    Attributes:
      rows: of the unit cube, [n, dim].
      origins: where each came from, as JSON values.
    """

    rows: np.ndarray
    origins: list[dict[str, Any]]


class Search:
    """Chooses batches by a Gaussian process.

    Args:
      space: where the configurations lie.
      acquisition: one of `ACQUISITIONS`.
    """

    def __init__(self, space: Space, acquisition: str) -> None:
        self._space = space
        self._greedy = acquisition == "logei"
        self._features = Features(space)
        self._around = Around(space)

    def batches(
        self, history: History, waiting: np.ndarray, fresh: Fresh, rng: np.random.Generator, n: int
    ) -> Iterator[Found]:
        """Batches that make up n configs, fewer if too few candidates are new.

        Args:
          history: what was told.
          waiting: rows [m, dim] that are under way.
          fresh: what may be proposed; the rows chosen are taken from it.
          rng: where random numbers come from.
          n: how many.
        """
        while n > 0:
            with double():
                found = self._batch(history, waiting, fresh, rng, min(n, MOST))
            fresh.take(found.rows)
            yield found
            if not len(found.rows):
                return
            waiting = np.concatenate([waiting, found.rows])
            n -= len(found.rows)

    def _batch(self, history: History, waiting: np.ndarray, fresh: Fresh, rng: np.random.Generator, n: int) -> Found:
        features, space = self._features, self._space
        order = standing(history)
        scores = full(history, order)
        warps = [Warp.of(column) for column in scores.T]
        warped = np.stack([warp.values for warp in warps])
        kept = _subset(len(order), rng)
        size = rung(len(kept))
        missing = size - len(kept)
        unit = history.unit[order]
        x = np.pad(features.embed(unit[kept]), ((0, missing), (0, 0)))
        y = np.pad(warped[:, kept], ((0, 0), (0, missing)))
        real = np.arange(size) < len(kept)
        few = slice(0, min(size, FITTED))
        hyper = fit(x[few], y[:, few], real[few], features.group, beginnings(rng, STARTS, features.width), SMALLEST)

        raw, reach = self._candidates(unit, np.asarray(hyper.scales).mean(axis=0), rng)
        candidates = space.snap(raw)
        free = fresh.sieve(candidates)
        rays = np.abs(rng.standard_normal((len(y), DRAWS)))
        scale = batch.Scale(warped.max(axis=1) if len(y) > 1 else np.zeros(1), rays / np.linalg.norm(rays, axis=0))
        base = draws.base(rng, len(y), DRAWS, WAVES, features.width, size)
        allowed = np.where(free)[0] if free.any() else np.arange(len(free))
        candidates[~free] = candidates[allowed[0]]
        found = batch.explore(
            x, y, real, features.group, hyper, base, scale,
            features.embed(candidates), features.movable(candidates), reach, PATHS,
        )  # fmt: skip
        lowest = space.snap(features.moved(candidates[np.asarray(found.starts)], np.asarray(found.lowest)))
        points = np.concatenate([candidates, lowest])
        free = np.concatenate([free, fresh.sieve(lowest)])
        rows = features.embed(points)
        losses = np.concatenate([np.asarray(found.losses), batch.evaluate(found.draws, rows[len(candidates) :], scale)])
        best = np.asarray(found.best)
        if len(waiting):
            under_way = np.pad(features.embed(waiting), ((0, rung(len(waiting), MOST) - len(waiting)), (0, 0)))
            best = np.minimum(
                best, np.asarray(batch.evaluate(found.draws, under_way, scale))[: len(waiting)].min(axis=0)
            )
        n = min(n, int(free.sum()))
        picked = batch.pick(losses, rows, free, best, found.draws, n, MOST, self._greedy)
        chosen = np.asarray(picked.order)[:n]
        return Found(points[chosen], [{"model": "gp"}] * n)

    def _candidates(
        self, unit: np.ndarray, scales: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points of the unit cube [m, dim], and how far each may be moved in each column, [m, width]."""
        features = self._features
        weights = np.ones(unit.shape[1])
        own = scales[features.group[features.numeric]]
        weights[features.dims] = np.exp(np.clip(own - own.mean(), -1.2, 1.2)) if len(own) else 1.0
        top = max(1, min(8, len(unit) // 4))
        share = 0.7 ** np.arange(top)
        centres = unit[rng.choice(top, size=LOCAL, p=share / share.sum())]
        side = rng.choice(SCALES, size=LOCAL)
        points = np.concatenate([rng.random((GLOBAL, unit.shape[1])), self._around.draw(rng, centres, side, weights)])
        reach = np.zeros((len(points), features.width))
        far = np.concatenate([np.ones(GLOBAL), side])[:, None] * weights
        reach[:, features.numeric] = far[:, features.dims]
        return points, reach


def _subset(n: int, rng: np.random.Generator) -> np.ndarray:
    """Places in an order from best to worst [k], shuffled."""
    if n <= ROWS:
        return rng.permutation(n)
    rest = rng.choice(np.arange(ROWS // 2, n), ROWS - ROWS // 2, replace=False)
    return rng.permutation(np.concatenate([np.arange(ROWS // 2), rest]))
