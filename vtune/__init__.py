"""vtune: hundreds or thousands of hyperparameter trials trained as one JAX array program.

Names are imported when they are first used, so that reading a store (the app, the command line) never starts JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vtune import executors, nn, proposers, schedulers
    from vtune.errors import VtuneError
    from vtune.forecast import plan
    from vtune.narrowing import narrow
    from vtune.records import Measurement, Trial, TrialState
    from vtune.report import Explanation
    from vtune.results import SavedStudy, load
    from vtune.rng import key
    from vtune.space import Choice, Float, Int, Space
    from vtune.study import Study
    from vtune.tasks.base import Run, Task
    from vtune.tasks.function import Function
    from vtune.tasks.streamed import Streamed
    from vtune.tasks.supervised import Supervised
    from vtune.tuning import tune

__version__ = "0.1.0"

_HOME = {
    "Choice": "vtune.space",
    "Explanation": "vtune.report",
    "Float": "vtune.space",
    "Function": "vtune.tasks.function",
    "Int": "vtune.space",
    "Measurement": "vtune.records",
    "Run": "vtune.tasks.base",
    "SavedStudy": "vtune.results",
    "Space": "vtune.space",
    "Streamed": "vtune.tasks.streamed",
    "Study": "vtune.study",
    "Supervised": "vtune.tasks.supervised",
    "Task": "vtune.tasks.base",
    "Trial": "vtune.records",
    "TrialState": "vtune.records",
    "VtuneError": "vtune.errors",
    "key": "vtune.rng",
    "load": "vtune.results",
    "narrow": "vtune.narrowing",
    "plan": "vtune.forecast",
    "tune": "vtune.tuning",
}
_ROOMS = ("executors", "nn", "proposers", "schedulers")

__all__ = [
    "Choice",
    "Explanation",
    "Float",
    "Function",
    "Int",
    "Measurement",
    "Run",
    "SavedStudy",
    "Space",
    "Streamed",
    "Study",
    "Supervised",
    "Task",
    "Trial",
    "TrialState",
    "VtuneError",
    "executors",
    "key",
    "load",
    "narrow",
    "nn",
    "plan",
    "proposers",
    "schedulers",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"vtune.{name}")
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"vtune has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
