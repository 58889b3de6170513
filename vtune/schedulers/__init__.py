"""Schedulers: which trials deserve more steps. Always about trials, never about learning rates."""

from vtune.schedulers.base import Report, Scheduler, Verdict, make

__all__ = ["Report", "Scheduler", "Verdict", "make"]
