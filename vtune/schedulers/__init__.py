"""Schedulers: which trials deserve more steps. Always about trials, never about learning rates.

Example:
  >>> import numpy as np
  >>> asha = make("asha").for_study(StudyInfo(steps=270, trials=64, eval_every=30))
  >>> asha.marks()
  (10, 30, 90)
  >>> report = Report(np.arange(3), np.full(3, 10), np.array([0.5, 0.2, 0.4]), np.zeros(3, bool))
  >>> state, verdict = asha.decide(asha.init(), report)
  >>> verdict.action.tolist()
  [1, 0, 1]
"""

from vtune.schedulers.asha import ASHA
from vtune.schedulers.base import Scheduler, StudyInfo, make, marks, names, prepared, register, share, together, waits
from vtune.schedulers.halving import SuccessiveHalving
from vtune.schedulers.hyperband import Hyperband
from vtune.schedulers.median import Median
from vtune.schedulers.patience import Patience
from vtune.schedulers.pbt import PBT
from vtune.schedulers.report import Recall, Report, Verdict, checked
from vtune.schedulers.state import dump, load
from vtune.schedulers.threshold import Threshold

__all__ = [
    "ASHA",
    "PBT",
    "Hyperband",
    "Median",
    "Patience",
    "Recall",
    "Report",
    "Scheduler",
    "StudyInfo",
    "SuccessiveHalving",
    "Threshold",
    "Verdict",
    "checked",
    "dump",
    "load",
    "make",
    "marks",
    "names",
    "prepared",
    "register",
    "share",
    "together",
    "waits",
]
