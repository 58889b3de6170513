"""The loop of a study: ask, train a chunk, decide, write, tell; once around is one tick of the logical clock."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.engine.lane import LaneTask
from vtune.engine.lanes import State
from vtune.errors import ConfigError, ProposerError
from vtune.executors.local import Copy, LocalExecutor, Seat, Work
from vtune.judge import Judge
from vtune.kept import Kept
from vtune.measured import Measured, measured
from vtune.progress import Display, Status
from vtune.records import Config, Decision, TrialState
from vtune.schedulers import Recall, Verdict
from vtune.settings import Settings
from vtune.store import Commit, Event, Measurements, NewTrial, TrialUpdates
from vtune.tally import Tally

LOOKAHEAD = 1024
"""Configs that a proposer which learns nothing from scores is asked for ahead of the lanes."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A measurement that a trial stands for, in place of its last one."""

    step: int
    scores: np.ndarray
    state: State


@dataclass(slots=True)
class _Live:
    config: Config
    scores: np.ndarray
    step: int = 0
    seat: Seat | None = None
    began: float = float("nan")
    saved: Saved | None = None

    @property
    def stands_for(self) -> np.ndarray:
        """The scores that the trial would end with now, float64 [objectives]."""
        return self.scores if self.saved is None else self.saved.scores


class _Configs(Mapping[int, Config]):
    """The configs of trials that are not over, by id."""

    def __init__(self, live: Mapping[int, _Live]):
        self._live = live

    def __getitem__(self, trial: int) -> Config:
        return self._live[trial].config

    def __iter__(self) -> Iterator[int]:
        return iter(self._live)

    def __len__(self) -> int:
        return len(self._live)


class Loop:
    """Drives one run of a study.

    Args:
      study: id of the study in its store.
      settings: the study's numbers.
      space: where configs come from.
      metrics: names of the measured values, in the order of the executor's columns.
      proposer: suggests configs.
      scheduler: stops, pauses and copies trials; prepared for the study, or None.
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
        self._unknown = np.full(len(self._columns), np.nan)
        self._judge = Judge(scheduler, self._metrics, self._columns, self._signs, settings)
        self._loss = self._metrics.index("loss") if "loss" in self._metrics else self._columns[0]
        self._learns = getattr(proposer, "learns", True)
        self._heeds_steps = len(inspect.signature(proposer.tell).parameters) > 2
        self._asking: tuple[int, Future[list[Config]]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vtune-proposer")
        self._live: dict[int, _Live] = {}
        self._new: list[NewTrial] = []
        self._events: list[Event] = []
        self._changed: dict[int, Config] = {}
        self._returning: dict[int, int] = {}
        self._exhausted = False
        self._reported = 0
        self._clock = 0
        self.tally = Tally()

    def resume(
        self,
        clock: int,
        asked: int,
        ended: int,
        diverged: int,
        best: float,
        unfinished: Sequence[Any],
        scheduler: Any = None,
    ) -> None:
        """Takes up a study where its store leaves it: trials that were not over are trained again from their start.

        Args:
          clock: the last committed tick.
          asked: trials that have ids.
          ended: trials that are over.
          diverged: of those, the diverged.
          best: best score so far, lower is better.
          unfinished: `Trial` records of those that are not over, by id.
          scheduler: what the scheduler remembered.
        """
        self._judge.restore(scheduler)
        self._clock = clock
        self.tally = Tally(asked=asked, ended=ended, diverged=diverged, best=best)
        for trial in unfinished:
            known = self._judge.scheduler is not None and trial.score is not None
            scores = np.array([trial.metrics[o.metric] for o in self._settings.objectives]) if known else self._unknown
            self._live[trial.id] = _Live(dict(trial.config), scores, trial.step if known else 0)
            if known and trial.state == TrialState.WAITING:
                self._returning[trial.id] = trial.step
        if unfinished:
            self._executor.submit([t.id for t in unfinished], self._space.fill([dict(t.config) for t in unfinished]))

    def run(self) -> None:
        """Goes around until every trial is over or the proposer has no more."""
        try:
            while True:
                self._check()
                self._refill()
                if self._executor.live or self._executor.queued:
                    self._ask_ahead()
                    self._settle(self._executor.tick())
                elif self._executor.parked:
                    self._settle(Work())
                else:
                    break
                self._display.show(self._status())
            self._display.show(self._status(), last=True)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def save(self, **fields: Any) -> None:
        """Writes what is still in memory: called once at the end of a run, however it ended."""
        self._commit(None, None, report=dict(self._report(self.tally)), **fields)

    @property
    def _closed(self) -> bool:
        return self._exhausted or self.tally.asked >= self._settings.trials

    def _refill(self) -> None:
        room = self._settings.trials - self.tally.asked
        if room <= 0:
            return
        seen = {trial.queued for trial in self._new}
        for number, config in self._take()[:room]:
            if number not in seen:
                self._submit([config], "enqueued", queued=number)
                room -= 1
        executor = self._executor
        if not self._learns and executor.queued >= executor.seats:
            return
        ahead = 0 if self._learns else max(LOOKAHEAD, executor.seats)
        want = min(room, executor.seats + ahead - executor.live - executor.queued)
        if want > 0 and not self._exhausted:
            self._propose(want, self._proposer.ask(want, self._pending() if self._learns else ()))

    def _ask_ahead(self) -> None:
        """Has the proposer work on configs for the lanes that the coming tick frees, while it trains."""
        if not self._learns or self._exhausted:
            return
        room = self._settings.trials - self.tally.asked
        want = min(room, self._executor.ending - self._executor.queued)
        if want > 0:
            self._asking = want, self._thread.submit(self._proposer.ask, want, self._pending())

    def _take_asked(self) -> None:
        if self._asking is not None:
            (want, asked), self._asking = self._asking, None
            self._propose(want, asked.result())

    def _pending(self) -> list[Config]:
        return [live.config for live in self._live.values()]

    def _propose(self, want: int, configs: Sequence[Config]) -> None:
        name = self._proposer.name
        if len(configs) > want:
            raise ProposerError(f"{name} was asked for {want} configurations and gave {len(configs)}")
        self._exhausted = len(configs) < want
        origins = self._proposer.origins() if hasattr(self._proposer, "origins") else []
        self._submit(configs, name, why=origins if len(origins) == len(configs) else ())

    def _submit(
        self,
        configs: Sequence[Config],
        origin: str,
        *,
        queued: int | None = None,
        why: Sequence[Mapping[str, Any]] = (),
    ) -> None:
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
            self._live[trial] = _Live(config, self._unknown)
            self._new.append(NewTrial(trial, config, origin, queued))
        for trial, reason in zip(ids, why, strict=False):
            self._note("proposed", trial=trial, **reason)
        self._executor.submit(ids, self._space.fill(checked))

    def _settle(self, work: Work) -> None:
        self._count(work)
        for shrunk in work.shrunk:
            self._note("out of memory", blocks=shrunk.blocks, block=shrunk.block, message=shrunk.message)
        rows = self._measured(work)
        scores = rows.values[:, self._columns]
        diverged = ~rows.finite | ~np.isfinite(scores).all(axis=1) | ~np.isfinite(rows.values[:, self._loss])
        complete = ~diverged & rows.complete
        known = np.flatnonzero(~diverged)
        for place in known.tolist():
            live = self._live[int(rows.trial[place])]
            live.step, live.scores = int(rows.step[place]), scores[place]
        paused = self._executor.parked
        verdict = self._judge.verdict(
            rows, complete | diverged, diverged, paused, _Configs(self._live), self.tally.asked, self._closed
        )
        self._save(rows, np.flatnonzero(verdict.save & ~diverged), scores)
        ends = self._ends(rows, verdict, diverged, complete, paused)
        self._keep([trial for trial, state in ends.items() if state == TrialState.COMPLETE])
        if self._asking is not None:
            wait([self._asking[1]])
        self._tell(ends)
        copies = self._copies(rows, verdict)
        updates = self._updates(work.seats, ends, rows.trial[verdict.action == Decision.PAUSE].tolist())
        self._commit(updates, Measurements(rows.trial[known], rows.step[known], self._stored(rows.of(known))))
        self._carry_out(rows, verdict, ends, copies)
        for trial in ends:
            del self._live[trial]
        self._take_asked()

    def _measured(self, work: Work) -> Measured:
        """What a tick measured, without what trials measure again that had to start anew.

        Those that were paused before the run was interrupted are paused again where they were.
        """
        replicas = self._executor.replicas
        spreads = len(self._columns) if replicas > 1 else 0
        rows = measured([chunk for _, chunk in work.chunks], len(self._metrics) - spreads, replicas)
        back = [t for t, step in zip(rows.trial.tolist(), rows.step, strict=True) if self._returning.get(t) == step]
        self._executor.park(back)
        for trial in back:
            del self._returning[trial]
        return rows.of(rows.step > np.array([self._live[trial].step for trial in rows.trial.tolist()], np.int64))

    def _stored(self, rows: Measured) -> np.ndarray:
        """The values that are stored: the metrics, and with folds or seeds the spread of what is tuned."""
        return (
            rows.values
            if self._executor.replicas == 1
            else np.concatenate([rows.values, rows.spread[:, self._columns]], axis=1)
        )

    def _count(self, work: Work) -> None:
        tally, width = self.tally, self._executor.strategy.block
        for program, chunk in work.chunks:
            tally.live_steps += chunk.live * chunk.steps
            tally.dispatched_steps += width * chunk.steps
            tally.device_seconds += chunk.seconds
            tally.chunks.append((program, chunk.steps, len(chunk.trial) > 0, chunk.seconds))
        del tally.chunks[:-2048]

    def _save(self, rows: Measured, places: np.ndarray, scores: np.ndarray) -> None:
        """Keeps the states of trials whose measurement is what they stand for until a later one is saved."""
        trials = rows.trial[places].tolist()
        for trial, place, state in zip(trials, places.tolist(), self._executor.states(trials), strict=True):
            self._live[trial].saved = Saved(int(rows.step[place]), scores[place], state)

    def _ends(
        self, rows: Measured, verdict: Verdict, diverged: np.ndarray, complete: np.ndarray, paused: Sequence[int]
    ) -> dict[int, TrialState]:
        """How trials end now, by id."""
        ends = {}
        for trial, bad, good, action in zip(rows.trial.tolist(), diverged, complete, verdict.action, strict=True):
            if bad:
                ends[trial] = TrialState.DIVERGED
            elif good or action == Decision.FINISH:
                ends[trial] = TrialState.COMPLETE
            elif action == Decision.STOP:
                ends[trial] = TrialState.STOPPED
        recall = verdict.recall
        recalled = {} if recall is None else dict(zip(recall.trial.tolist(), recall.action.tolist(), strict=True))
        for trial in paused:
            action = recalled.get(trial)
            if action == Decision.FINISH:
                ends[trial] = TrialState.COMPLETE
            elif action == Decision.STOP or (action is None and not len(rows.trial)):
                ends[trial] = TrialState.STOPPED
        return dict(sorted(ends.items()))

    def _keep(self, trials: list[int]) -> None:
        """Keeps the states of trials that ended well, if they are among the best."""
        if not trials:
            return
        lower = np.array([self._live[trial].stands_for[0] for trial in trials]) * self._signs[0]
        self.tally.best = min(self.tally.best, float(lower.min()))
        if self._kept.most and len(self._signs) == 1:
            self._kept.offer(np.array(trials), lower, self._state, self._filled)

    def _state(self, trial: int) -> tuple[LaneTask, State]:
        saved = self._live[trial].saved
        state = self._executor.states([trial])[0] if saved is None else saved.state
        return self._executor.task_of(trial), state

    def _filled(self, trial: int) -> Config:
        return self._space.fill([self._live[trial].config])[0]

    def _tell(self, ends: Mapping[int, TrialState]) -> None:
        if not ends:
            return
        rows = [self._live[trial] for trial in ends]
        scores = np.array([live.stands_for for live in rows]) * self._signs
        scores[[state == TrialState.DIVERGED for state in ends.values()]] = np.nan
        steps = (np.array([live.step for live in rows]),) if self._heeds_steps else ()
        configs = [live.config for live in rows]
        self._proposer.tell(configs, scores[:, 0] if scores.shape[1] == 1 else scores, *steps)

    def _updates(
        self, seats: Sequence[Seat], ends: Mapping[int, TrialState], paused: Sequence[int]
    ) -> TrialUpdates | None:
        now = time.time()
        for seat in seats:
            live = self._live[seat.trial]
            live.seat, live.began = seat, now if np.isnan(live.began) else live.began
        state = {seat.trial: TrialState.RUNNING for seat in seats}
        state |= dict.fromkeys(paused, TrialState.WAITING)
        state |= ends
        if not state:
            return None
        ids = sorted(state)
        rows = [self._live[trial] for trial in ids]
        self.tally.ended += len(ends)
        self.tally.diverged += sum(end == TrialState.DIVERGED for end in ends.values())
        return TrialUpdates(
            id=ids,
            state=[str(state[trial]) for trial in ids],
            step=[live.step if live.saved is None else live.saved.step for live in rows],
            score=[float(live.stands_for[0]) for live in rows],
            program=[live.seat.program if live.seat else -1 for live in rows],
            block=[live.seat.block if live.seat else -1 for live in rows],
            lane=[live.seat.lane if live.seat else -1 for live in rows],
            started=[live.began for live in rows],
            finished=[now if trial in ends else float("nan") for trial in ids],
        )

    def _copies(self, rows: Measured, verdict: Verdict) -> list[Copy]:
        """The trials that go on from others, in lanes and paused; their configs and steps are changed here."""
        recall = Recall.of([]) if verdict.recall is None else verdict.recall
        trials = np.concatenate([rows.trial, recall.trial])
        sources = np.concatenate([verdict.source, recall.source])
        places = np.flatnonzero(np.concatenate([verdict.action, recall.action]) == Decision.COPY).tolist()
        pairs = [(int(trials[place]), int(sources[place])) for place in places]
        configs = [verdict.configs.get(trial, self._live[source].config) for trial, source in pairs]
        steps = [self._live[source].step for _, source in pairs]
        for (trial, source), config, step in zip(pairs, configs, steps, strict=True):
            live = self._live[trial]
            live.config, live.step, live.saved = self._space.validate(config), step, None
            self._changed[trial] = live.config
            self._note("copy", trial=trial, source=source, step=step, config=live.config)
        return [Copy(trial, source, self._filled(trial)) for trial, source in pairs]

    def _carry_out(self, rows: Measured, verdict: Verdict, ends: Mapping[int, TrialState], copies: list[Copy]) -> None:
        executor = self._executor
        executor.copy(copies)
        executor.retire(list(ends))
        executor.park(rows.trial[verdict.action == Decision.PAUSE].tolist())
        if verdict.recall is not None:
            executor.recall(verdict.recall.trial[verdict.recall.action == Decision.CONTINUE].tolist())

    def _note(self, kind: str, **detail: Any) -> None:
        self._events.append(Event(time.time(), kind, detail))

    def _commit(self, updates: TrialUpdates | None, measurements: Measurements | None, **fields: Any) -> None:
        self._clock += 1
        choices = {**self._choices, "proposer": self._proposer.state(), "scheduler": self._judge.state()}
        if len(self._executor.planner.compiled) != self._reported:
            self._reported = len(self._executor.planner.compiled)
            fields.setdefault("report", dict(self._report(self.tally)))
        commit = Commit(
            clock=self._clock, new_trials=tuple(self._new), trial_updates=updates, measurements=measurements,
            events=tuple(self._events), configs=dict(self._changed), study={"choices": choices, **fields},
        )  # fmt: skip
        started = time.perf_counter()
        self._writer.commit(self._study, commit)
        self._mark([trial.queued for trial in self._new if trial.queued is not None])
        self._new.clear()
        self._events.clear()
        self._changed.clear()
        self.tally.store_seconds += time.perf_counter() - started

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
