"""The three data sets of a supervised task, and what their labels say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from vtune.errors import TaskError
from vtune.tasks import batch as batches
from vtune.tasks.data import load, matches, pick, rows
from vtune.tasks.split import carve


@dataclass(frozen=True, slots=True)
class Sources:
    """The data sets of a task, checked, with NumPy leaves.

    Attributes:
      train: training data.
      valid: validation data.
      test: test data; None if there are none.
      whole: gives all rows but the test data's: training data as they were before validation rows were carved out of
        them, or followed by the validation data that were given.
    """

    train: Any
    valid: Any
    test: Any
    whole: Callable[[], Any]

    @property
    def sets(self) -> dict[str, Any]:
        """The data sets that there are, by name."""
        every = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: each for name, each in every.items() if each is not None}


def divided(train: Any, valid: Any, test: Any, *, finite: bool = True) -> Sources:
    """Loads the data and carves test rows, then validation rows, out of the training rows where fractions ask for it.

    Args:
      train: pytree of arrays `[rows, ...]`.
      valid: data of the same form, or a fraction of the rows given in `train`.
      test: as `valid`, or None.
      finite: refuse NaN and infinity.

    Raises:
      TaskError: for fractions outside (0, 1), too few rows, and data that do not fit together.
    """
    train = load("train", train, finite=finite)
    total = rows(train)
    held: dict[str, Any] = {}
    for seed, (name, given) in enumerate({"test": test, "valid": valid}.items()):
        if isinstance(given, int | float):
            count = _count(name, given, total)
            if count >= rows(train):
                raise TaskError(
                    f"{name}={given} leaves no training data: it takes {count} of the {rows(train)} rows left."
                )
            kept, carved = carve(rows(train), count, classes(train), seed)
            before = train
            train, held[name] = pick(train, kept), pick(train, carved)
        elif given is None and name == "test":
            held[name] = None
        elif given is None:
            raise TaskError("valid must be data of the form of train or a fraction between 0 and 1; it is None.")
        else:
            held[name] = load(name, given, finite=finite)
            matches(name, held[name], train)
    if isinstance(valid, int | float):
        return Sources(train, held["valid"], held["test"], lambda: before)
    return Sources(train, held["valid"], held["test"], lambda: _together(train, held["valid"]))


def _together(first: Any, second: Any) -> Any:
    return jax.tree.map(lambda *parts: np.concatenate(parts), first, second)


def _count(name: str, fraction: float, total: int) -> int:
    if isinstance(fraction, bool) or not 0 < fraction < 1:
        raise TaskError(f"{name} must be data of the form of train or a fraction between 0 and 1; it is {fraction!r}.")
    if total < 2:
        raise TaskError(f"{name}={fraction} needs at least 2 rows to divide; train has {total}.")
    return max(1, round(total * fraction))


def classes(tree: Any) -> np.ndarray | None:
    """The labels `[rows]` of a data set if they are integers, for a stratified split."""
    if not batches.has_labels(tree):
        return None
    labels = batches.labels(tree)
    return labels if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iub" else None


@dataclass(frozen=True, slots=True)
class LabelFacts:
    """What is known of labels before a model is built.

    Attributes:
      top: the largest integer label; None where labels are not integers or change on the way to the loss.
      centre: a typical label.
    """

    top: int | None = None
    centre: float = 0.0


def label_facts(loss: Any, sets: dict[str, Any], prepared: bool) -> LabelFacts:
    """Checks labels against a loss by name.

    Args:
      loss: name of the loss, or a function, which is not checked.
      sets: data sets by name.
      prepared: whether `prepare` may change or make labels before the loss sees them.

    Raises:
      TaskError: naming the data set and the label.
    """
    if isinstance(loss, str) and not prepared:
        for each in sets.values():
            batches.labels(each)
    if prepared or not all(map(batches.has_labels, sets.values())):
        return LabelFacts()
    labels = {name: batches.labels(each) for name, each in sets.items()}
    if not all(isinstance(each, np.ndarray) for each in labels.values()):
        return LabelFacts()
    ranges = {name: (each.min(), each.max()) for name, each in labels.items()}
    for name, (low, high) in ranges.items():
        if loss == "cross_entropy" and low < 0:
            raise TaskError(f"cross_entropy needs labels from 0; the smallest label of {name} is {low}. Renumber them.")
        if loss == "binary_cross_entropy" and (low < 0 or high > 1):
            raise TaskError(
                f"binary_cross_entropy needs labels from 0 to 1; those of {name} reach from {low} to {high}."
            )
    integers = all(each.dtype.kind in "iu" for each in labels.values())
    top = max(int(high) for _, high in ranges.values()) if integers else None
    return LabelFacts(top, float(next(iter(labels.values())).mean(dtype=np.float64)))
