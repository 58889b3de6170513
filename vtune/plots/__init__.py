"""Plotly figures of a study: the same in notebooks, in reports and in the app.

`Plots` reads a study and draws it; the functions draw frames. No figure draws more than a few thousand points; where
something is left out, the figure says so.
"""

from vtune.plots.compare import compare, edf, time_to_target
from vtune.plots.contour import contour
from vtune.plots.costs import costs
from vtune.plots.curves import curve, curves
from vtune.plots.front import front, hypervolume
from vtune.plots.generalization import generalization
from vtune.plots.history import history
from vtune.plots.importance import importance, interactions
from vtune.plots.look import TEMPLATE, escaped, nothing, themed
from vtune.plots.namespace import Plots
from vtune.plots.parallel import parallel
from vtune.plots.rank import rank
from vtune.plots.slices import slices
from vtune.plots.timeline import occupancy, timeline
from vtune.plots.why import gain, origins, predictions, room

__all__ = [
    "TEMPLATE",
    "Plots",
    "compare",
    "contour",
    "costs",
    "curve",
    "curves",
    "edf",
    "escaped",
    "front",
    "gain",
    "generalization",
    "history",
    "hypervolume",
    "importance",
    "interactions",
    "nothing",
    "occupancy",
    "origins",
    "parallel",
    "predictions",
    "rank",
    "room",
    "slices",
    "themed",
    "time_to_target",
    "timeline",
]
