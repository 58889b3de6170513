"""Losses by name, and the one form that all losses are brought to: `fn(hp, outputs, batch) -> scalar`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from vtune.errors import TaskError
from vtune.tasks import batch as batches
from vtune.tasks.data import rows

Loss = Callable[[Any, Any, Any], Any]


def resolve(loss: str | Loss, top_label: int | None = None) -> Loss:
    """Brings a loss to `fn(hp, outputs, batch) -> scalar`.

    Args:
      loss: "cross_entropy" (logits `[batch, ..., classes]` with integer labels `[batch, ...]`, or with probabilities
        of the shape of the logits), "binary_cross_entropy" (logits and 0/1 labels or probabilities of one shape),
        "mse", "mae", "huber" (delta 1); or fn(hp, outputs, batch) -> scalar or one value a row `[batch]`.
      top_label: the largest integer label of the data, where known: it must lie below the number of classes.

    Returns:
      The loss, averaged over rows.

    Raises:
      TaskError: for unknown names, here; for shapes that do not fit, when the loss is traced.

    >>> mse = resolve("mse")
    >>> float(mse(None, jnp.array([[1.0], [3.0]]), (None, jnp.array([0.0, 0.0]))))
    5.0
    """
    if callable(loss):
        return lambda hp, outputs, batch: mean("loss", loss(hp, outputs, batch), batch)
    if loss not in NAMES:
        raise TaskError(f"loss must be a function or one of {', '.join(NAMES)}; it is {loss!r}.")
    by_row = NAMES[loss]

    def named(hp: Any, outputs: Any, batch: Any) -> Any:
        outputs, labels = predictions(f"loss {loss!r}", outputs), jnp.asarray(batches.labels(batch))
        if loss == "cross_entropy" and top_label is not None and labels.ndim < outputs.ndim:
            _within(top_label, outputs)
        return by_row(outputs, labels).mean()

    return named


def predictions(what: str, outputs: Any) -> Any:
    """The outputs as an array in at least single precision."""
    if not hasattr(outputs, "dtype"):
        raise TaskError(
            f"{what} needs a model that returns one array; it returned a {type(outputs).__name__}. Pass a function."
        )
    return outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))


def alike(what: str, outputs: Any, labels: Any) -> Any:
    """The outputs in the shape of the labels: a last axis of length 1 is dropped where the labels have none."""
    if outputs.ndim == labels.ndim + 1 and outputs.shape[-1] == 1:
        outputs = outputs[..., 0]
    if outputs.shape != labels.shape:
        raise TaskError(
            f"{what} needs outputs of the shape of the labels {list(labels.shape)}; the model returned "
            f"{list(outputs.shape)}."
        )
    return outputs


def mean(what: str, values: Any, batch: Any) -> Any:
    """A user's scalar or values by row, as a scalar."""
    if not hasattr(values, "dtype") and not isinstance(values, int | float):
        raise TaskError(f"{what} must return a scalar or one value a row; it returned {values!r:.80}.")
    values, total = jnp.asarray(values), rows(batch)
    if values.shape not in ((), (total,)):
        raise TaskError(
            f"{what} must return a scalar or one value a row [{total}]; it returned the shape {list(values.shape)}."
        )
    return values.mean() if values.ndim else values


def _within(top_label: int, outputs: Any) -> None:
    if top_label >= outputs.shape[-1]:
        raise TaskError(
            f"cross_entropy needs labels below the number of classes, the model's last axis ({outputs.shape[-1]}); the "
            f"largest label is {top_label}. Give the model {top_label + 1} outputs, or renumber the labels from 0."
        )


def _cross_entropy(outputs: Any, labels: Any) -> Any:
    if labels.ndim == outputs.ndim and labels.shape[-1] == outputs.shape[-1]:
        return optax.softmax_cross_entropy(outputs, labels.astype(outputs.dtype))
    if labels.shape != outputs.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TaskError(
            f"cross_entropy needs integer labels {list(outputs.shape[:-1])} or probabilities {list(outputs.shape)} for "
            f"outputs {list(outputs.shape)}; the labels are {labels.dtype}{list(labels.shape)}."
        )
    return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)


def _binary_cross_entropy(outputs: Any, labels: Any) -> Any:
    outputs = alike("binary_cross_entropy", outputs, labels)
    return optax.sigmoid_binary_cross_entropy(outputs, labels.astype(outputs.dtype))


def _difference(name: str, of: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda outputs, labels: of(alike(name, outputs, labels) - labels)


NAMES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "mse": _difference("mse", jnp.square),
    "mae": _difference("mae", jnp.abs),
    "huber": _difference("huber", optax.huber_loss),
}
