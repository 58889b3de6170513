"""What a study's numbers say, in pandas and NumPy: best so far, how trials learned, what matters, what is left.

The frames are those of `Study.frame()` and `Study.curves()`, or samples of them (`vtune.store.summaries`).
"""

from vtune.analysis.engine import guards, programs
from vtune.analysis.importance import importance, interactions
from vtune.analysis.margins import where_to_look
from vtune.analysis.outlook import Calibration, Room, calibration, room_left
from vtune.analysis.pareto import hypervolume, hypervolume_over, non_dominated, reference_point
from vtune.analysis.positions import positions
from vtune.analysis.reading import Reading, read_curve, read_curves
from vtune.analysis.scores import MODES, QUANTILES, bands, best_so_far, best_trials, ranked, time_to_target

__all__ = [
    "MODES",
    "QUANTILES",
    "Calibration",
    "Reading",
    "Room",
    "bands",
    "best_so_far",
    "best_trials",
    "calibration",
    "guards",
    "hypervolume",
    "hypervolume_over",
    "importance",
    "interactions",
    "non_dominated",
    "positions",
    "programs",
    "ranked",
    "read_curve",
    "read_curves",
    "reference_point",
    "room_left",
    "time_to_target",
    "where_to_look",
]
