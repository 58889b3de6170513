"""Proposers: where the next configurations come from. Each stands on its own, with ask and tell."""

from vtune.proposers.base import Proposer, make, names, register
from vtune.proposers.grid import Grid
from vtune.proposers.random import Random
from vtune.proposers.sobol import Sobol

__all__ = ["Grid", "Proposer", "Random", "Sobol", "make", "names", "register"]
