"""Whether an object that was given has what its family of interchangeable parts must have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vtune.errors import ArgumentError


def complete(given: Any, members: Sequence[str], must: str) -> Any:
    """Gives back an object that has all the members.

    Args:
      given: what is to serve.
      members: names that it must have.
      must: what must hold, for the error.

    Raises:
      ArgumentError: a class, or an object that lacks some.

    Example:
      >>> complete({}, ["items", "told"], "scheduler must be an object")
      Traceback (most recent call last):
      vtune.errors.ArgumentError: scheduler must be an object; dict lacks told
    """
    if isinstance(given, type):
        raise ArgumentError(f"{must}; got the class {given.__name__}. Write {given.__name__}(...)")
    lacking = [member for member in members if not hasattr(given, member)]
    if lacking:
        raise ArgumentError(f"{must}; {type(given).__name__} lacks {', '.join(lacking)}")
    return given
