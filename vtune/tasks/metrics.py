"""Metrics as sums over batches: what is added up, and what is made of the total."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import TaskError
from vtune.tasks import batch as batches
from vtune.tasks.data import rows
from vtune.tasks.losses import alike, as_rows, predictions, row_mean

RESERVED = ("id", "state", "step", "score", "origin", "trial", "loss", "train_loss", "batch_loss", "grad_norm")
"""Names that a metric cannot have: columns of a study's frames, and what `Supervised` measures by itself."""

_AUC_BINS = 4096


@dataclass(frozen=True, slots=True)
class Metric:
    """One measure of a data set, computed batch by batch.

    Attributes:
      sums: (outputs, batch) -> pytree of arrays that may be added over batches.
      finish: total of the sums -> scalar.
    """

    sums: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]


def average(what: str, values: Callable[[Any, Any], Any]) -> Metric:
    """A metric that is a mean over rows, from a function that gives a scalar mean or one value a row of a batch."""

    def sums(outputs: Any, batch: Any) -> tuple[Any, Any]:
        weight = jnp.float32(rows(batch))
        return row_mean(as_rows(what, values(outputs, batch), batch)) * weight, weight

    return Metric(sums, lambda total: total[0] / total[1])


def resolve(metrics: Any, *, binary: bool = False, centre: float = 0.0) -> dict[str, Metric | None]:
    """Brings the `metrics=` of a task to named `Metric`s; `n_params`, a constant of the model, is None.

    Args:
      metrics: a name, names, or {name: name, fn(outputs, batch) or (sums, finish)}.
      binary: whether outputs are logits of independent 0/1 labels (the loss is "binary_cross_entropy").
      centre: a typical label, subtracted before squares are summed (for "r2").

    Raises:
      TaskError: for unknown or reserved names, and for values of the wrong form.

    >>> accuracy = resolve("accuracy")["accuracy"]
    >>> total = accuracy.sums(jnp.array([[0.0, 1.0], [2.0, 1.0]]), (None, jnp.array([1, 1])))
    >>> float(accuracy.finish(total))
    0.5
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    given = dict(metrics) if isinstance(metrics, Mapping) else _by_name(metrics)
    named = _named(binary, centre)
    resolved: dict[str, Metric | None] = {}
    for name, metric in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise TaskError(f"a metric's name must be an identifier, since it becomes a column; it is {name!r}.")
        if name in RESERVED:
            raise TaskError(f"a metric must not be called {name!r}: that column has another meaning. Rename it.")
        resolved[name] = _one(name, metric, named)
    for name in resolved:
        if f"train_{name}" in resolved:
            raise TaskError(f"metric 'train_{name}' clashes with {name!r} on the training data. Rename one.")
    return resolved


def _by_name(metrics: Any) -> dict[Any, Any]:
    if not isinstance(metrics, Sequence | set | frozenset):
        raise TaskError(f"metrics must be names or a dict name -> function; they are {metrics!r:.80}.")
    if len(set(metrics)) != len(metrics):
        raise TaskError(f"every metric must be named once; metrics are {tuple(metrics)!r}.")
    return {name: name for name in metrics}


def _one(name: str, metric: Any, named: dict[str, Metric | None]) -> Metric | None:
    if isinstance(metric, str):
        if metric not in named:
            raise TaskError(f"metric {name!r} must be a function or one of {', '.join(named)}; it is {metric!r}.")
        return named[metric]
    if isinstance(metric, tuple) and len(metric) == 2 and all(map(callable, metric)):
        return Metric(*metric)
    if callable(metric):
        return average(f"metric {name!r}", metric)
    raise TaskError(f"metric {name!r} must be fn(outputs, batch) or a pair (sums, finish); it is {metric!r:.80}.")


def _named(binary: bool, centre: float) -> dict[str, Metric | None]:
    def on_labels(name: str, values: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def by_row(outputs: Any, batch: Any) -> Any:
            found = values(predictions(f"metric {name!r}", outputs), jnp.asarray(batches.labels(batch)))
            return found.reshape(rows(batch), -1).mean(1)

        return by_row

    def mean_of(name: str, values: Callable[[Any, Any], Any]) -> Metric:
        return average(f"metric {name!r}", on_labels(name, values))

    def square(name: str) -> Callable[[Any, Any], Any]:
        return lambda outputs, labels: jnp.square(alike(name, outputs, labels) - labels)

    rmse = average("metric 'rmse'", on_labels("rmse", square("rmse")))
    return {
        "accuracy": mean_of("accuracy", lambda outputs, labels: jnp.equal(*_classes(outputs, labels, binary))),
        "top_5_accuracy": mean_of("top_5_accuracy", _in_top_5),
        "f1": Metric(lambda outputs, batch: _confusion(outputs, batch, binary), _macro_f1),
        "auc": Metric(_score_histogram, _area),
        "mse": mean_of("mse", square("mse")),
        "mae": mean_of("mae", lambda outputs, labels: jnp.abs(alike("mae", outputs, labels) - labels)),
        "rmse": Metric(rmse.sums, lambda total: jnp.sqrt(rmse.finish(total))),
        "r2": Metric(lambda outputs, batch: _squares(outputs, batch, centre), _explained),
        "n_params": None,
    }


def _classes(outputs: Any, labels: Any, binary: bool) -> tuple[Any, Any]:
    """Predicted and true classes in one shape: by the largest logit, or by the sign of single logits."""
    if binary or outputs.ndim == labels.ndim or outputs.shape[-1] == 1:
        if not binary and outputs.ndim > 1 and labels.shape == outputs.shape and outputs.shape[-1] > 1:
            return outputs.argmax(-1), labels.argmax(-1)
        return (alike("a metric of classes", outputs, labels) > 0).astype(jnp.int32), (labels > 0.5).astype(jnp.int32)
    predicted = outputs.argmax(-1)
    return predicted, alike("a metric of classes", labels, predicted)


def _in_top_5(outputs: Any, labels: Any) -> Any:
    own = jnp.take_along_axis(outputs, labels[..., None].astype(jnp.int32), -1)
    return (outputs > own).sum(-1) < 5


def _confusion(outputs: Any, batch: Any, binary: bool) -> Any:
    outputs = predictions("metric 'f1'", outputs)
    predicted, true = _classes(outputs, jnp.asarray(batches.labels(batch)), binary)
    count = max(2, outputs.shape[-1]) if outputs.ndim == predicted.ndim + 1 else 2
    predicted, true = (jax.nn.one_hot(each.reshape(-1), count) for each in (predicted, true))
    return jnp.stack([(predicted * true).sum(0), predicted.sum(0), true.sum(0)])


def _macro_f1(total: Any) -> Any:
    """Unweighted mean of the classes' F1 over those that were seen or predicted (van Rijsbergen, 1979)."""
    hits, predicted, true = total
    seen = predicted + true > 0
    return (2 * hits / jnp.where(seen, predicted + true, 1.0)).sum() / seen.sum()


def _score_histogram(outputs: Any, batch: Any) -> Any:
    """How many rows of either class fall in each bin of the score x / (1 + |x|), which resolves small logits finely."""
    outputs, labels = predictions("metric 'auc'", outputs), jnp.asarray(batches.labels(batch))
    if outputs.ndim == labels.ndim + 1 and outputs.shape[-1] == 2:
        outputs = outputs[..., 1] - outputs[..., 0]
    score = alike("metric 'auc'", outputs, labels).reshape(-1)
    positive = (labels.reshape(-1) > 0.5).astype(jnp.float32)
    place = (score / (1 + jnp.abs(score)) + 1) * (_AUC_BINS / 2)
    bins = jnp.clip(place.astype(jnp.int32), 0, _AUC_BINS - 1)
    return jnp.zeros((_AUC_BINS, 2)).at[bins].add(jnp.stack([positive, 1 - positive], -1))


def _area(total: Any) -> Any:
    """Area under the ROC curve as the Mann-Whitney statistic (Hanley and McNeil, 1982); ties in a bin count half."""
    positive, negative = total[:, 0], total[:, 1]
    below = jnp.cumsum(negative) - negative
    return (positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum())


def _squares(outputs: Any, batch: Any, centre: float) -> Any:
    labels = jnp.asarray(batches.labels(batch))
    outputs = alike("metric 'r2'", predictions("metric 'r2'", outputs), labels)
    total = rows(batch)
    errors, offsets = (outputs - labels).reshape(total, -1), (labels - centre).reshape(total, -1)
    return jnp.square(errors).sum(0), offsets.sum(0), jnp.square(offsets).sum(0), jnp.float32(total)


def _explained(total: Any) -> Any:
    """Coefficient of determination; the mean over output columns where there are several."""
    errors, offset, square, count = total
    return (1 - errors / (square - jnp.square(offset) / count)).mean()


NAMES = tuple(_named(binary=False, centre=0.0))
"""Metrics that are known by their name."""
