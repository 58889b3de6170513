"""Carves validation and test rows out of a data set: deterministic, and stratified by class where there are classes."""

from __future__ import annotations

import numpy as np


def carve(total: int, count: int, labels: np.ndarray | None = None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Splits `range(total)` in two, at random, with the classes in proportion.

    Args:
      total: number of rows.
      count: rows to carve out, between 1 and `total - 1`.
      labels: integer class of each row `[total]`; None for a plain random split.
      seed: of the shuffle.

    Returns:
      Indices that stay and indices carved out, each ascending. With labels, every class gets its share by largest
      remainder, and a class of two rows or more has at least one on each side; where so many classes cannot be had in
      `count` rows, the split is plain.

    >>> kept, carved = carve(10, 4, np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]))
    >>> len(kept), (carved < 5).sum()
    (6, np.int64(2))
    """
    order = np.random.default_rng(seed).permutation(total)
    quotas = None
    if labels is not None:
        _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        quotas = _quotas(sizes, count)
    if quotas is None:
        chosen = order[:count]
    else:
        order = order[np.argsort(codes[order], kind="stable")]
        rank = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        chosen = order[rank < np.repeat(quotas, sizes)]
    carved = np.zeros(total, bool)
    carved[chosen] = True
    return np.flatnonzero(~carved), np.flatnonzero(carved)


def _quotas(sizes: np.ndarray, count: int) -> np.ndarray | None:
    divisible = sizes >= 2
    low, high = np.where(divisible, 1, 0), np.where(divisible, sizes - 1, 0)
    if not low.sum() <= count <= high.sum():
        return None
    exact = sizes * (count / sizes.sum())
    quotas = np.clip(np.floor(exact).astype(int), low, high)
    while (missing := count - quotas.sum()) != 0:
        open_, sign = (quotas < high, 1) if missing > 0 else (quotas > low, -1)
        gap = np.where(open_, sign * (exact - quotas), -np.inf)
        quotas[np.argmax(gap)] += sign
    return quotas
