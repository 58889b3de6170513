"""The loop of a study: ask, train a chunk, decide, write, tell; once around is one tick of the logical clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vtune.errors import ConfigError, ProposerError
from vtune.executors.local import LocalExecutor, Seat, Work
from vtune.kept import Kept
from vtune.progress import Display, Status
from vtune.records import Config, Decision, TrialState
from vtune.schedulers import Report
from vtune.settings import Settings
from vtune.store import Commit, Measurements, NewTrial, TrialUpdates

LOOKAHEAD = 1024
"""Configs that a proposer which learns nothing from scores is asked for ahead of the lanes."""


@dataclass(slots=True)
class Tally:
    """Counts of a run, kept as it goes.

    Attributes:
      asked: trials that have been given an id.
      ended: trials that are over.
      diverged: trials of those that diverged.
      best: the best score so far, lower is better.
      live_steps: lane-steps of live trials.
      dispatched_steps: lane-steps dispatched.
      device_seconds: thread-seconds in which blocks ran.
      store_seconds: seconds in which the store was written.
      chunks: (program, steps, measured, seconds) of the latest chunks, from which the cost of measuring is estimated.
    """

    asked: int = 0
    ended: int = 0
    diverged: int = 0
    best: float = float("inf")
    live_steps: int = 0
    dispatched_steps: int = 0
    device_seconds: float = 0.0
    store_seconds: float = 0.0
    chunks: list[tuple[int, int, bool, float]] = field(default_factory=list)

    @property
    def occupancy(self) -> float:
        """Lane-steps of live trials over lane-steps dispatched."""
        return self.live_steps / self.dispatched_steps if self.dispatched_steps else 0.0


@dataclass(slots=True)
class _Live:
    config: Config
    step: int = 0
    score: float = float("nan")
    seat: Seat | None = None
    began: float = float("nan")


class Loop:
    """Drives one run of a study.

    Args:
      study: id of the study in its store.
      settings: the study's numbers.
      space: where configs come from.
      metrics: names of the measured values, in the order of the executor's columns.
      proposer: suggests configs.
      scheduler: stops trials early, or None.
      executor: trains them.
      writer: the store.
      take: gives configs that were put in the queue by hand, as (queue id, config) pairs.
      mark: told the queue ids of configs that are trials in the store now.
      display: shows how it goes.
      check: raises `Interrupted` when the run is to end.
      report: makes the JSON values of `explain()` from the tally.
      kept: the states of the best trials.
      choices: what was chosen before the first trial; written with the proposer's state in every commit.
    """

    def __init__(
        self,
        *,
        study: int,
        settings: Settings,
        space: Any,
        metrics: Sequence[str],
        proposer: Any,
        scheduler: Any,
        executor: LocalExecutor,
        writer: Any,
        take: Callable[[], Sequence[tuple[int, Config]]],
        mark: Callable[[Sequence[int]], None],
        display: Display,
        check: Callable[[], None],
        report: Callable[[Tally], Mapping[str, Any]],
        kept: Kept,
        choices: Mapping[str, Any],
    ):
        self._study = study
        self._settings = settings
        self._space = space
        self._metrics = list(metrics)
        self._proposer = proposer
        self._scheduler = scheduler
        self._decisions = scheduler.init() if scheduler is not None else None
        self._executor = executor
        self._writer = writer
        self._take = take
        self._mark = mark
        self._display = display
        self._check = check
        self._report = report
        self._kept = kept
        self._choices = choices
        self._columns = [self._metrics.index(objective.metric) for objective in settings.objectives]
        self._signs = np.array([objective.sign for objective in settings.objectives])
        self._loss = self._metrics.index("loss") if "loss" in self._metrics else self._columns[0]
        self._live: dict[int, _Live] = {}
        self._new: list[NewTrial] = []
        self._exhausted = False
        self._reported = 0
        self._clock = 0
        self.tally = Tally()

    def resume(self, clock: int, asked: int, ended: int, diverged: int, best: float, unfinished: Sequence[Any]) -> None:
        """Takes up a study where its store leaves it: trials that were not over are trained again from their start.

        Args:
          clock: the last committed tick.
          asked: trials that have ids.
          ended: trials that are over.
          diverged: of those, the diverged.
          best: best score so far, lower is better.
          unfinished: `Trial` records of those that are not over, by id.
        """
        self._clock = clock
        self.tally = Tally(asked=asked, ended=ended, diverged=diverged, best=best)
        for trial in unfinished:
            self._live[trial.id] = _Live(dict(trial.config))
        if unfinished:
            self._executor.submit([t.id for t in unfinished], self._space.fill([dict(t.config) for t in unfinished]))

    def run(self) -> None:
        """Goes around until every trial is over or the proposer has no more."""
        while True:
            self._check()
            self._refill()
            if not self._executor.live and not self._executor.queued:
                break
            self._settle(self._executor.tick())
            self._display.show(self._status())
        self._display.show(self._status(), last=True)

    def save(self, **fields: Any) -> None:
        """Writes what is still in memory: called once at the end of a run, however it ended."""
        self._commit(None, None, report=dict(self._report(self.tally)), **fields)

    def _refill(self) -> None:
        room = self._settings.trials - self.tally.asked
        if room <= 0:
            return
        seen = {trial.queued for trial in self._new}
        for number, config in self._take()[:room]:
            if number not in seen:
                self._submit([config], "enqueued", number)
                room -= 1
        executor = self._executor
        ahead = 0 if getattr(self._proposer, "learns", True) else max(LOOKAHEAD, executor.lanes)
        want = min(room, executor.lanes + ahead - executor.live - executor.queued)
        if ahead and executor.queued >= executor.lanes:
            return
        if want <= 0 or self._exhausted:
            return
        pending = [live.config for live in self._live.values()] if not ahead else ()
        configs = self._proposer.ask(want, pending)
        if len(configs) > want:
            raise ProposerError(f"{self._proposer.name} was asked for {want} configurations and gave {len(configs)}")
        self._exhausted = len(configs) < want
        self._submit(configs, self._proposer.name)

    def _submit(self, configs: Sequence[Config], origin: str, queued: int | None = None) -> None:
        checked = []
        for config in configs:
            try:
                checked.append(self._space.validate(config))
            except ConfigError as error:
                raise ProposerError(f"{origin} gave a configuration that is not in the space: {error}") from error
        if not checked:
            return
        first = self.tally.asked
        self.tally.asked += len(checked)
        ids = list(range(first, first + len(checked)))
        for trial, config in zip(ids, checked, strict=True):
            self._live[trial] = _Live(config)
            self._new.append(NewTrial(trial, config, origin, queued))
        self._executor.submit(ids, self._space.fill(checked))

    def _settle(self, work: Work) -> None:
        self._count(work)
        trial = np.concatenate([chunk.trial for _, chunk in work.chunks])
        step = np.concatenate([chunk.step for _, chunk in work.chunks])
        values = np.concatenate([chunk.values for _, chunk in work.chunks]).astype(np.float64)
        finite = np.concatenate([chunk.finite for _, chunk in work.chunks])
        trained = np.concatenate([chunk.complete for _, chunk in work.chunks])
        scores = values[:, self._columns]
        diverged = ~finite | ~np.isfinite(scores).all(axis=1) | ~np.isfinite(values[:, self._loss])
        complete = ~diverged & trained
        stopped = self._decide(trial, step, scores[:, 0] * self._signs[0], complete, diverged)
        known = np.flatnonzero(~diverged)
        for index in known.tolist():
            live = self._live[int(trial[index])]
            live.step, live.score = int(step[index]), float(scores[index, 0])
        self._keep(trial[complete], scores[complete])
        ended = complete | diverged | stopped
        state = np.where(diverged, TrialState.DIVERGED, np.where(complete, TrialState.COMPLETE, TrialState.STOPPED))
        updates = self._updates(work.seats, trial[ended], state[ended])
        self._tell(trial[ended], np.where(diverged[ended, None], np.nan, scores[ended] * self._signs))
        self._commit(updates, Measurements(trial[known], step[known], values[known]))
        self._executor.retire(trial[ended])

    def _count(self, work: Work) -> None:
        tally, width = self.tally, self._executor.strategy.block
        for program, chunk in work.chunks:
            tally.live_steps += chunk.live * chunk.steps
            tally.dispatched_steps += width * chunk.steps
            tally.device_seconds += chunk.seconds
            tally.chunks.append((program, chunk.steps, len(chunk.trial) > 0, chunk.seconds))
        del tally.chunks[:-2048]

    def _decide(
        self, trial: np.ndarray, step: np.ndarray, score: np.ndarray, complete: np.ndarray, diverged: np.ndarray
    ) -> np.ndarray:
        stopped = np.zeros(len(trial), bool)
        if self._scheduler is None or not len(trial):
            return stopped
        order = np.argsort(trial)
        report = Report(
            trial=trial[order], step=step[order],
            score=np.where(diverged, np.nan, score)[order], finished=(complete | diverged)[order],
        )  # fmt: skip
        self._decisions, verdict = self._scheduler.decide(self._decisions, report)
        stopped[order] = np.asarray(verdict.action) == Decision.STOP
        return stopped & ~complete & ~diverged

    def _keep(self, trial: np.ndarray, scores: np.ndarray) -> None:
        if not len(trial):
            return
        lower = scores[:, 0] * self._signs[0]
        self.tally.best = min(self.tally.best, float(lower.min()))
        if self._kept.most and len(self._signs) == 1:
            self._kept.offer(trial, lower, self._executor.state, lambda t: self._space.fill([self._live[t].config])[0])

    def _updates(self, seats: Sequence[Seat], ended: np.ndarray, states: np.ndarray) -> TrialUpdates | None:
        now = time.time()
        for seat in seats:
            live = self._live[seat.trial]
            live.seat, live.began = seat, now
        over = dict(zip(ended.tolist(), states.tolist(), strict=True))
        ids = sorted({seat.trial for seat in seats} | set(over))
        if not ids:
            return None
        rows = [self._live[trial] for trial in ids]
        self.tally.ended += len(over)
        self.tally.diverged += int((states == TrialState.DIVERGED).sum())
        return TrialUpdates(
            id=ids,
            state=[str(over.get(trial, TrialState.RUNNING)) for trial in ids],
            step=[live.step for live in rows],
            score=[live.score for live in rows],
            program=[live.seat.program if live.seat else -1 for live in rows],
            block=[live.seat.block if live.seat else -1 for live in rows],
            lane=[live.seat.lane if live.seat else -1 for live in rows],
            started=[live.began for live in rows],
            finished=[now if trial in over else float("nan") for trial in ids],
        )

    def _commit(self, updates: TrialUpdates | None, measurements: Measurements | None, **fields: Any) -> None:
        self._clock += 1
        choices = {**self._choices, "proposer": self._proposer.state()}
        if len(self._executor.planner.compiled) != self._reported:
            self._reported = len(self._executor.planner.compiled)
            fields.setdefault("report", dict(self._report(self.tally)))
        commit = Commit(
            clock=self._clock, new_trials=tuple(self._new), trial_updates=updates, measurements=measurements,
            study={"choices": choices, **fields},
        )  # fmt: skip
        started = time.perf_counter()
        self._writer.commit(self._study, commit)
        self._mark([trial.queued for trial in self._new if trial.queued is not None])
        self._new.clear()
        self.tally.store_seconds += time.perf_counter() - started

    def _tell(self, trial: np.ndarray, scores: np.ndarray) -> None:
        if not len(trial):
            return
        order = np.argsort(trial)
        configs = [self._live.pop(int(number)).config for number in trial[order]]
        scores = scores[order]
        self._proposer.tell(configs, scores[:, 0] if scores.shape[1] == 1 else scores)

    def _status(self) -> Status:
        settings, tally = self._settings, self.tally
        begun = sum(live.step / live.seat.steps for live in self._live.values() if live.seat)
        best = None if np.isinf(tally.best) else float(tally.best * self._signs[0])
        return Status(
            ended=tally.ended,
            trials=settings.trials,
            step_share=(tally.ended + begun) / settings.trials,
            diverged=tally.diverged,
            best=best,
            occupancy=tally.occupancy,
        )
