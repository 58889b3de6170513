"""Says which configuration a task was traced with when it failed: the traceback is the task's, the note is ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from vtune.errors import GuardError, TaskError, VtuneError


@contextlib.contextmanager
def traced_with(config: Mapping[str, Any]) -> Iterator[None]:
    """Adds a note with the configuration to what a task raises while it is traced.

    Args:
      config: a filled configuration.

    Raises:
      Exception: whatever was raised, with the note.

    >>> try:
    ...     with traced_with({"lr": 0.1}):
    ...         raise KeyError("params")
    ... except KeyError as error:
    ...     error.__notes__
    ["vtune was tracing the task with the configuration {'lr': 0.1}"]
    """
    try:
        yield
    except Exception as error:
        ours = isinstance(error, VtuneError) and not isinstance(error, TaskError | GuardError)
        note = f"vtune was tracing the task with the configuration {dict(config)!r}"
        if not ours and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise
