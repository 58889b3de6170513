"""What a choice by name stands for: one entry of a table, or all that it may be and an index to choose by."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

from vtune.errors import ArgumentError
from vtune.hyper import choice_index, choice_values

Entry = TypeVar("Entry")


def branches(choice: Any, entries: Mapping[Any, Entry], noun: str) -> tuple[Any, tuple[Entry, ...]]:
    """The entries that a choice may be.

    Args:
      choice: a plain value, or a hyperparameter that is a Choice of the space.
      entries: what each value stands for; entries for other values are left out.
      noun: what an entry is, for errors.

    Returns:
      (index, entries in the order of the Choice's values) with an int32 tracer where the program packs the
      hyperparameter; else (None, the one entry).

    Raises:
      ArgumentError: no entry for a value.

    >>> branches("b", {"a": 1, "b": 2}, "number")
    (None, (2,))
    """
    index = choice_index(choice)
    values = (choice,) if index is None else choice_values(choice) or ()
    missing = [value for value in values if not isinstance(value, Hashable) or value not in entries]
    if missing:
        given = "was given" if index is None else "may be chosen"
        raise ArgumentError(
            f"every value that a choice may have needs {noun} of its name; {', '.join(map(repr, missing))} {given}, "
            f"and there are {', '.join(map(repr, entries)) or 'none'}."
        )
    return index, tuple(entries[value] for value in values)
