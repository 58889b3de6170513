"""Which rows a trial trains on and which it is measured on: held apart once, or by turns in k-fold cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import TaskError
from vtune.tasks import evaluation
from vtune.tasks.data import pick, rows, take

Sums = Callable[[Any, Any], Any]
"""(batch, key) -> sums over the batch, pytree of arrays."""

_LONGER = 2


@dataclass(frozen=True)
class Apart:
    """Training and validation data that are the same for every trial.

    Attributes:
      total: rows of training data.
    """

    total: int

    @property
    def fewest(self) -> int:
        """Rows of training data, at least."""
        return self.total

    @property
    def most(self) -> int:
        """Rows of training data, at most."""
        return self.total

    def trained(self, data: Any) -> Any:
        """Rows that a trial trains on."""
        return self.total

    def row(self, data: Any, place: Any) -> Any:
        """Which rows of `data["train"]` lie at some places from 0 to `trained` of the training rows."""
        return place

    def totals(self, sums: Sums, data: Any, key: Any) -> list[Any]:
        """Totals over the validation data, and over a part of the training data."""
        return evaluation.totals(sums, [data["valid"], data["subset"]], key)


@dataclass(frozen=True)
class Folds:
    """Rows divided into groups: a trial of fold k trains on all but group k, and is measured on group k.

    What a fold sees are rows of the same arrays, found by arithmetic on a traced number, so that one program trains all
    folds. Lengths of groups differ by one at most: the longer ones come first, and their last row is measured apart, by
    all folds, and counts where it belongs. Nothing is padded.

    Attributes:
      groups: row numbers of each group, ascending.
    """

    groups: tuple[np.ndarray, ...]

    @cached_property
    def order(self) -> np.ndarray:
        """All rows, group after group, int32 [rows]."""
        return np.concatenate(self.groups).astype(np.int32)

    @property
    def short(self) -> int:
        """Rows of the shortest group."""
        return len(self.groups[-1])

    @property
    def longer(self) -> int:
        """How many groups have one row more."""
        return len(self.order) - self.short * len(self.groups)

    @property
    def fewest(self) -> int:
        """Rows that a fold trains on, at least."""
        return len(self.order) - len(self.groups[0])

    @property
    def most(self) -> int:
        """Rows that a fold trains on, at most."""
        return len(self.order) - self.short

    def trained(self, data: Any) -> Any:
        """Rows that the fold of the data trains on, an array where folds differ."""
        return np.uint32(self.most) - jnp.uint32(data["fold"] < self.longer) if self.longer else self.most

    def row(self, data: Any, place: Any) -> Any:
        """Which rows of `data["train"]` lie at some places from 0 to `trained` of the training rows."""
        first, after = self._start(data["fold"]), self._start(data["fold"] + 1)
        place = jnp.asarray(place, jnp.int32)
        return take(data["order"], jnp.where(place < first, place, place + after - first))

    def totals(self, sums: Sums, data: Any, key: Any) -> list[Any]:
        """Totals over the fold's own group, and over as many rows of the next group, on which the fold trains."""

        def of(numbers: Any, key: Any) -> Any:
            return sums(take(data["train"], numbers), key)

        fold = data["fold"]
        first, after = self._start(fold), self._start((fold + 1) % len(self.groups))
        span = jnp.arange(self.short)
        own, other = evaluation.totals(of, [take(data["order"], start + span) for start in (first, after)], key)
        if self.longer:
            last = jnp.minimum(first + self.short, len(self.order) - 1)[None]
            one = evaluation.totals(of, [take(data["order"], last)], jax.random.fold_in(key, _LONGER))[0]
            own = jax.tree.map(lambda total, more: jnp.where(fold < self.longer, total + more, total), own, one)
        return [own, other]

    def _start(self, fold: Any) -> Any:
        """Where a group begins in `order`."""
        return fold * self.short + jnp.minimum(fold, self.longer)


Division = Apart | Folds


def k_folds(total: int, folds: int, labels: np.ndarray | None, seed: int) -> Folds:
    """Divides rows at random into groups whose lengths differ by one at most.

    Args:
      total: number of rows.
      folds: number of groups.
      labels: integer class of each row `[total]`, each of which is spread evenly too; None for a plain division.
      seed: of the division.

    Raises:
      TaskError: fewer than two groups, or more groups than rows.

    >>> [group.tolist() for group in k_folds(5, 2, np.array([0, 1, 0, 1, 1]), seed=0).groups]
    [[1, 2, 4], [0, 3]]
    """
    if not 2 <= folds <= total:
        raise TaskError(f"folds must lie between 2 and the rows of data ({total}); it is {folds}.")
    order = np.random.default_rng(seed).permutation(total)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return Folds(tuple(np.sort(order[place::folds]) for place in range(folds)))


def held_apart(train: Any, valid: Any) -> tuple[Division, dict[str, Any]]:
    """The division of data that are held apart, and the data: a subset of the training rows goes with the validation
    data."""
    chosen = np.random.default_rng(0).permutation(rows(train))[: rows(valid)]
    return Apart(rows(train)), {"train": train, "valid": valid, "subset": pick(train, np.sort(chosen))}
