"""Proposers: where the next configurations come from. Each stands on its own, with ask and tell.

Example:
  >>> from vtune.space import Int, Space
  >>> grid = Grid(Space(depth=Int(1, 3)))
  >>> configs = grid.ask(8)
  >>> grid.tell(configs, [0.3, 0.1, 0.2])
  >>> configs, grid.ask(8)
  ([{'depth': 1}, {'depth': 2}, {'depth': 3}], [])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vtune.proposers.base import Proposer, follows, learns, make, names, register
from vtune.proposers.grid import Grid
from vtune.proposers.random import Random
from vtune.proposers.sobol import Sobol

if TYPE_CHECKING:
    from vtune.proposers.bayes import Bayes
    from vtune.proposers.cmaes import CMAES
    from vtune.proposers.gp import GP
    from vtune.proposers.optuna import Optuna
    from vtune.proposers.tpe import TPE

__all__ = [
    "CMAES", "GP", "TPE", "Bayes", "Grid", "Optuna", "Proposer", "Random", "Sobol", "follows", "learns", "make",
    "names", "register",
]  # fmt: skip

_HOME = {
    "Bayes": "vtune.proposers.bayes",
    "CMAES": "vtune.proposers.cmaes",
    "GP": "vtune.proposers.gp",
    "Optuna": "vtune.proposers.optuna",
    "TPE": "vtune.proposers.tpe",
}
"""Proposers that bring JAX, or a package of an extra, with them: imported when they are first named."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
