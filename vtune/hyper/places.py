"""Where in the user's code Python asked for a hyperparameter's value."""

from __future__ import annotations

import os
import sys
import sysconfig

_VTUNE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = tuple(os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_GENERATED = ("<string>", "<frozen ", "<attrs generated")


def user_place() -> tuple[str, str | None]:
    """The nearest line of the user's own code on the call stack, and the line of a library that it called.

    Returns:
      ("file:line", "package/file.py:line" or None); the first is "unknown" where no frame is the user's.
    """
    frame, via = sys._getframe(1), None
    while frame is not None:
        file = frame.f_code.co_filename
        installed = next((part for part in _INSTALLED if part in file), None)
        if installed is not None:
            if via is None and not file.startswith(_VTUNE):
                via = f"{file.rpartition(installed)[2]}:{frame.f_lineno}"
        elif not file.startswith((_VTUNE, *_STANDARD, *_GENERATED)):
            return f"{file}:{frame.f_lineno}", via
        frame = frame.f_back  # type: ignore[assignment]
    return "unknown", via
