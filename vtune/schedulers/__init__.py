"""Schedulers: which trials deserve more steps. Always about trials, never about learning rates.

Example:
  >>> import numpy as np
  >>> from vtune.records import Decision
  >>> class Impatient:
  ...     name = "impatient"
  ...     def init(self):
  ...         return None
  ...     def decide(self, state, report):
  ...         action = np.where(report.score > 1.0, Decision.STOP, Decision.CONTINUE)
  ...         return state, Verdict(action, np.full(len(action), -1))
  >>> report = Report(np.array([0, 1]), np.array([10, 10]), np.array([0.5, 2.0]), np.array([False, False]))
  >>> make(Impatient()).decide(None, report)[1].action.tolist()
  [0, 1]
"""

from vtune.schedulers.base import Report, Scheduler, Verdict, make

__all__ = ["Report", "Scheduler", "Verdict", "make"]
