"""Plotly figures of a study, from its frames: the same in notebooks and in the app.

No figure draws more than a few thousand points; where something is left out, the figure says so.
"""

from vtune.plots.curves import curve, curves
from vtune.plots.history import history
from vtune.plots.look import TEMPLATE, escaped
from vtune.plots.slices import slices

__all__ = ["TEMPLATE", "curve", "curves", "escaped", "history", "slices"]
