"""Supervised learning on more training data than the device holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from vtune.errors import TaskError
from vtune.tasks.base import Windows
from vtune.tasks.data import fingerprint, load
from vtune.tasks.division import Apart
from vtune.tasks.supervised import Supervised


@dataclasses.dataclass(frozen=True)
class _Windowed(Apart):
    """A window of the training data, and all validation data.

    Attributes:
      whole: rows of all windows.
    """

    whole: int = 0

    @property
    def most(self) -> int:
        """Rows of a pass over the training data."""
        return self.whole


class Streamed(Supervised):
    """A `Supervised` task whose training data stay on disk, or in the host's memory; the device holds two windows.

    A window is a run of rows that follow each other. All trials go through the windows in the order of the file, and
    begin with the first; the lanes of a block share each window, and the next is loaded while they train on it. Within
    a window every trial has an order of its own, a new one in every pass. Rows that belong together should be mixed
    before they are written.

    What a trial sees follows from its own steps alone: neither from its lane, nor from when it began. A trial therefore
    waits until a block is at the first window: where trials are stopped early, their lanes stay empty until then.

    Args:
      model: as for `Supervised`.
      optimizer: as for `Supervised`; `run.rows` counts the rows of a pass.
      train: pytree of array-likes `[rows, ...]` that give NumPy arrays when they are sliced: `numpy.memmap`, arrays of
        h5py or zarr.
      valid: validation data, whole on the device.
      window: rows of a window, a multiple of `batch_size`. Where it does not divide the rows of `train`, windows
        overlap a little, so that no row is left out.
      batch_size: rows a step.
      **options: as for `Supervised`.

    Attributes:
      windows: steps of a window, and how many there are.

    Raises:
      TaskError: for data and options that do not fit.

    Example:
      >>> import types, flax.linen as nn
      >>> x = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
      >>> task = Streamed(lambda hp: nn.Dense(1), lambda hp: optax.sgd(hp.lr), train=(x, x[:, 0]),
      ...                 valid=(x[:20], x[:20, 0]), loss="mse", window=40, batch_size=10)
      >>> task.windows, task.data["train"][0].shape
      (Windows(steps=4, count=3), (40, 4))
    """

    def __init__(
        self,
        model: Callable[..., Any],
        optimizer: Callable[..., optax.GradientTransformation],
        *,
        train: Any,
        valid: Any,
        window: int,
        batch_size: int = 64,
        **options: Any,
    ):
        self._stream, self._rows = train, _length(train)
        if not isinstance(batch_size, int) or not isinstance(window, int) or batch_size < 1 or window % batch_size:
            raise TaskError(
                "window must be a whole number of batches, of a batch_size that is the same for all trials; window is "
                f"{window!r} and batch_size {batch_size!r:.80}."
            )
        if not batch_size <= window <= self._rows:
            raise TaskError(f"window must lie between batch_size and the rows of train ({self._rows}); it is {window}.")
        if isinstance(valid, int | float) or isinstance(options.get("test"), int | float):
            raise TaskError("valid and test must be data beside streamed training data; a fraction was given.")
        self._finite = options.get("prepare") is None
        self.windows = Windows(window // batch_size, -(-self._rows // window))
        self._starts = np.linspace(0, self._rows - window, self.windows.count).round().astype(np.int64)
        first = _slice(train, 0, window)
        super().__init__(model, optimizer, train=first, valid=valid, batch_size=batch_size, **options)
        self._division = _Windowed(window, window * self.windows.count)

    def window(self, number: int) -> dict[str, Any]:
        """The data of a window, on the host.

        Args:
          number: from 0 to `windows.count - 1`.

        Raises:
          TaskError: rows that hold NaN or infinity, without a `prepare` that may replace them.
        """
        start = int(self._starts[number])
        stop = start + self._division.fewest
        part = load(f"train[{start}:{stop}]", _slice(self._stream, start, stop), finite=self._finite)
        return {**self.data, "train": part}

    def indices(self, init_key: Any, step: int, batch_size: int, fold: int = 0) -> Any:
        """The rows of `train`, as it was given, that a step sees, for training by hand; see `Supervised.indices`."""
        within = super().indices(init_key, step, batch_size, fold)
        return np.asarray(within) + self._starts[self.windows.at(step)]

    def for_folds(self, folds: int, seed: int) -> Streamed:
        """Refuses folds: a window has rows of all of them.

        Raises:
          TaskError: always.
        """
        raise TaskError("streamed training data cannot be divided into folds. Use seeds= for the spread of a score.")

    def describe(self) -> dict[str, Any]:
        """What must not change between a study and its resumption, as JSON values."""
        stream = {"rows": self._rows, "windows": dataclasses.asdict(self.windows)}
        sample = _slice(self._stream, None, None, -(-self._rows // _SAMPLE))
        return {**super().describe(), "stream": {**stream, "hash": fingerprint(sample)}}


_SAMPLE = 1024
"""Rows of all windows by which data are recognised, at most."""


def _length(train: Any) -> int:
    leaves = jax.tree_util.tree_leaves_with_path(train)
    if not leaves or not all(getattr(leaf, "shape", ()) for _, leaf in leaves):
        raise TaskError("train must hold arrays with one row per example, as numpy.memmap and arrays of h5py are.")
    lengths = {"train" + jax.tree_util.keystr(path): leaf.shape[0] for path, leaf in leaves}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise TaskError(f"all arrays of train must have the same number of rows; {listed}.")
    return int(leaves[0][1].shape[0])


def _slice(tree: Any, *ends: int | None) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf[slice(*ends)]), tree)
