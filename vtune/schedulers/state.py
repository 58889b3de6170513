"""The states of schedulers: nested dicts and lists of arrays and JSON values, written as JSON and read back exactly."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

_ARRAY = "array"


def dump(state: Any) -> Any:
    """A state as JSON values; arrays become base64 of their bytes, so that NaN, infinities and last bits stay.

    Args:
      state: dicts with string keys and lists of arrays, numbers, strings, bools and None.

    Example:
      >>> dump({"count": 2, "best": np.array([0.5])})
      {'count': 2, 'best': {'array': 'AAAAAAAA4D8=', 'dtype': '<f8', 'shape': [1]}}
    """
    if isinstance(state, np.ndarray):
        array = np.ascontiguousarray(state, dtype=state.dtype.newbyteorder("<"))
        text = base64.b64encode(array.tobytes()).decode("ascii")
        return {_ARRAY: text, "dtype": array.dtype.str, "shape": list(state.shape)}
    if isinstance(state, np.generic):
        return state.item()
    if isinstance(state, dict):
        return {key: dump(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [dump(value) for value in state]
    return state


def load(values: Any) -> Any:
    """The state of which `dump` made these JSON values.

    Example:
      >>> load(dump({"best": np.array([0.5, float("inf")])}))["best"].tolist()
      [0.5, inf]
    """
    if isinstance(values, dict) and _ARRAY in values:
        array = np.frombuffer(base64.b64decode(values[_ARRAY]), dtype=np.dtype(values["dtype"]))
        return array.reshape(values["shape"]).astype(array.dtype.newbyteorder("="))
    if isinstance(values, dict):
        return {key: load(value) for key, value in values.items()}
    if isinstance(values, list):
        return [load(value) for value in values]
    return values


def grown(array: np.ndarray, length: int, fill: Any) -> np.ndarray:
    """A copy of an array that is at least so long along its first axis; what is new holds `fill`.

    Example:
      >>> grown(np.array([1, 2]), 4, 0).tolist()
      [1, 2, 0, 0]
    """
    result = np.full((max(length, len(array)), *array.shape[1:]), fill, dtype=array.dtype)
    result[: len(array)] = array
    return result


def room(trial: np.ndarray) -> int:
    """Length of an array with an entry for each of these trials and for all before them."""
    return int(trial.max(initial=-1)) + 1
