"""A study: a task, a space, a budget, and everything that became of them. The only room that knows all the others."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vtune import executors, proposers, schedulers
from vtune.blame import traced_with
from vtune.cache import enable_compilation_cache
from vtune.calibration import learn
from vtune.display.progress import Display
from vtune.driver.interrupts import Interrupts
from vtune.driver.judge import study_info
from vtune.driver.kept import Kept, KeptState
from vtune.driver.loop import Loop
from vtune.driver.tally import Tally
from vtune.driver.waves import abreast
from vtune.engine.buckets import asked_for
from vtune.engine.numerics import numerics, precision, under
from vtune.engine.solo import train_alone
from vtune.engine.strategy import Strategy
from vtune.errors import ArgumentError, ConfigError, Interrupted, ResultError
from vtune.exchange.warm import teach
from vtune.executors.job import Job, Prospect
from vtune.executors.local import LocalExecutor
from vtune.executors.prepared import Wanted
from vtune.explain import explanation
from vtune.hyper import PlainHP
from vtune.records import Config, Rerun, Trial, TrialState
from vtune.replicas import averaged, divided, stacked
from vtune.report import Explanation
from vtune.rerun import collected, journeys
from vtune.results import SavedStudy
from vtune.resume.lineage import Route, routes, until
from vtune.resume.recovery import Standing, lanes_now, standing
from vtune.resume.replay import Journey
from vtune.resume.sameness import description, refuse_another
from vtune.resume.script import asked_again, last_unfinished
from vtune.resume.snapshots import Snapshots
from vtune.settings import budget, check_metrics, default_name, settings, whole
from vtune.space import Space
from vtune.store import Queue, StudyRecord, open_writer
from vtune.tasks import base
from vtune.tasks.budget import clock, mean_steps
from vtune.variables import prune_variables, read_variables, variables_folder, write_variables
from vtune.verification import Verification, compare

SAMPLE = 256
"""Configs from which the mean length of a trial is estimated."""


class Study(SavedStudy):
    """One tuning run, in two steps: made here, started by `run`. `vtune.tune` does both.

    Arguments are those of `vtune.tune`.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> study = vtune.Study(task, vtune.Space(x=vtune.Float(-1, 1)), trials=8, progress="off")
      >>> study.enqueue([{"x": 0.0}])
      1
      >>> study.run().best.config
      {'x': 0.0}
    """

    def __init__(
        self,
        task: Any,
        space: Space,
        *,
        metric: str | Sequence[str] = "loss",
        mode: str | Sequence[str] | None = None,
        trials: int = 256,
        steps: int | None = None,
        epochs: float | None = None,
        examples: int | None = None,
        eval_every: float | None = None,
        proposer: Any = "random",
        scheduler: Any = None,
        lanes: int | str = "auto",
        block: int | str = "auto",
        strategy: str | Strategy = "auto",
        threads: int | str = "auto",
        devices: int | str = "auto",
        executor: Any = "local",
        pack: bool | str | Iterable[str] = "auto",
        buckets: str | Mapping[str, Sequence[int]] | None = "auto",
        folds: int = 1,
        seeds: int = 1,
        rerun: int = 0,
        constraint: str | Sequence[str] | None = None,
        seed: int = 0,
        rng: str = "pcg",
        keep: int = 5,
        enqueue: Iterable[Config] = (),
        warm_start: Iterable[Any] = (),
        store: str | Path | None = None,
        name: str | None = None,
        resume: bool = False,
        progress: str = "auto",
        cache: bool | str | Path = True,
    ):
        base.check(task)
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space, not {type(space).__name__}")
        self._run = budget(task, steps=steps, epochs=epochs, examples=examples, eval_every=eval_every)
        task = divided(task, whole("folds", folds, 1), whole("seed", seed, 0))
        self.task = task.for_run(self._run) if hasattr(task, "for_run") else task
        sample = space.fill(space.sample(SAMPLE, np.random.default_rng(0)))
        self.settings = settings(
            metric=metric, mode=mode, trials=trials, run=self._run, steps=mean_steps(self.task, self._run, sample),
            seed=seed, rng=rng, keep=keep, folds=folds, seeds=seeds, rerun=rerun,
            constraint=constraint,
        )  # fmt: skip
        if hasattr(self.task, "measuring"):
            self.task = self.task.measuring(self.settings.asked)
        self._given_space = space
        self._proposer = proposers.make(proposer, space, self.settings.seed)
        self._earlier = teach(self._proposer, space, self.settings, warm_start)
        self._scheduler = schedulers.prepared(schedulers.make(scheduler), study_info(self.settings, space))
        self._clock = clock(self._run, self.settings.steps, schedulers.marks(self._scheduler))
        self._machines = executors.make(executor)
        if getattr(self.task, "windows", None) is not None and self._machines.name != "local":
            raise ArgumentError(f"a task with streamed data trains in this process only; executor is {executor!r:.80}")
        threads = self._machines.threads() if threads == "auto" else whole("threads", threads, 1)
        self._wanted = Wanted(
            lanes, block, strategy, pack, buckets, self._machines.devices(devices),
            abreast(self.settings.trials, self._proposer, self._scheduler),
        )  # fmt: skip
        self._job = Job(
            self.task, space, self._run, self.settings.seed, self.settings.rng, self.settings.folds,
            self.settings.seeds, free=self._scheduler is None and not proposers.learns(self._proposer),
            clock=self._clock, wanted=self._wanted, threads=threads, cache=cache,
        )  # fmt: skip
        asked_for(pack, buckets, space)
        self._numerics = numerics()
        self._progress = progress
        self._cache = cache
        self._kept = Kept(self.settings.keep)
        self._reruns: dict[int, Rerun] = {}
        self._executor: LocalExecutor | None = None
        self._standing: Standing | None = None
        self._snapshots = Snapshots(None)
        Display("", self.settings.objectives[0].metric, progress)
        checked = [space.validate(config) for config in _configs(enqueue)]
        self._writer = open_writer(store)
        self._queue = Queue(store)
        if name is None:
            name = last_unfinished(self._writer.reader(), self._task_name) if asked_again() else default_name(task)
        record = self._open(name, resume or asked_again())
        super().__init__(self._writer.reader(), record, variables_folder(self._writer.location.path, record.id))
        self._queue.mark(self._reader.enqueued(record.id)["queued"].tolist())
        self._queue.top_up(record.name, checked, begun=record.clock > 0)

    @property
    def _task_name(self) -> str:
        return getattr(self.task, "name", None) or type(self.task).__name__

    @property
    def space(self) -> Space:
        """The search space, constraints included."""
        return self._given_space

    def enqueue(self, configs: Iterable[Config]) -> int:
        """Has these configs trained next, before the proposer's: manual search.

        Args:
          configs: dicts of hyperparameters; conditional ones that are not active are left out.

        Returns:
          How many were queued. They count as trials of the budget; those that come while the study runs and the whole
          budget is handed out are trained besides it, where there is no scheduler.

        Raises:
          ConfigError: a config that does not lie in the space.
        """
        return self._queue.put(self.name, [self._given_space.validate(config) for config in _configs(configs)])

    def run(self) -> Study:
        """Trains until every trial is over.

        Returns:
          The study itself.

        Raises:
          Interrupted: Ctrl-C or SIGTERM; what was done is in the store.
        """
        record = self.record
        if record.state == "complete":
            return self
        enable_compilation_cache(self._cache)
        self._machines.connect()
        objective = self.settings.objectives[0]
        with (
            under(self._numerics),
            Interrupts() as interrupts,
            Display(record.name, objective.metric, self._progress) as display,
            self._writer.lease(self._study, display.say, interrupts.check),
        ):
            self._begun = time.perf_counter()
            loop: Loop | None = None
            try:
                executor = self._prepare(display, interrupts)
                loop = self._loop(executor, display, interrupts)
                self._writer.update(self._study, state="running", started=time.time(), error=None)
                with interrupts.heeded():
                    loop.run()
                self._regain(loop, executor)
                self._reruns = self._rerun(loop, executor)
                loop.save(state="complete")
                self._snapshots.wait()
                self._snapshots.prune(0)
                if executor.division is not None:
                    programs = list(executor.planner.compiled.values())
                    learn(executor.division.work, lambda config: executor.buckets.largest([config])[0], programs)
            except (Interrupted, KeyboardInterrupt) as error:
                try:
                    if loop is None or not isinstance(error, Interrupted):
                        raise KeyboardInterrupt
                    loop.give_up(state="interrupted")
                except KeyboardInterrupt:
                    self._end(state="interrupted")
                counts = self._counts()
                again = " Go on with resume=True, or `vtune resume SCRIPT`." if self._files is not None else ""
                raise Interrupted(f"study {record.name!r} was interrupted and keeps: {counts}.{again}") from error
            except BaseException as error:
                self._end(state="failed", error=f"{type(error).__name__}: {error}")
                raise
            finally:
                self._write_kept()
                if self._executor is not None:
                    self._executor.close()
                self._snapshots.close()
        return self

    def best_params(self, trial: int | None = None) -> Any:
        """See `SavedStudy.best_params`; also finds what is still in memory."""
        number = self.best.id if trial is None else trial
        kept = self._kept.get(number)
        return super().best_params(number) if kept is None else self._variables(kept)

    def retrain(self, trial: int) -> Any:
        """Trains one trial again, alone, to the step that its score is of, and returns its variables."""
        step = self.trial(trial).step
        route = until(self._filled_routes([trial])[0], step) if step else self._filled_routes([trial])[0]
        data = jax.device_put(self.task.data)
        states = [self._alone(route, replica)[1] for replica in range(self.settings.replicas)]
        return stacked([_hand_out(self.task, route[-1].config, state, data) for state in states])

    def verify(self, n: int = 8) -> Verification:
        """Trains n of the ended trials again, each alone and with plain Python values, and compares the curves.

        Trials that went on from a copy of another are trained again as they came about.

        Args:
          n: how many; spread evenly over the trials that have measurements.

        Returns:
          The differences, by trial and metric; `.largest` is the largest of all.
        """
        curves = self.curves()
        measured = curves["trial"].unique()
        if not len(measured):
            raise ResultError(f"study {self.name!r} has no measurements to verify yet")
        count = min(whole("n", n, 1), len(measured))
        chosen = measured[np.linspace(0, len(measured) - 1, count).round().astype(int)].tolist()
        alone = {}
        for trial, route in zip(chosen, self._filled_routes(chosen), strict=True):
            replicas = [self._alone(route, replica)[0] for replica in range(self.settings.replicas)]
            alone[trial] = averaged(replicas, self.settings.spreads)
            begun = route[-2].until if len(route) > 1 else 0
            curves = curves[(curves["trial"] != trial) | (curves["step"] > begun)]
        return compare(curves[curves["trial"].isin(chosen)], alone)

    def close(self) -> None:
        """Closes the store."""
        self._queue.close()
        self._reader.close()
        self._writer.close()

    def _alone(self, route: Route, replica: int) -> Any:
        with under(self._numerics):
            return train_alone(
                self.task, route, run=self._run, seed=self.settings.seed, rng_name=self.settings.rng, replica=replica,
                folds=self.settings.folds, clock=self._clock,
            )  # fmt: skip

    def _filled_routes(self, trials: Sequence[int]) -> list[Route]:
        """How the states of trials came to be, with filled configs."""
        ways = self._routes()
        return [
            tuple(dataclasses.replace(leg, config=self._given_space.fill([dict(leg.config)])[0]) for leg in ways[trial])
            for trial in trials
        ]

    def _open(self, name: str, resume: bool) -> StudyRecord:
        wanted = StudyRecord(
            name=name,
            space=self._given_space.to_json(),
            objectives=tuple((o.metric, o.mode) for o in self.settings.objectives),
            trials=self.settings.trials,
            steps=round(self.settings.steps),
            eval_every=max(1, round(self.settings.steps * self._run.eval_every / self._run.amount)),
            seed=self.settings.seed,
            rng=self.settings.rng,
            proposer=self._proposer.name,
            scheduler=getattr(self._scheduler, "name", None),
            task=self._task_name,
            choices=self._fixed(),
        )
        if resume:
            known = {study.name: study for study in self._writer.reader().studies()}
            if name in known:
                refuse_another(known[name], wanted, description(self.task))
                return known[name]
        return self._writer.create(wanted)

    def _fixed(self) -> dict[str, Any]:
        """What else must be the same when the study goes on, as JSON values; only what is not left out as a rule."""
        settings = self.settings
        rules: Mapping[str, Any] = getattr(self._scheduler, "describe", dict)()
        found: dict[str, Any] = {"budget": None if self._run.unit == "steps" else dataclasses.asdict(self._run)}
        found |= {"replicas": None if settings.replicas == 1 else {"folds": settings.folds, "seeds": settings.seeds}}
        found |= {"rules": json.loads(json.dumps(rules)) or None}
        found |= {"devices": None if self._wanted.devices == 1 else self._wanted.devices}
        found |= {"warm_start": self._earlier or None, "precision": precision(self._numerics)}
        found |= {"constraints": [str(constraint) for constraint in settings.constraints] or None}
        return {part: value for part, value in found.items() if value is not None}

    def _prepare(self, display: Display, interrupts: Interrupts) -> LocalExecutor:
        """Chooses how trials run and traces the first program, so that the names of the metrics are known."""
        display.say("tracing program 1")
        choices = dict(self.record.choices)
        first = self._given_space.fill([self._first_config()])[0]
        if "block" in choices:
            choices = dict(lanes_now(self._reader, self.record))
            self._standing = standing(
                self._reader, self.record, self._given_space, self.settings, self._snapshot_folder
            )
            self._executor = self._machines.again(self._job, choices, display.say, interrupts.check)
            for exemplar in self._standing.programs or [first]:
                self._executor.planner.extend(exemplar)
        else:
            prospect = Prospect(self.settings, first, self._sample, schedulers.share(self._scheduler))
            with traced_with(first):
                self._executor = self._machines.begin(self._job, prospect, display.say, interrupts.check)
        return self._executor

    def _sample(self, n: int) -> list[Config]:
        return self._given_space.fill(self._given_space.sample(n, np.random.default_rng(self.settings.seed)))

    def _first_config(self) -> Config:
        unfinished = self._reader.trials(self._study, states=(TrialState.WAITING, TrialState.RUNNING), limit=1)
        if unfinished:
            return dict(unfinished[0].config)
        for _, config in self._queue.take(self.name):
            with contextlib.suppress(ConfigError):
                return self._given_space.validate(config)
        before = self._proposer.state()
        configs = self._proposer.ask(1)
        self._proposer.restore(before)
        return configs[0] if configs else self._given_space.sample(1, np.random.default_rng(self.settings.seed))[0]

    def _loop(self, executor: LocalExecutor, display: Display, interrupts: Interrupts) -> Loop:
        record = self.record
        traced = executor.planner.traced[0]
        metrics = (*traced.metrics, *self.settings.spreads)
        check_metrics(metrics, self.settings.objectives, self._given_space, self.settings.constraints)
        scheduler = schedulers.prepared(
            self._scheduler, study_info(self.settings, self._given_space, metrics, self._fits(executor))
        )
        known = () if self._standing is None else self._standing.snapshots
        self._snapshots = Snapshots(self._snapshot_folder, known=known)
        begun = "block" in record.choices
        choices = {
            **record.choices,
            "block": executor.strategy.block,
            "kind": executor.strategy.kind,
            "convolutions": executor.strategy.convolutions,
            "blocks": executor.blocks,
            "buckets": executor.buckets.to_json(),
            "threads": executor.threads,
            "executor": self._machines.name,
            "jax": jax.__version__,
            "backend": jax.default_backend(),
            "machine": platform.machine(),
            "task": description(self.task),
        }
        if not begun:
            written = {**choices, "proposer": self._proposer.state()}
            self._writer.update(self._study, metrics=metrics, choices=written)
        loop = Loop(
            study=self._study, settings=self.settings, space=self._given_space, metrics=metrics,
            proposer=self._proposer, scheduler=scheduler, executor=executor, writer=self._writer,
            take=lambda: self._queue.take(record.name), mark=self._queue.mark, display=display, check=interrupts.check,
            check_torn=interrupts.check_torn, report=lambda tally: self._explanation(executor, tally).to_json(),
            kept=self._kept, choices=choices, snapshots=self._snapshots,
        )  # fmt: skip
        if self._standing is not None:
            self._proposer.restore(record.choices["proposer"])
            loop.resume(self._standing)
        return loop

    def _fits(self, executor: LocalExecutor) -> Callable[[np.ndarray, Sequence[Config]], np.ndarray]:
        return lambda sources, configs: executor.fits(sources, self._given_space.fill(list(configs)))

    def _routes(self) -> dict[int, Route]:
        """How each trial's state came to be."""
        configs = {trial.id: dict(trial.config) for trial in self._reader.trials(self._study)}
        return routes(self._reader.events(self._study), configs)

    def _regain(self, loop: Loop, executor: LocalExecutor) -> None:
        """Trains those of the best trials again whose variables were lost with a run that was killed."""
        if self._standing is None or len(self.settings.objectives) > 1:
            return
        best = {trial.id: trial for trial in self.top(self.settings.keep) if self._kept.get(trial.id) is None}
        lost = [trial for trial in best.values() if read_variables(self._files, trial.id) is None]
        ways, first = self._routes() if lost else {}, loop.tally.asked
        for stop in loop.again({first + n: Journey(ways[trial.id], trial.step) for n, trial in enumerate(lost)}):
            trial = lost[stop.trial - first]
            config = self._given_space.fill([dict(trial.config)])[0]
            state = tuple(executor.states([stop.trial])[0])
            self._kept.add(KeptState(trial.id, 0.0, executor.task_of(stop.trial), config, state))
            executor.retire([stop.trial])

    def _rerun(self, loop: Loop, executor: LocalExecutor) -> dict[int, Rerun]:
        """Trains the best trials again with fresh seeds, and measures them on the test data, if there are any."""
        trials = self.top(self.settings.rerun) if self.settings.rerun else []
        if not trials:
            return {}
        first_id, metric = loop.tally.asked, self.settings.objectives[0].metric

        def test(trial: Trial, journey: int) -> Mapping[str, Any]:
            config = self._given_space.fill([dict(trial.config)])[0]
            state, lane = executor.states([journey])[0], executor.task_of(journey)
            executor.retire([journey])
            if getattr(self.task, "test", None) is None:
                return {}
            variables = self._variables(KeptState(trial.id, 0.0, lane, config, tuple(state)))
            return self.task.test_metrics(PlainHP(config), variables, stacked=self.settings.replicas > 1)

        return collected(
            loop.again(journeys(trials, self._routes(), self.settings, first_id)), test, trials=trials,
            settings=self.settings, first_id=first_id, column=executor.planner.traced[0].metrics.index(metric),
        )  # fmt: skip

    def _explanation(self, executor: LocalExecutor, tally: Tally) -> Explanation:
        found = explanation(
            executor, self._given_space, tally, time.perf_counter() - self._begun, executor.threads,
            self.settings.seed,
        )  # fmt: skip
        return dataclasses.replace(found, reruns=self._reruns, remarks=self._remarks(executor, tally))

    def _remarks(self, executor: LocalExecutor, tally: Tally) -> tuple[str, ...]:
        learned = self.record.choices.get("warm_start", ())
        beside = self._wanted.remarks(executor.seats, self.settings.trials)
        found = f"{tally.asked:,} of {self.settings.trials:,} trials"
        fewer = f"{self._proposer.name} had no more configurations after {found}"
        return (*learned, *beside, *([fewer] if tally.exhausted else []))

    def _end(self, **fields: Any) -> None:
        """Writes how the run ended in the middle of a tick, of which nothing else is written: it is done again."""
        self._writer.update(self._study, **fields)

    @property
    def _snapshot_folder(self) -> Path | None:
        return None if self._files is None else self._files / "snapshots"

    def _variables(self, kept: KeptState) -> Any:
        hp, data = PlainHP(kept.config), self.task.data
        states = [kept.lane.state(hp, leaves, data, jax.random.key(0)) for leaves in zip(*kept.leaves, strict=True)]
        return stacked([_hand_out(self.task, kept.config, state, data) for state in states])

    def _write_kept(self) -> None:
        if self._files is None or not self._kept.states:
            return
        for kept in self._kept.states:
            if read_variables(self._files, kept.trial) is None:
                write_variables(self._files, kept.trial, self._variables(kept))
        best = {trial.id for trial in self.top(self.settings.keep)}
        prune_variables(self._files, best)


def _hand_out(task: Any, config: Mapping[str, Any], state: Any, data: Any) -> Any:
    give = getattr(task, "variables", None)
    result = give(PlainHP(config), state, data) if give is not None else state
    return jax.tree.map(np.asarray, result)


def _configs(configs: Iterable[Config]) -> list[Config]:
    if isinstance(configs, Mapping):
        raise ArgumentError("configurations must be a list of dicts; one dict was given: put it in a list")
    return list(configs)
