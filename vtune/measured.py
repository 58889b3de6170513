"""What the trials of a tick measured: the replicas of each put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vtune.engine.lanes import Chunk


@dataclass(frozen=True, slots=True)
class Measured:
    """Trials that were measured, in the order of their ids.

    Attributes:
      trial: ids, int64 [n].
      step: steps done, int64 [n].
      values: mean of each metric over the trial's folds and seeds, float64 [n, metrics].
      spread: their standard deviation, float64 [n, metrics]; zero without folds and seeds.
      finite: whether the floating state of every replica is finite, bool [n].
      share: of its steps that the trial has done, float64 [n].
    """

    trial: np.ndarray
    step: np.ndarray
    values: np.ndarray
    spread: np.ndarray
    finite: np.ndarray
    share: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """Whether the trial has done all its steps, bool [n]."""
        return np.asarray(self.share >= 1)

    def of(self, rows: np.ndarray) -> Measured:
        """Some of the trials, by a mask or by indices."""
        return Measured(
            self.trial[rows], self.step[rows], self.values[rows], self.spread[rows], self.finite[rows],
            self.share[rows],
        )  # fmt: skip


def measured(chunks: Sequence[Chunk], metrics: int, replicas: int = 1) -> Measured:
    """Puts together what chunks measured.

    Args:
      chunks: of different blocks; the replicas of a trial are all in one of them.
      metrics: how many each measures.
      replicas: lanes of a trial.
    """

    def joined(name: str, kind: type, *shape: int) -> np.ndarray:
        empty: np.ndarray = np.empty((0, *shape), kind)
        return np.concatenate([empty, *[getattr(chunk, name) for chunk in chunks]]).astype(kind)

    order = np.lexsort((joined("replica", np.int64), joined("trial", np.int64)))

    def grouped(name: str, kind: type, *shape: int) -> np.ndarray:
        return joined(name, kind, *shape)[order].reshape(-1, replicas, *shape)

    values = grouped("values", np.float64, metrics)
    with np.errstate(invalid="ignore"):
        mean, spread = values.mean(1), values.std(1)
    return Measured(
        trial=grouped("trial", np.int64)[:, 0],
        step=grouped("step", np.int64)[:, 0],
        values=mean,
        spread=spread,
        finite=np.asarray(grouped("finite", bool).all(1)),
        share=grouped("share", np.float64)[:, 0],
    )
