"""What the trials of a tick measured: the replicas of each put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vtune.engine.lanes import Chunk


@dataclass(frozen=True, slots=True)
class Replicas:
    """Trials that were measured, by their ids and steps, with a row for each of their folds and seeds.

    Attributes:
      trial: ids, int64 [n].
      step: steps done, int64 [n].
      values: metrics, float64 [n, replicas, metrics].
      finite: whether the floating state of every replica is finite, bool [n].
      share: of its steps that the trial has done, float64 [n].
    """

    trial: np.ndarray
    step: np.ndarray
    values: np.ndarray
    finite: np.ndarray
    share: np.ndarray


@dataclass(frozen=True, slots=True)
class Measured:
    """Trials that were measured, by their ids and steps.

    Attributes:
      trial: ids, int64 [n].
      step: steps done, int64 [n].
      values: mean of each metric over the trial's folds and seeds, and behind them standard deviations of some, float64
        [n, metrics].
      finite: whether the floating state of every replica is finite, bool [n].
      share: of its steps that the trial has done, float64 [n].
    """

    trial: np.ndarray
    step: np.ndarray
    values: np.ndarray
    finite: np.ndarray
    share: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """Whether the trial has done all its steps, bool [n]."""
        return np.asarray(self.share >= 1)

    def until(self, ended: np.ndarray) -> Measured:
        """Without the rows of trials after the first in which they have ended, bool [n]."""
        before = np.cumsum(ended) - ended
        return self.of(before == before[np.searchsorted(self.trial, self.trial)])

    def of(self, rows: np.ndarray) -> Measured:
        """Some of the trials, by a mask or by indices."""
        return Measured(self.trial[rows], self.step[rows], self.values[rows], self.finite[rows], self.share[rows])


def replicas_together(chunks: Sequence[Chunk], replicas: int) -> Replicas:
    """Puts the replicas of trials side by side.

    Args:
      chunks: of blocks; the replicas of a trial are all in one of them, and a trial may be measured in several.
      replicas: lanes of a trial.
    """

    def joined(name: str, kind: type) -> np.ndarray:
        parts = [getattr(chunk, name) for chunk in chunks]
        return np.concatenate(parts).astype(kind) if parts else np.empty(0, kind)

    order = np.lexsort((joined("replica", np.int64), joined("step", np.int64), joined("trial", np.int64)))

    def grouped(name: str, kind: type) -> np.ndarray:
        values = joined(name, kind)[order]
        return values.reshape(-1, replicas, *values.shape[1:])

    return Replicas(
        trial=grouped("trial", np.int64)[:, 0],
        step=grouped("step", np.int64)[:, 0],
        values=grouped("values", np.float64),
        finite=np.asarray(grouped("finite", bool).all(1)),
        share=grouped("share", np.float64)[:, 0],
    )


def measured(chunks: Sequence[Chunk], metrics: int, replicas: int = 1, spreads: Sequence[int] = ()) -> Measured:
    """Puts together what chunks measured.

    Args:
      chunks: see `replicas_together`.
      metrics: how many each measures.
      replicas: lanes of a trial.
      spreads: columns of metrics whose standard deviation over folds and seeds is wanted too.
    """
    rows = replicas_together(chunks, replicas)
    values = rows.values.reshape(len(rows.trial), replicas, metrics)
    return Measured(rows.trial, rows.step, together(values, spreads), rows.finite, rows.share)


def together(values: np.ndarray, spreads: Sequence[int]) -> np.ndarray:
    """Means over replicas, and behind them the standard deviations of some metrics.

    Args:
      values: metrics, float64 [n, replicas, metrics].
      spreads: columns of metrics whose standard deviation is wanted too.

    >>> together(np.array([[[1.0], [3.0]]]), [0])
    array([[2., 1.]])
    """
    with np.errstate(invalid="ignore"):
        return np.concatenate([values.mean(1), values[:, :, list(spreads)].std(1)], axis=1)
