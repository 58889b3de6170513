"""Losses by name, and the one form that all losses are brought to: `fn(hp, outputs, batch, size) -> scalar`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from vtune.errors import TaskError
from vtune.hyper import Size
from vtune.tasks import batch as batches
from vtune.tasks.data import rows

Loss = Callable[[Any, Any, Any], Any]


def resolve(loss: str | Loss, top_label: int | None = None) -> Callable[..., Any]:
    """Brings a loss to `fn(hp, outputs, batch, size=None) -> scalar`.

    Args:
      loss: "cross_entropy" (logits `[batch, ..., classes]` with integer labels `[batch, ...]`, or with probabilities
        of the shape of the logits), "binary_cross_entropy" (logits and 0/1 labels or probabilities of one shape),
        "mse", "mae", "huber" (delta 1); or fn(hp, outputs, batch) -> scalar or one value a row `[batch]`.
      top_label: the largest integer label of the data, where known: it must lie below the number of classes.

    Returns:
      The loss, averaged over rows; with a `Size` of the batch over its true rows.

    Raises:
      TaskError: for unknown names, here; for shapes that do not fit, when the loss is traced.

    >>> mse = resolve("mse")
    >>> float(mse(None, jnp.array([[1.0], [3.0]]), (None, jnp.array([0.0, 0.0]))))
    5.0
    """
    if callable(loss):
        return lambda hp, outputs, batch, size=None: row_mean(as_rows("loss", loss(hp, outputs, batch), batch), size)
    if loss not in NAMES:
        raise TaskError(f"loss must be a function or one of {', '.join(NAMES)}; it is {loss!r}.")
    values = NAMES[loss]

    def named(hp: Any, outputs: Any, batch: Any, size: Size | None = None) -> Any:
        outputs, labels = predictions(f"loss {loss!r}", outputs), jnp.asarray(batches.labels(batch))
        if loss == "cross_entropy" and top_label is not None and labels.ndim < outputs.ndim:
            _within(top_label, outputs)
        return row_mean(values(outputs, labels), size)

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


def as_rows(what: str, values: Any, batch: Any) -> Any:
    """A user's scalar or values by row, as an array [] or [rows]."""
    if not hasattr(values, "dtype") and not isinstance(values, int | float):
        raise TaskError(f"{what} must return a scalar or one value a row; it returned {values!r:.80}.")
    values, total = jnp.asarray(values), rows(batch)
    if values.shape not in ((), (total,)):
        raise TaskError(
            f"{what} must return a scalar or one value a row [{total}]; it returned the shape {list(values.shape)}."
        )
    return values


def row_mean(values: Any, size: Size | None = None) -> Any:
    """The mean of values by row.

    Args:
      values: [rows, ...], or a scalar that is a mean already.
      size: of the leading axis; None if all rows are true.

    Raises:
      TaskError: padded rows cannot be left out of a scalar, nor of values that are not by row.

    >>> float(row_mean(jnp.array([1.0, 3.0])))
    2.0
    """
    if size is None or not size.packed:
        return values.mean() if values.ndim else values
    if values.shape[:1] != (size.cap,):
        raise TaskError(
            f"a packed batch needs a loss of one value a row [{size.cap}], so that padded rows can be left out; this "
            f"one has the shape {list(values.shape)}."
        )
    true = size.mask.reshape(-1, *[1] * (values.ndim - 1))
    count = jnp.asarray(size.value * (values.size // size.cap), values.dtype)
    return jnp.where(true, values, jnp.zeros((), values.dtype)).sum() / count


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
