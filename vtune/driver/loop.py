"""The loop of a study: ask, train a chunk, decide, write, tell; once around is one tick of the logical clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.display.progress import Display, Status
from vtune.driver.asking import Answer, Asker
from vtune.driver.endings import ends_of
from vtune.driver.judge import Judge
from vtune.driver.kept import Kept
from vtune.driver.live import Configs, Live, Saved, saved_points
from vtune.driver.measured import Measured, measured
from vtune.driver.tally import Tally
from vtune.engine.lane import LaneTask
from vtune.engine.lanes import Point, State
from vtune.errors import ConfigError, ProposerError
from vtune.executors.arrangement import Arrangement
from vtune.executors.local import LocalExecutor
from vtune.executors.messages import Copy, Work
from vtune.executors.pool import Seat
from vtune.records import Config, Decision, TrialState
from vtune.requirement import worst
from vtune.resume.recovery import Standing, bring_back
from vtune.resume.replay import Journey, Seen, Stop, replayed
from vtune.resume.snapshots import Snapshots
from vtune.schedulers import Recall, Verdict
from vtune.settings import Settings
from vtune.store import Commit, Event, Measurements, NewTrial, TrialUpdates

LOOKAHEAD = 1024
"""Configs that a proposer which learns nothing from scores is asked for ahead of the lanes."""


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
      check_torn: raises where what was computed last may be wrong; called before anything is written.
      report: makes the JSON values of `explain()` from the tally.
      kept: the states of the best trials.
      snapshots: puts the states of running trials on disk now and then.
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
        check_torn: Callable[[], None],
        report: Callable[[Tally], Mapping[str, Any]],
        kept: Kept,
        snapshots: Snapshots,
        choices: Mapping[str, Any],
    ):
        self._study = study
        self._settings = settings
        self._space = space
        self._metrics = list(metrics)
        self._asker = Asker(proposer)
        self._executor = executor
        self._writer = writer
        self._take = take
        self._mark = mark
        self._display = display
        self._check, self._check_torn = check, check_torn
        self._report = report
        self._kept = kept
        self._snapshots = snapshots
        self._choices = choices
        self._columns = [self._metrics.index(objective.metric) for objective in settings.objectives]
        self._bounded = [self._metrics.index(constraint.metric) for constraint in settings.constraints]
        self._signs = np.array([objective.sign for objective in settings.objectives])
        self._unknown = np.full(len(self._columns), np.nan)
        self._judge = Judge(scheduler, self._metrics, self._columns, self._signs, settings)
        self._loss = self._metrics.index("loss") if "loss" in self._metrics else self._columns[0]
        self._live: dict[int, Live] = {}
        self._new: list[NewTrial] = []
        self._refused: list[int] = []
        self._early = {number for number, _ in take()}
        self._events: list[Event] = []
        self._changed: dict[int, Config] = {}
        self._standing: Standing | None = None
        self._lanes: Any = None
        self._programs = 0
        self._reported = 0
        self._clock = 0
        self.tally = Tally()

    def resume(self, standing: Standing) -> None:
        """Takes up a study where its store leaves it; the executor has traced its programs already."""
        self._judge.restore(standing.scheduler)
        self._asker.exhausted = standing.exhausted
        self._clock, self.tally = standing.clock, standing.tally
        self._standing, self._programs = standing, len(standing.programs)
        self._lanes = None if self._executor.free else standing.arrangement.to_json()
        for trial in standing.unfinished:
            state = None if trial.kept is None else trial.kept.state
            saved = None if trial.saved is None else Saved(*trial.saved, state)
            self._live[trial.id] = Live(dict(trial.config), trial.scores, trial.step, trial.seat, trial.began, saved)

    def run(self) -> None:
        """Goes around until every trial is over or the proposer has no more."""
        try:
            self._bring_back()
            while True:
                self._refill()
                if self._executor.live or self._executor.queued:
                    self._ask_ahead()
                    self._settle(self._tick())
                elif self._executor.parked:
                    self._settle(Work(), idle=True)
                else:
                    break
                self._display.show(self._status())
            self._display.show(self._status(), last=True)
        finally:
            self._asker.close()

    def save(self, **fields: Any) -> None:
        """Writes what is still in memory: called once at the end of a run."""
        self._commit(None, None, report=dict(self._report(self.tally)), **fields)

    def give_up(self, **fields: Any) -> None:
        """Writes what is still in memory of a run that goes on another time, and then where its trials are.

        A tick was given up: of what it did only that counts which comes to the same if it is done again.
        """
        self._note_snapshots(self._snapshots.finished())
        began = time.perf_counter()
        points = self._executor.points({trial: live.step for trial, live in self._live.items()})
        if self._lanes is not None:
            now = {point.trial: point.done for point in points}
            self._lanes = Arrangement.from_json(self._lanes).later(now).to_json()
        self.save(**fields)
        self._note_snapshots(self._snapshots.wait())
        self._snapshot(points, began)
        self._note_snapshots(self._snapshots.wait())
        self.save()
        self._snapshots.prune()

    def _snapshot(self, points: Sequence[Point], began: float) -> None:
        mine = [point for point in points if point.trial in self._live]
        self._snapshots.begin(self._clock, [*mine, *saved_points(self._live)], time.perf_counter() - began)

    def _note_snapshots(self, details: Sequence[Mapping[str, Any]]) -> None:
        for detail in details:
            self._note("snapshot", **detail)

    def again(self, journeys: Mapping[int, Journey], seen: Seen = lambda trial, step, values: None) -> Iterator[Stop]:
        """Trains trials again, as `replayed` does, and counts what was done."""
        return replayed(self._executor, journeys, self._fill, self._tick, seen)

    def _tick(self) -> Work:
        """Trains until something is measured, and counts what was done."""
        self._check()
        work, tally = self._executor.tick(), self.tally
        for program, chunk in work.chunks:
            tally.live_steps += chunk.live * chunk.steps
            tally.dispatched_steps += chunk.width * chunk.steps
            tally.device_seconds += chunk.seconds
            tally.chunks.append((program, chunk.steps, len(chunk.trial) > 0, chunk.seconds))
        del tally.chunks[:-2048]
        for shrunk in work.shrunk:
            self._standing = None
            self._note("out of memory", blocks=shrunk.blocks, block=shrunk.block, message=shrunk.message)
        for kind, detail in work.news:
            self._note(kind, **detail)
        return work

    def _bring_back(self) -> None:
        """Puts unfinished trials where they were."""
        if self._standing is not None:
            bring_back(self._standing, self._executor, self._live, self._fill, self.again)

    @property
    def _closed(self) -> bool:
        return self._asker.exhausted or self.tally.asked >= self._settings.trials

    def _refill(self) -> None:
        room = self._settings.trials - self.tally.asked
        room -= self._take_wishes(room)
        if room <= 0:
            return
        executor, learns = self._executor, self._asker.learns
        if not learns and executor.queued >= executor.seats:
            return
        ahead = 0 if learns else max(LOOKAHEAD, executor.seats)
        want = min(room, executor.seats + ahead - executor.live - executor.queued)
        if want > 0 and not self._asker.exhausted:
            self._propose(self._asker.ask(want, self._pending() if learns else ()))

    def _take_wishes(self, room: int) -> int:
        """Makes trials of what people queued, before all that wait; what is not in the space is refused, not fatal.

        Wishes that came while the study ran are trained even when the whole budget is handed out, unless a scheduler
        has planned with it.
        """
        seen = {trial.queued for trial in self._new} | set(self._refused)
        wishes: dict[int, Config] = {}
        for number, config in self._take():
            beyond = len(wishes) >= room and (number in self._early or self._judge.scheduler is not None)
            if number in seen or beyond:
                continue
            try:
                wishes[number] = self._space.validate(config)
            except ConfigError as error:
                self._note("refused", queued=number, why=str(error))
                self._refused.append(number)
        self._submit(list(wishes.values()), "enqueued", queued=list(wishes), first=True)
        return len(wishes)

    def _ask_ahead(self) -> None:
        """Has the proposer work on configs for the lanes that the coming tick frees, while it trains.

        Where most lanes end with it, their scores are worth more than the time that they would wait.
        """
        if not self._asker.learns or self._asker.exhausted:
            return
        ending, room = self._executor.ending, self._settings.trials - self.tally.asked
        want = min(room, ending - self._executor.queued)
        if want > 0 and 2 * ending <= self._executor.live:
            self._asker.ask_ahead(want, self._pending())

    def _pending(self) -> list[Config]:
        return [live.config for live in self._live.values()]

    def _propose(self, answer: Answer) -> None:
        self.tally.exhausted = self._asker.exhausted
        self._submit(answer.configs, self._asker.name, why=answer.reasons)

    def _take_answer(self) -> Exception | None:
        """Queues what the proposer found while lanes trained; an error of its own is given back, for later."""
        try:
            self._propose(self._asker.answer())
        except Exception as error:
            return error
        return None

    def _submit(
        self,
        configs: Sequence[Config],
        origin: str,
        *,
        queued: Sequence[int] = (),
        first: bool = False,
        why: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if not configs:
            return
        try:
            checked = self._space.validate_all(configs)
        except ConfigError as error:
            raise ProposerError(f"{origin} gave a configuration that is not in the space: {error}") from error
        ids = list(range(self.tally.asked, self.tally.asked + len(checked)))
        self.tally.asked += len(checked)
        unqueued: Sequence[int | None] = [None] * len(ids)
        for trial, config, wish in zip(ids, checked, queued or unqueued, strict=True):
            self._live[trial] = Live(config, self._unknown)
            self._new.append(NewTrial(trial, config, origin, wish))
        for trial, reason in zip(ids, why, strict=False):
            self._note("proposed", trial=trial, **reason)
        self._executor.submit(ids, self._space.fill(checked), first=first)

    def _settle(self, work: Work, idle: bool = False) -> None:
        """Decides on what was measured, tells and writes it; idle if nothing trains and only paused trials are left."""
        rows = self._measured(work)
        scores = rows.values[:, self._columns]
        excess = worst(self._settings.constraints, rows.values[:, self._bounded])
        diverged = self._diverged(rows)
        complete = ~diverged & rows.complete
        known = np.flatnonzero(~diverged)
        for place in known.tolist():
            live = self._live[int(rows.trial[place])]
            live.step, live.scores, live.excess = int(rows.step[place]), scores[place], float(excess[place])
        paused = self._executor.parked
        verdict = self._judge.verdict(
            rows, complete | diverged, diverged, paused, Configs(self._live), self.tally.asked, self._closed, idle
        )
        self._save(rows, np.flatnonzero(verdict.save & ~diverged), scores)
        ends = ends_of(rows, verdict, diverged, complete, paused, idle)
        self._keep([trial for trial, state in ends.items() if state == TrialState.COMPLETE])
        self._asker.wait()
        self._tell(ends, self._judge.passed(rows, verdict, ends) if self._asker.follows else [])
        failure = self._take_answer()
        copies = self._copies(rows, verdict)
        updates = self._updates(work.seats, ends, rows, verdict)
        self._carry_out(rows, verdict, ends, copies)
        self._note_arrangement()
        written = self._snapshots.finished()
        self._note_snapshots(written)
        self._commit(updates, Measurements(rows.trial[known], rows.step[known], rows.values[known]))
        for trial in ends:
            del self._live[trial]
        if written:
            self._snapshots.prune()
        if self._snapshots.due:
            began = time.perf_counter()
            self._snapshot(self._executor.points(), began)
        if failure is not None:
            raise failure

    def _measured(self, work: Work) -> Measured:
        """What a tick measured, up to where trials diverged, without what is measured again after a new start."""
        spreads = self._columns if self._executor.replicas > 1 else []
        chunks = [chunk for _, chunk in work.chunks]
        rows = measured(chunks, len(self._metrics) - len(spreads), self._executor.replicas, spreads)
        new = rows.step > np.array([self._live[trial].step for trial in rows.trial.tolist()], np.int64)
        if self._standing is not None and self._standing.recorded is not None:
            self._standing.recorded.check_rows(rows.trial[~new], rows.step[~new], rows.values[~new])
        rows = rows.of(new)
        return rows.until(self._diverged(rows))

    def _diverged(self, rows: Measured) -> np.ndarray:
        values = rows.values[:, [*self._columns, self._loss]]
        return np.asarray(~rows.finite | ~np.isfinite(values).all(axis=1))

    def _save(self, rows: Measured, places: np.ndarray, scores: np.ndarray) -> None:
        """Keeps the states of trials whose measurement is what they stand for until a later one is saved."""
        trials = rows.trial[places].tolist()
        for trial, place, state in zip(trials, places.tolist(), self._executor.states(trials), strict=True):
            self._live[trial].saved = Saved(int(rows.step[place]), scores[place], state)

    def _keep(self, trials: list[int]) -> None:
        """Keeps the states of trials that ended well, if they are among the best."""
        if not trials:
            return
        lower = np.array([self._live[trial].stands_for[0] for trial in trials]) * self._signs[0]
        lower[[self._live[trial].excess > 0 for trial in trials]] = np.inf
        self.tally.best = min(self.tally.best, float(lower.min()))
        if self._kept.most and len(self._signs) == 1:
            self._kept.offer(np.array(trials), lower, self._state, self._filled)

    def _state(self, trial: int) -> tuple[LaneTask, State]:
        saved = self._live[trial].saved
        state = None if saved is None else saved.state
        return self._executor.task_of(trial), self._executor.states([trial])[0] if state is None else state

    def _filled(self, trial: int) -> Config:
        return self._fill(self._live[trial].config)

    def _fill(self, config: Config) -> Config:
        return self._space.fill([config])[0]

    def _tell(self, ends: Mapping[int, TrialState], passed: Sequence[int]) -> None:
        """Tells how trials ended, and how those stand that go on from a step at which others were stopped."""
        rows = [self._live[trial] for trial in [*ends, *passed]]
        if not rows:
            return
        scores = np.array([live.stands_for for live in rows]) * self._signs
        scores[[place for place, state in enumerate(ends.values()) if state == TrialState.DIVERGED]] = np.nan
        complete = [state == TrialState.COMPLETE for state in ends.values()] + [False] * len(passed)
        shares = [1.0 if whole else self._share(live) for live, whole in zip(rows, complete, strict=True)]
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        excess = np.array([live.excess for live in rows]) if self._bounded else None
        self._asker.tell([live.config for live in rows], scores, self._judge.steps(np.array(shares)), excess)

    def _share(self, live: Live) -> float:
        return live.step / self._executor.length(self._fill(live.config)).steps

    def _updates(
        self, seats: Sequence[Seat], ends: Mapping[int, TrialState], rows: Measured, verdict: Verdict
    ) -> TrialUpdates | None:
        """How trials stand now. One that is recalled counts as running although it still waits for a lane."""
        now = time.time()
        for seat in seats:
            live = self._live[seat.trial]
            live.seat, live.began = seat, now if np.isnan(live.began) else live.began
        recalled = [] if verdict.recall is None else verdict.recall.trial.tolist()
        running = [*(seat.trial for seat in seats), *rows.trial.tolist(), *recalled]
        state = dict.fromkeys(running, TrialState.RUNNING)
        state |= dict.fromkeys(rows.trial[verdict.action == Decision.PAUSE].tolist(), TrialState.WAITING)
        state |= ends
        if not state:
            return None
        ids = sorted(state)
        lives = [self._live[trial] for trial in ids]
        self.tally.ended += len(ends)
        self.tally.diverged += sum(end == TrialState.DIVERGED for end in ends.values())
        return TrialUpdates(
            id=ids,
            state=[str(state[trial]) for trial in ids],
            step=[live.step if live.saved is None else live.saved.step for live in lives],
            score=[float(live.stands_for[0]) for live in lives],
            program=[live.seat.program if live.seat else -1 for live in lives],
            block=[live.seat.block if live.seat else -1 for live in lives],
            lane=[live.seat.lane if live.seat else -1 for live in lives],
            started=[live.began for live in lives],
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
        stand = [(self._live[source].step, self._live[source].scores) for _, source in pairs]
        for (trial, source), config, (step, scores) in zip(pairs, configs, stand, strict=True):
            live = self._live[trial]
            before, live.config = live.config, self._space.validate(config)
            live.step, live.scores, live.saved = step, scores, None
            self._changed[trial] = live.config
            self._note("copy", trial=trial, source=source, step=step, before=before, config=live.config)
        return [Copy(trial, source, self._filled(trial)) for trial, source in pairs]

    def _carry_out(self, rows: Measured, verdict: Verdict, ends: Mapping[int, TrialState], copies: list[Copy]) -> None:
        executor = self._executor
        executor.copy(copies)
        executor.retire(list(ends))
        executor.park(rows.trial[verdict.action == Decision.PAUSE].tolist())
        if verdict.recall is not None:
            executor.recall(verdict.recall.trial[verdict.recall.action == Decision.CONTINUE].tolist())

    def _note_arrangement(self) -> None:
        """Keeps for the commit where trials are, and which programs were made, where that decides what comes."""
        if self._executor.free:
            return
        traced = self._executor.planner.traced
        for number, made in enumerate(traced[self._programs :], self._programs):
            self._note("program", number=number, config=self._space.plain([made.exemplar])[0])
        self._programs = len(traced)
        self._lanes = self._executor.arrangement.to_json()

    def _note(self, kind: str, **detail: Any) -> None:
        self._events.append(Event(time.time(), kind, detail))

    def _commit(self, updates: TrialUpdates | None, measurements: Measurements | None, **fields: Any) -> None:
        self._clock += 1
        saved = [trial for trial, live in self._live.items() if live.saved is not None]
        choices = {**self._choices, "proposer": self._asker.state(), "scheduler": self._judge.state(), "saved": saved}
        choices |= {"lanes": self._lanes, "exhausted": self._asker.exhausted}
        if len(self._executor.planner.compiled) != self._reported:
            self._reported = len(self._executor.planner.compiled)
            fields.setdefault("report", dict(self._report(self.tally)))
        commit = Commit(
            clock=self._clock, new_trials=tuple(self._new), trial_updates=updates, measurements=measurements,
            events=tuple(self._events), configs=dict(self._changed), study={"choices": choices, **fields},
        )  # fmt: skip
        started = time.perf_counter()
        self._check_torn()
        self._writer.commit(self._study, commit)
        self._mark(self._refused + [trial.queued for trial in self._new if trial.queued is not None])
        self._refused.clear()
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
