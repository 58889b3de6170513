"""A forest of regression trees that knows its own marginals, for functional ANOVA.

Source: F. Hutter, H. Hoos and K. Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML
2014; trees as in L. Breiman, "Random Forests", 2001. A tree is a set of boxes with a value each, so that the mean over
all other hyperparameters is a sum over boxes, exactly. Splits lie between the cells of a grid, and trees grow level by
level with sums over cells, all in NumPy: no further library is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 32
"""Cells of a number's axis between which trees split."""
TREES = 48
DEPTH = 12
LEAF = 3
"""A leaf holds at least so many trials, counted with repetition."""
MOST = 2000
"""More trials than this are sampled: they add seconds and no insight."""


@dataclass(frozen=True)
class _Tree:
    """Leaves: the cells that each holds, [leaves, hyperparameters, cells], and their values [leaves]."""

    inside: NDArray[np.bool_]
    value: NDArray[np.float64]


class Forest:
    """Trees on bootstrap samples of trials, over the grid of their cells.

    Args:
      units: where trials lie, [trials, hyperparameters] in [0, 1].
      cost: [trials].
      kinds: number of choices or steps of each hyperparameter, None for a continuous one, [hyperparameters].
      ordered: which of them are numbers, [hyperparameters].
      seed: of the bootstrap.
      trees: how many.

    >>> x = np.random.default_rng(0).random((300, 2))
    >>> Forest(x, x[:, 0], [None, None], [True, True]).single().mean(axis=0).round(1).tolist()
    [1.0, 0.0]
    """

    def __init__(
        self,
        units: NDArray[np.float64],
        cost: NDArray[np.float64],
        kinds: Sequence[int | None],
        ordered: Sequence[bool],
        *,
        seed: int = 0,
        trees: int = TREES,
    ) -> None:
        rng = np.random.default_rng(seed)
        if len(cost) > MOST:
            chosen = rng.choice(len(cost), MOST, replace=False)
            units, cost = units[chosen], cost[chosen]
        cells = self._cells = [CELLS if kind is None else kind for kind in kinds]
        self._width = max(cells)
        self._weights = np.array([[1.0 / count] * count + [0.0] * (self._width - count) for count in cells])
        self._unordered = [i for i, number in enumerate(ordered) if not number]
        self._middle, self._scale = float(cost.mean()), float(np.ptp(cost)) or 1.0
        cost = (cost - self._middle) / self._scale
        codes = np.minimum((units * cells).astype(np.int64), np.array(cells) - 1)
        self._trees = [self._grow(codes, cost, rng) for _ in range(trees)]

    def single(self) -> NDArray[np.float64]:
        """The share of the variance that each hyperparameter explains alone, [trees, hyperparameters]."""
        return np.stack([self._alone(tree) for tree in self._trees])

    def pairs(self) -> NDArray[np.float64]:
        """The share that each pair explains beyond its two alone, [trees, pairs], in the order of `combinations`."""
        return np.stack([self._together(tree) for tree in self._trees])

    def marginal(self, first: int, second: int) -> NDArray[np.float64]:
        """The mean cost over all other hyperparameters, [cells of the first, cells of the second]."""
        found = np.mean([_pair(*self._boxes(tree), first, second) for tree in self._trees], axis=0)
        ends = [self._cells[i] for i in (first, second)]
        return self._middle + self._scale * found[: ends[0], : ends[1]]

    def _grow(self, codes: NDArray[np.int64], cost: NDArray[np.float64], rng: np.random.Generator) -> _Tree:
        repeats = rng.multinomial(len(cost), np.full(len(cost), 1 / len(cost)))
        rows = np.flatnonzero(repeats)
        code, weight = codes[rows], repeats[rows].astype(np.float64)
        product = weight * cost[rows]
        names, width = code.shape[1], self._width
        inside = np.broadcast_to(self._weights > 0, (1, names, width))
        node, leaves = np.zeros(len(rows), np.int64), []
        for depth in range(DEPTH + 1):
            index = (node[:, None] * names + np.arange(names)) * width + code
            size, total = (
                np.bincount(index.ravel(), np.repeat(each, names), inside.size).astype(np.float64).reshape(inside.shape)
                for each in (weight, product)
            )
            mean, gain, axis, cut, order = self._best(size, total)
            split = (gain > 1e-12) & (depth < DEPTH)
            leaves.append((inside[~split], mean[~split]))
            if not split.any():
                break
            behind = np.argsort(order, axis=1) > cut[:, None]
            goes_on = split[node]
            node, code, weight, product = node[goes_on], code[goes_on], weight[goes_on], product[goes_on]
            right = behind[node, code[np.arange(len(code)), axis[node]]]
            node = 2 * (np.cumsum(split) - 1)[node] + right
            inside = np.repeat(inside[split], 2, axis=0)
            pairs, along = np.arange(0, len(inside), 2), axis[split]
            inside[pairs, along] &= ~behind[split]
            inside[pairs + 1, along] &= behind[split]
        return _Tree(*(np.concatenate(part) for part in zip(*leaves, strict=True)))

    def _best(self, size: NDArray[np.float64], total: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
        """The best split of each node, from how many trials its cells hold and the sum of their costs.

        Choices are ordered by their mean cost: the best of all ways to divide them is then a cut (W. Fisher, 1958).

        Args:
          size: [nodes, hyperparameters, cells]; reordered in place, as is the next.
          total: likewise.

        Returns:
          Of each node: mean cost, gain (negative where none is allowed), hyperparameter, cut, order of its cells
          [nodes, cells].
        """
        order = np.broadcast_to(np.arange(self._width), (len(size), len(self._weights), self._width))
        if self._unordered:
            among, sums = size[:, self._unordered], total[:, self._unordered]
            means = np.divide(sums, among, out=np.full_like(sums, np.inf), where=among > 0)
            order = order.copy()
            order[:, self._unordered] = chosen = np.argsort(means, axis=2, kind="stable")
            size[:, self._unordered] = np.take_along_axis(among, chosen, axis=2)
            total[:, self._unordered] = np.take_along_axis(sums, chosen, axis=2)
        ahead, cost = np.cumsum(size, axis=2), np.cumsum(total, axis=2)
        size_all, cost_all = ahead[:, :1, -1:], cost[:, :1, -1:]
        behind = size_all - ahead
        allowed = (ahead >= LEAF) & (behind >= LEAF)
        gain = np.divide(cost**2, ahead, out=np.zeros_like(cost), where=allowed)
        gain += np.divide((cost_all - cost) ** 2, behind, out=np.zeros_like(cost), where=allowed)
        gain = np.where(allowed, gain - cost_all**2 / size_all, -1.0).reshape(len(size), -1)
        best = gain.argmax(axis=1)
        axis, cut = np.divmod(best, self._width)
        each = np.arange(len(size))
        return (cost_all / size_all)[:, 0, 0], gain[each, best], axis, cut, order[each, axis]

    def _boxes(self, tree: _Tree) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
        """Masses of the leaves in each hyperparameter [leaves, hyperparameters], their cells and their values."""
        return np.einsum("ldc,dc->ld", tree.inside, self._weights), tree.inside, tree.value

    def _alone(self, tree: _Tree) -> NDArray[np.float64]:
        mass, inside, value = self._boxes(tree)
        mean, variance = _moments(mass, value)
        lines = [_line(mass, inside, value, i) for i in range(mass.shape[1])]
        parts = [float(self._weights[i] @ (line - mean) ** 2) for i, line in enumerate(lines)]
        return np.array(parts) / variance if variance > 0 else np.zeros(len(parts))

    def _together(self, tree: _Tree) -> NDArray[np.float64]:
        mass, inside, value = self._boxes(tree)
        mean, variance = _moments(mass, value)
        lines = [_line(mass, inside, value, i) for i in range(mass.shape[1])]
        parts = []
        for i, j in combinations(range(mass.shape[1]), 2):
            beyond = _pair(mass, inside, value, i, j) - lines[i][:, None] - lines[j] + mean
            parts.append(float(self._weights[i] @ beyond**2 @ self._weights[j]))
        return np.array(parts) / variance if variance > 0 else np.zeros(len(parts))


def _moments(mass: NDArray[np.float64], value: NDArray[np.float64]) -> tuple[float, float]:
    volume = mass.prod(axis=1)
    mean = float(volume @ value)
    return mean, max(0.0, float(volume @ value**2) - mean**2)


def _line(
    mass: NDArray[np.float64], inside: NDArray[np.bool_], value: NDArray[np.float64], i: int
) -> NDArray[np.float64]:
    """The mean over all others, by the cell of one hyperparameter."""
    return (np.delete(mass, i, axis=1).prod(axis=1) * value) @ inside[:, i]


def _pair(
    mass: NDArray[np.float64], inside: NDArray[np.bool_], value: NDArray[np.float64], i: int, j: int
) -> NDArray[np.float64]:
    """The mean over all others, by the cells of two hyperparameters."""
    rest = np.delete(mass, (i, j), axis=1).prod(axis=1) * value
    return (inside[:, i] * rest[:, None]).T @ inside[:, j]
