"""Data sets: pytrees of arrays with one leading axis, checked and made canonical before anything runs."""

from __future__ import annotations

import hashlib
from typing import Any

import jax
import numpy as np

from vtune.errors import TaskError

_HASHED_BYTES = 1 << 22


def load(what: str, tree: Any, *, finite: bool = True) -> Any:
    """Checks a data set and gives it back with NumPy leaves of the dtypes that JAX will use.

    Args:
      what: name of the data set, for errors ("train").
      tree: pytree of array-likes (NumPy, JAX, pandas), each `[rows, ...]`.
      finite: refuse NaN and infinity in floating leaves.

    Returns:
      The same pytree with NumPy leaves; float64 became float32 and int64 int32, unless JAX runs in 64 bits.

    Raises:
      TaskError: naming the leaf, what it must be and what it is.

    >>> load("train", (np.zeros((3, 2)), np.arange(3)))[0].dtype
    dtype('float32')
    """
    leaves, form = jax.tree_util.tree_flatten_with_path(tree)
    if not leaves:
        raise TaskError(f"{what} must hold at least one array with one row per example; it holds none: {tree!r:.80}.")
    named = [(what + jax.tree_util.keystr(path), leaf) for path, leaf in leaves]
    arrays = [_array(name, leaf, finite) for name, leaf in named]
    lengths = {name: len(array) for (name, _), array in zip(named, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise TaskError(f"all arrays of {what} must have the same number of rows; {listed}.")
    return jax.tree.unflatten(form, arrays)


def _array(name: str, leaf: Any, finite: bool) -> np.ndarray:
    if isinstance(leaf, bool | int | float | complex | str | bytes):
        raise TaskError(
            f"{name} must be an array with one row per example; it is the Python value {leaf!r}. Lists are read as "
            "pytrees: pass numpy.asarray(...) of them."
        )
    array = np.asarray(leaf)
    if array.dtype.kind in "OSUMm":
        raise TaskError(
            f"{name} must hold numbers; its dtype is {array.dtype}. Encode text and categories as integers, e.g. "
            "numpy.unique(labels, return_inverse=True)[1]."
        )
    if array.ndim == 0:
        raise TaskError(f"{name} must have a leading axis of examples; it is a scalar ({array!r}).")
    if not len(array):
        raise TaskError(f"{name} must have at least one row; it has none.")
    if finite and jax.dtypes.issubdtype(array.dtype, np.inexact):
        bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if bad.any():
            raise TaskError(
                f"{name} must be finite; {int(bad.sum())} of {len(array)} rows hold NaN or infinity, the first is row "
                f"{int(bad.argmax())}. Clean the data, or pass prepare= that replaces such values inside the program."
            )
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if array.dtype.kind in "iu" and array.dtype != dtype:
        bounds, low, high = np.iinfo(dtype), int(array.min()), int(array.max())
        if low < bounds.min or high > bounds.max:
            raise TaskError(
                f"{name} must fit {dtype}, since JAX runs in 32 bits; it reaches from {low} to {high}. Renumber it or "
                "switch on jax_enable_x64."
            )
    return array.astype(dtype, copy=False)


def matches(what: str, tree: Any, train: Any) -> None:
    """Checks that a held-out set has the form of the training data.

    Raises:
      TaskError: naming the leaf, the shape or dtype expected and the one found.
    """
    own, expected_form = str(jax.tree.structure(tree)), str(jax.tree.structure(train))
    if own != expected_form:
        raise TaskError(f"{what} must have the structure of train, {expected_form}; it is {own}.")
    pairs = zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(train), strict=True)
    for (path, found), expected in pairs:
        if found.shape[1:] != expected.shape[1:] or found.dtype != expected.dtype:
            where = jax.tree_util.keystr(path)
            raise TaskError(
                f"a row of {what}{where} must be as in train: {expected.dtype}{list(expected.shape[1:])}; it is "
                f"{found.dtype}{list(found.shape[1:])}."
            )


def rows(tree: Any) -> int:
    """The length of the leading axis of a batch or data set."""
    return int(jax.tree.leaves(tree)[0].shape[0])


def take(tree: Any, indices: Any) -> Any:
    """The rows `indices` (all within range, since nothing checks them) of every leaf, on the device."""
    return jax.tree.map(lambda leaf: jax.numpy.asarray(leaf).at[indices].get(mode="promise_in_bounds"), tree)


def pick(tree: Any, indices: np.ndarray) -> Any:
    """The rows `indices` of every leaf, on the host."""
    return jax.tree.map(lambda leaf: leaf[indices], tree)


def forms(tree: Any) -> list[str]:
    """One readable line a leaf: path, dtype and shape."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [f"{jax.tree_util.keystr(path)} {leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves]


def fingerprint(tree: Any) -> str:
    """A hash of the data: of all bytes up to a few MB a leaf, of evenly spaced rows beyond."""
    digest = hashlib.blake2b(digest_size=16)
    for line, leaf in zip(forms(tree), jax.tree.leaves(tree), strict=True):
        stride = max(1, -(-leaf.nbytes // _HASHED_BYTES))
        digest.update(line.encode())
        digest.update(np.ascontiguousarray(np.atleast_1d(leaf)[::stride]).tobytes())
    return digest.hexdigest()
