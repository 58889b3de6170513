"""Which study a script means that is run again by `vtune resume`."""

from __future__ import annotations

import os

from vtune.errors import StoreError
from vtune.store import Reader

AGAIN = "VTUNE_RESUME"
"""Set to 1 by `vtune resume`: every study goes on, as with resume=True."""


def asked_again() -> bool:
    """Whether this process was started to go on with its studies."""
    return os.environ.get(AGAIN) == "1"


def last_unfinished(reader: Reader, task: str) -> str:
    """The name of the newest study of a task that is not complete.

    Args:
      reader: of its store.
      task: name of the task.

    Raises:
      StoreError: there is none.

    >>> from vtune.store import StudyRecord, open_writer
    >>> with open_writer(None) as writer:
    ...     study = writer.create(StudyRecord(name="digits-1", task="digits", metrics=("loss",)))
    ...     last_unfinished(writer.reader(), "digits")
    'digits-1'
    """
    studies = reader.studies()
    names = [study.name for study in studies if study.task == task and study.state != "complete"]
    if not names:
        complete = [study.name for study in studies if study.task == task]
        there = f"; complete are {', '.join(map(repr, complete[-5:]))}" if complete else ""
        raise StoreError(
            f"{reader.location} has no unfinished study of the task {task!r}{there}. Run the script itself to begin "
            "one."
        )
    return names[-1]
