"""What a study's numbers say, in pandas and NumPy: best so far, bands of curves, how trials learned, what matters.

The frames are those of `Study.frame()` and `Study.curves()`, or samples of them.
"""

from vtune.analysis.margins import where_to_look
from vtune.analysis.reading import Reading, read_curve
from vtune.analysis.scores import MODES, QUANTILES, bands, best_so_far, best_trials, ranked

__all__ = [
    "MODES",
    "QUANTILES",
    "Reading",
    "bands",
    "best_so_far",
    "best_trials",
    "ranked",
    "read_curve",
    "where_to_look",
]
