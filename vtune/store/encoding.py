"""Configurations and other Python values as JSON text and back; floats exactly, tuples as tuples, no pickle.

What JSON cannot hold is tagged in one place, here: a tuple is `{"__tuple__": [...]}`, a dict whose keys are not plain
strings `{"__dict__": [[key, value], ...]}`. Any other object (a function, a class) is kept as its label, a string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_PLAIN = frozenset({bool, int, float, str, type(None)})
_TAGS = frozenset({"__tuple__", "__dict__"})


def label(value: object) -> str:
    """How an object that JSON cannot hold is written down: its name, else its repr without its address.

    Two objects of one name look the same then: `Space.plain` gives labels that tell the values of a choice apart.

    >>> label(json.dumps)
    'dumps'
    """
    name = getattr(value, "__name__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def storable(text: str) -> str:
    """A text as every database takes it: NUL characters and halves of surrogate pairs become escapes.

    >>> storable("a\\0b"), storable("é")
    ('a\\\\x00b', 'é')
    """
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def dumps(value: Any) -> str:
    """Any value as JSON text.

    >>> loads(dumps({"lr": 0.1, "kernel": (3, 3)}))
    {'lr': 0.1, 'kernel': (3, 3)}
    """
    return json.dumps(value if _is_plain(value) else _encode(value), separators=(",", ":"))


def loads(text: str) -> Any:
    """The value that `dumps` wrote."""
    return loads_all([text])[0]


def loads_all(texts: Sequence[str]) -> list[Any]:
    """The values of many texts of `dumps`, parsed at once."""
    joined = f"[{','.join(texts)}]"
    tagged = any(tag in joined for tag in _TAGS)
    return json.loads(joined, object_hook=_decode if tagged else None)


def _is_plain(value: Any) -> bool:
    """Whether this is a flat dict that JSON holds as it is: nearly every configuration."""
    return (
        type(value) is dict
        and all(type(item) in _PLAIN for item in value.values())
        and all(type(key) is str for key in value)
        and _TAGS.isdisjoint(value)
    )


def _encode(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic | np.ndarray):
        return _encode(value.tolist())
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, tuple):
        return {"__tuple__": [_encode(item) for item in value]}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and _TAGS.isdisjoint(value):
            return {str(key): _encode(item) for key, item in value.items()}
        return {"__dict__": [[_encode(key), _encode(item)] for key, item in value.items()]}
    return label(value)


def _decode(value: dict[str, Any]) -> Any:
    if "__tuple__" in value:
        return tuple(value["__tuple__"])
    if "__dict__" in value:
        return dict(value["__dict__"])
    return value
