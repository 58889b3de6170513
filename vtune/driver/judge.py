"""Asks the scheduler what becomes of the trials that were measured, and keeps what it remembers."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.driver.measured import Measured
from vtune.records import Config, Decision
from vtune.schedulers import Report, StudyInfo, Verdict, checked, dump, load, marks
from vtune.settings import Settings
from vtune.space import Space
from vtune.tasks.budget import clock


def study_info(settings: Settings, space: Space, metrics: Sequence[str] = (), fits: Any = None) -> StudyInfo:
    """What a scheduler may know of a study; see `StudyInfo`."""
    every = settings.steps * settings.run.eval_every / settings.run.amount
    return StudyInfo(
        steps=round(settings.steps), trials=settings.trials, eval_every=max(1, round(every)),
        objectives=tuple((objective.metric, objective.mode) for objective in settings.objectives),
        metrics=tuple(metrics), seed=settings.seed, space=space, fits=fits,
    )  # fmt: skip


class Judge:
    """A scheduler at work on a study.

    Args:
      scheduler: prepared for the study; None lets every trial train to its end.
      metrics: names of the measured values.
      columns: which of them are the objectives.
      signs: 1 where lower is better, -1 where higher is, [objectives].
      settings: of the study.
    """

    def __init__(
        self, scheduler: Any, metrics: Sequence[str], columns: Sequence[int], signs: np.ndarray, settings: Settings
    ):
        self.scheduler = scheduler
        self._clock = clock(settings.run, settings.steps, marks(scheduler))
        self._metrics, self._columns, self._signs = metrics, list(columns), signs
        self._state = None if scheduler is None else scheduler.init()

    def verdict(
        self,
        rows: Measured,
        over: np.ndarray,
        diverged: np.ndarray,
        paused: Sequence[int],
        configs: Mapping[int, Config],
        asked: int,
        closed: bool,
        idle: bool,
    ) -> Verdict:
        """What becomes of trials; those that are over go on as far as the verdict is concerned.

        Args:
          rows: what was measured; without any the scheduler is asked only if the study is idle.
          over: which of them end whatever is decided, bool [n].
          diverged: which of those diverged, bool [n].
          paused: ids of trials that were paused before.
          configs: of all trials that are not over, by id.
          asked: how many trials have an id.
          closed: whether there will be no more.
          idle: whether nothing trains and nothing waits for a lane.
        """
        n = len(rows.trial)
        if self.scheduler is None or not (n or idle):
            return Verdict.of(np.full(n, Decision.CONTINUE), save=np.zeros(n, bool))
        scores = np.where(diverged[:, None], np.nan, rows.values[:, self._columns] * self._signs)
        report = Report(
            trial=rows.trial, step=self.steps(rows.share),
            score=scores[:, 0] if len(self._signs) == 1 else scores, finished=over,
            metrics={name: rows.values[:, place] for place, name in enumerate(self._metrics)}, configs=configs,
            asked=asked, closed=closed,
        )  # fmt: skip
        self._state, given = self.scheduler.decide(self._state, report)
        verdict = checked(given, report, paused, self.scheduler.name)
        action = np.where(over, Decision.CONTINUE, verdict.action)
        return Verdict(action, verdict.source, verdict.save, verdict.configs, verdict.recall)

    def passed(self, rows: Measured, verdict: Verdict, ends: Container[int]) -> list[int]:
        """The trials that go on, as they are, from a step at which the scheduler compares trials."""
        at = np.isin(self.steps(rows.share), marks(self.scheduler)) & (verdict.action != Decision.COPY)
        return [trial for trial in rows.trial[at].tolist() if trial not in ends]

    def steps(self, share: np.ndarray) -> np.ndarray:
        """Steps on the one clock of all trials, int64 [n], from the shares of their lengths that they have done."""
        return self._clock.read(share)

    def state(self) -> Any:
        """What the scheduler remembers, as JSON values."""
        return None if self.scheduler is None else dump(self._state)

    def restore(self, state: Any) -> None:
        """Goes on from what `state` gave."""
        if self.scheduler is not None and state is not None:
            self._state = load(state)
