"""What a study that was interrupted goes on from: read from its store, and compared with what is trained again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.driver.measured import together
from vtune.driver.tally import Tally
from vtune.engine.lanes import Entry, Point
from vtune.errors import ReplayError
from vtune.executors.arrangement import Arrangement
from vtune.executors.pool import Seat
from vtune.records import Config, TrialState
from vtune.resume.lineage import ENDLESS, Route, routes, until
from vtune.resume.replay import Journey, Seen, Stop, begun
from vtune.resume.snapshots import newest
from vtune.space import Choice

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from vtune.driver.live import Live
    from vtune.executors.local import LocalExecutor
    from vtune.records import Trial
    from vtune.settings import Settings
    from vtune.space import Space
    from vtune.store import Event, Reader, StudyRecord

OPEN = (TrialState.WAITING, TrialState.RUNNING)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A trial that was not over when its study was interrupted.

    Attributes:
      id: its number.
      config: its configuration, without inactive hyperparameters.
      route: how its state came to be.
      step: of its last measurement, or of the one that it was copied at; 0 before the first.
      scores: of that measurement, float64 [objectives].
      saved: step and scores of the measurement that it stands for, if that was saved; else None.
      seat: where it was admitted last; None if it never was.
      began: epoch seconds at which it was admitted first; NaN if it never was.
      start: the last point on its way to where it was that a snapshot holds; None if there is none.
      kept: the point at which it was saved, if a snapshot holds it.
    """

    id: int
    config: Config
    route: Route
    step: int
    scores: np.ndarray
    saved: tuple[int, np.ndarray] | None
    seat: Seat | None
    began: float
    start: Point | None = None
    kept: Point | None = None


class Recorded:
    """What a study has stored of its curves, to compare with.

    Args:
      curves: trial, step, and one column a metric.
      metrics: names of the metrics, in the order of a program's columns and with the spreads behind them.
      spreads: columns of the metrics whose standard deviation over replicas is stored too.
      place: where the study was begun and where it is now, in words for an error.

    >>> import pandas as pd
    >>> recorded = Recorded(pd.DataFrame({"trial": [3], "step": [10], "loss": [0.5]}), ["loss"], [], "")
    >>> recorded.check(3, 10, np.array([[0.5]]))
    >>> recorded.check(3, 10, np.array([[0.25]]))
    Traceback (most recent call last):
    vtune.errors.ReplayError: trial 3 must measure again what is stored: loss after step 10 was 0.5 and is now 0.25...
    """

    def __init__(self, curves: pd.DataFrame, metrics: Sequence[str], spreads: Sequence[int], place: str):
        pairs = zip(curves["trial"].tolist(), curves["step"].tolist(), strict=True)
        self._rows = {pair: row for row, pair in enumerate(pairs)}
        self._values = curves[list(metrics)].to_numpy(np.float64)
        self._metrics, self._spreads, self._place = list(metrics), list(spreads), place

    def scores(self, trial: int, step: int, columns: Sequence[int]) -> np.ndarray:
        """Some metrics of a trial at a step, float64 [columns]; NaN if it was not measured there."""
        row = self._rows.get((trial, step))
        return np.full(len(columns), np.nan) if row is None else self._values[row, list(columns)]

    def check(self, trial: int, step: int, values: np.ndarray) -> None:
        """Compares what was measured again with what is stored; what is not stored is not compared.

        Args:
          trial: whose curve it is.
          step: steps done.
          values: metrics of each replica, float64 [replicas, metrics].

        Raises:
          ReplayError: naming the first difference.
        """
        self.check_rows(np.array([trial]), np.array([step]), together(values[None], self._spreads))

    def check_rows(self, trial: np.ndarray, step: np.ndarray, values: np.ndarray) -> None:
        """As `check`, for rows [n, metrics] as they are stored."""
        for pair, now in zip(zip(trial.tolist(), step.tolist(), strict=True), values, strict=True):
            row = self._rows.get(pair)
            if row is None:
                continue
            stored = self._values[row]
            differs = (stored != now) & ~(np.isnan(stored) & np.isnan(now))
            if differs.any():
                place = int(np.argmax(differs))
                raise ReplayError(
                    f"trial {pair[0]} must measure again what is stored: {self._metrics[place]} after step {pair[1]} "
                    f"was {float(stored[place])!r} and is now {float(now[place])!r}. The task, its data, JAX or the "
                    f"machine is another than before{self._place}. Go on with what the study was begun with, or begin "
                    "one of another name."
                )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a study stands: all that its store knows and a run needs.

    Attributes:
      clock: the last committed tick.
      tally: trials that were asked for, that are over, that diverged, and the best score.
      unfinished: trials that are not over, by id.
      scheduler: what the scheduler remembered.
      exhausted: whether the proposer had no more.
      arrangement: where trials were; empty where their order does not matter.
      programs: filled configs of the trials for which programs were made, in order; as `arrangement`.
      recorded: what trials measured; None where nothing can be compared.
      snapshots: details of the snapshots that the store knows, oldest first.
    """

    clock: int
    tally: Tally
    unfinished: Sequence[Unfinished]
    scheduler: Any
    exhausted: bool
    arrangement: Arrangement
    programs: Sequence[Config]
    recorded: Recorded | None
    snapshots: Sequence[Mapping[str, Any]]


def standing(
    reader: Reader, record: StudyRecord, space: Space, settings: Settings, snapshots: Path | None = None
) -> Standing:
    """Reads where a study stands.

    Args:
      reader: of its store.
      record: the study's record, whose run has begun.
      space: its space.
      settings: its numbers.
      snapshots: where its snapshots lie, if anywhere.
    """
    events = reader.events(record.id)
    trials = reader.trials(record.id)
    ways = routes(events, {trial.id: dict(trial.config) for trial in trials})
    mine = [trial for trial in trials if trial.state in OPEN]
    legs = {leg.trial for trial in mine for leg in ways[trial.id]}
    curves = reader.curves(record.id, legs)
    spreads = [record.metrics.index(metric) for metric in settings.spreads.values()]
    recorded = Recorded(curves, record.metrics, spreads, _then_and_now(record))
    columns = [record.metrics.index(objective.metric) for objective in settings.objectives]
    saved = set(record.choices.get("saved", ()))
    last = curves.groupby("trial")["step"].max()
    places = reader.placement(record.id).set_index("id")
    lanes = record.choices.get("lanes")
    arrangement = Arrangement() if lanes is None else Arrangement.from_json(lanes)
    details = [event.detail for event in events if event.kind == "snapshot"]
    shrunk = bool(_shrinks(events))
    clock, points = (0, []) if shrunk or not mine else newest(snapshots, details)
    then = _routes_at(events, clock, trials)
    on_the_way = _Points(points, then)

    def unfinished(trial: Any) -> Unfinished:
        way = ways[trial.id]
        step = int(last[trial.id]) if trial.id in saved else trial.step
        keeps = (trial.step, recorded.scores(_at(way, trial.step), trial.step, columns)) if trial.id in saved else None
        place = places.loc[trial.id]
        seat = None
        if place.notna()[["program", "block", "lane"]].all() and place["program"] >= 0:
            seat = Seat(trial.id, int(place["program"]), int(place["block"]), int(place["lane"]), round(settings.steps))
        began = float("nan") if place.isna()["started"] else float(place["started"])
        scores = recorded.scores(_at(way, step), step, columns)
        kept = None if keeps is None else on_the_way.at(way, keeps[0])
        end = arrangement.done.get(trial.id, 0 if arrangement.done else ENDLESS)
        start = on_the_way.before(way, end if keeps is None or kept is not None else keeps[0])
        config = space.validate(dict(trial.config))
        return Unfinished(trial.id, config, way, step, scores, keeps, seat, began, start, kept)

    over = [trial for trial in trials if trial.state.terminal]
    scores = [trial.score for trial in over if trial.state == TrialState.COMPLETE and trial.score is not None]
    sign = settings.objectives[0].sign
    tally = Tally(
        asked=len(trials),
        ended=len(over),
        diverged=sum(trial.state == TrialState.DIVERGED for trial in over),
        best=min((score * sign for score in scores), default=float("inf")),
    )
    return Standing(
        clock=record.clock,
        tally=tally,
        unfinished=[unfinished(trial) for trial in mine],
        scheduler=record.choices.get("scheduler"),
        exhausted=record.choices.get("exhausted", False),
        arrangement=arrangement,
        programs=[_unlabelled(space, event.detail["config"]) for event in events if event.kind == "program"],
        recorded=None if shrunk else recorded,
        snapshots=details,
    )


def bring_back(
    standing: Standing,
    executor: LocalExecutor,
    live: Mapping[int, Live],
    fill: Callable[[Config], Config],
    again: Callable[[Mapping[int, Journey], Seen], Iterator[Stop]],
) -> None:
    """Trains unfinished trials to where they were and puts them there; where order does not matter, they begin.

    Args:
      standing: where the study stands.
      executor: without trials, with its programs traced.
      live: the unfinished trials, which get the states that were saved.
      fill: fills a configuration.
      again: trains trials along journeys.
    """
    done = standing.arrangement.done
    journeys = {
        trial.id: Journey(trial.route, end, () if trial.kept or not trial.saved else (trial.saved[0],), trial.start)
        for trial in standing.unfinished
        if (end := done.get(trial.id, 0)) > (trial.start.done if trial.start is not None else 0)
    }
    compare: Seen = (lambda trial, step, values: None) if standing.recorded is None else standing.recorded.check
    back: dict[int, Entry] = {}
    for stop in again(journeys, compare):
        if stop.last:
            back[stop.trial] = executor.take([stop.trial])[0]
        elif (saved := live[stop.trial].saved) is not None:
            live[stop.trial].saved = dataclasses.replace(saved, state=executor.states([stop.trial])[0])
    placed = {}
    for trial in standing.unfinished:
        config = fill(trial.config)
        entry, taken = Entry(trial.id, config, executor.length(config)), back.get(trial.id)
        if taken is not None:
            entry = dataclasses.replace(entry, done=taken.done, state=taken.state, sums=taken.sums)
        elif trial.start is not None:
            entry = begun(entry, trial.start, trial.route)
        placed[trial.id] = entry
    executor.arrange(standing.arrangement, placed)
    executor.enter([placed[trial.id] for trial in standing.unfinished if trial.id not in done])


class _Points:
    """Points by what made them: the legs that lead there, which are all that a state depends on."""

    def __init__(self, points: Sequence[Point], routes_then: Mapping[int, Route]):
        self._of: dict[int, list[tuple[Route, Point]]] = {}
        for point in sorted(points, key=lambda point: -point.done):
            way = until(routes_then[point.trial], point.done)
            self._of.setdefault(point.trial, []).append((way, point))

    def before(self, route: Route, step: int) -> Point | None:
        """The last point on a route that is not behind a step."""
        found = [
            point
            for trial in {leg.trial for leg in route}
            for way, point in self._of.get(trial, ())
            if point.done <= step and way == until(route, point.done)
        ]
        return max(found, key=lambda point: point.done, default=None)

    def at(self, route: Route, step: int) -> Point | None:
        """The point at a step of a route."""
        found = self.before(route, step)
        return found if found is not None and found.done == step else None


def _routes_at(events: Sequence[Event], clock: int, trials: Sequence[Trial]) -> dict[int, Route]:
    """How the states of trials came to be, as it was at an earlier clock."""
    configs = {trial.id: dict(trial.config) for trial in trials}
    copies = [event for event in events if event.kind == "copy"]
    later = [event for event in copies if event.clock is not None and event.clock > clock]
    for event in reversed(later):
        configs[event.detail["trial"]] = event.detail["before"]
    return routes(copies[: len(copies) - len(later)], configs)


def lanes_now(reader: Reader, record: StudyRecord) -> Mapping[str, Any]:
    """The choices of a study, with the blocks that are left after memory ran out."""
    shrinks = _shrinks(reader.events(record.id))
    given_up = {part: shrinks[-1].detail[part] for part in ("blocks", "block")} if shrinks else {}
    return {**record.choices, **given_up}


def _shrinks(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.kind == "out of memory"]


def _unlabelled(space: Space, config: Config) -> Config:
    """A filled config from what `Space.plain` made of it."""
    choices = {name: p for name, p in space.items() if isinstance(p, Choice)}
    objects = {name: p.values[list(p.labels).index(config[name])] for name, p in choices.items()}
    return {**config, **objects}


def _at(route: Route, step: int) -> int:
    """Whose curve holds the measurement of a step on a route."""
    return until(route, step)[-1].trial if step else route[0].trial


def _then_and_now(record: StudyRecord) -> str:
    import platform

    import jax

    now = {"jax": jax.__version__, "backend": jax.default_backend(), "machine": platform.machine()}
    changed = [
        f"{part} was {record.choices[part]} and is {value}"
        for part, value in now.items()
        if part in record.choices and record.choices[part] != value
    ]
    return f" ({', '.join(changed)})" if changed else ""
