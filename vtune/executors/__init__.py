"""Executors: where trials are trained, in this process or on the workers of a Ray cluster.

Example:
  >>> from vtune.executors import Ray, make
  >>> make("local").name, make(Ray(workers=2)).workers
  ('local', 2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vtune.errors import ArgumentError
from vtune.members import complete

if TYPE_CHECKING:
    from vtune.executors.machines import Local
    from vtune.executors.ray.settings import Ray

__all__ = ["Local", "Ray", "make", "names"]

_HOME = {"Local": "vtune.executors.machines", "Ray": "vtune.executors.ray.settings"}
"""They bring JAX with them: imported when they are first named."""
_KINDS = {"local": "Local", "ray": "Ray"}
_MEMBERS = ("name", "threads", "devices", "connect", "begin", "again")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def names() -> tuple[str, ...]:
    """The names that `make` knows, in alphabetical order."""
    return tuple(sorted(_KINDS))


def make(executor: Any) -> Any:
    """Gives what trains the trials of a study.

    Args:
      executor: one of `names()`, or an object such as `Ray(workers=4)`.

    Raises:
      ArgumentError: anything else; says what it lacks.
      PackageError: the package that it needs is not installed.

    Example:
      >>> make("slurm")
      Traceback (most recent call last):
      vtune.errors.ArgumentError: executor must be 'local', 'ray' or an object of vtune.executors; got 'slurm'
    """
    must = f"executor must be {', '.join(map(repr, names()))} or an object of vtune.executors"
    if isinstance(executor, str):
        if executor not in _KINDS:
            raise ArgumentError(f"{must}; got {executor!r}")
        executor = __getattr__(_KINDS[executor])()
    return complete(executor, _MEMBERS, must)
