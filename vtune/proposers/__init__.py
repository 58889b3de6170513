"""Proposers: where the next configurations come from. Each stands on its own, with ask and tell.

Example:
  >>> from vtune.space import Int, Space
  >>> grid = Grid(Space(depth=Int(1, 3)))
  >>> configs = grid.ask(8)
  >>> grid.tell(configs, [0.3, 0.1, 0.2])
  >>> configs, grid.ask(8)
  ([{'depth': 1}, {'depth': 2}, {'depth': 3}], [])
"""

from vtune.proposers.base import Proposer, make, names, register
from vtune.proposers.grid import Grid
from vtune.proposers.random import Random
from vtune.proposers.sobol import Sobol

__all__ = ["Grid", "Proposer", "Random", "Sobol", "make", "names", "register"]
