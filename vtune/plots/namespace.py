"""All figures of one study, each with a read that stays small however large the study is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from vtune import analysis
from vtune.errors import ArgumentError
from vtune.plots import look
from vtune.plots.compare import compare, edf, time_to_target
from vtune.plots.contour import contour
from vtune.plots.costs import costs
from vtune.plots.curves import curve, curves
from vtune.plots.front import front, hypervolume
from vtune.plots.generalization import generalization
from vtune.plots.history import history
from vtune.plots.importance import importance, interactions
from vtune.plots.parallel import parallel
from vtune.plots.rank import MOST, rank
from vtune.plots.slices import slices
from vtune.plots.timeline import occupancy, timeline
from vtune.plots.why import gain, origins, predictions, room
from vtune.space import Space
from vtune.store import summaries
from vtune.store.reader import Reader
from vtune.store.records import StudyRecord

SAMPLE = 4000
"""So many trials at most stand for all in figures of hyperparameters."""


class Plots:
    """The figures of one study: `study.plot.history()`, or `Plots(reader, study_id)` beside a store.

    Every method reads what it needs, as the study stands then, and returns a Plotly figure.

    Args:
      reader: of the store.
      study_id: which study.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> study = vtune.tune(task, vtune.Space(x=vtune.Float(-1, 1)), trials=16, progress="off")
      >>> figure = study.plot.history(log=True)
      >>> figure.layout.yaxis.title.text
      'loss'
    """

    def __init__(self, reader: Reader, study_id: int) -> None:
        self._reader, self._id = reader, study_id

    def history(
        self, objective: int = 0, *, log: bool = False, x: str = "trial", max_points: int = SAMPLE
    ) -> go.Figure:
        """Every trial's score and the best so far; see `vtune.plots.history`."""
        study = self._study
        metric, mode = _objective(study, objective)
        order = "finished" if x == "seconds" else "id"
        frame = summaries.scatter(self._reader, self._id, max_points, objective, order=order)
        return history(frame, mode, metric=metric, log=log, x=x, max_points=max_points)

    def curves(
        self,
        metric: str | None = None,
        *,
        top: int = 10,
        trials: Sequence[int] = (),
        log: bool = False,
        companion: str | None = "auto",
        max_points: int = 8000,
    ) -> go.Figure:
        """Learning curves of the best trials, and of those asked for, above bands of the others."""
        study = self._study
        goal, mode = _objective(study)
        name = goal if metric is None else metric
        lines, frame = self.lines(top, trials)
        paired = f"train_{name}" if companion == "auto" else companion
        return curves(
            lines,
            frame,
            name,
            mode=mode,
            top=top,
            trials=trials,
            log=log,
            companion=paired if paired in lines.columns or companion != "auto" else None,
            max_points=max_points,
        )

    def lines(self, top: int = 10, trials: Sequence[int] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
        """What `curves` draws: measurements, whole for the best trials and those asked for, and their trials' rows."""
        whole = summaries.best_scores(self._reader, self._id, top)["id"].tolist()
        frame = self._reader.frame(self._id, [*whole, *trials])
        if not whole:
            frame = summaries.sample(self._reader, self._id)
            whole = analysis.best_trials(frame, self._mode, top)["id"].tolist()
        whole = [*whole, *(int(trial) for trial in trials)]
        lines, drawn = self._reader.curves(self._id, whole), summaries.measurement_sample(self._reader, self._id)
        frame.attrs["total"] = sum(self._reader.counts(self._id).values())
        return pd.concat([lines, drawn[~drawn["trial"].isin(whole)]], ignore_index=True), frame

    def curve(self, trial: int, metrics: Sequence[str] | None = None, *, log: bool = False) -> go.Figure:
        """The curves of one trial."""
        lines = self._reader.curves(self._id, [trial])
        return curve(lines, list(lines.columns[2:]) if metrics is None else metrics, log=log)

    def generalization(self, *, log: bool = False) -> go.Figure:
        """Training against validation at the end of every trial."""
        study = self._study
        metric, mode = _objective(study)
        if f"train_{metric}" not in study.metrics:
            metric, mode = "loss", "min"
        if not {metric, f"train_{metric}"} <= set(study.metrics):
            return look.nothing("This study does not measure anything on training data as well.")
        return generalization(self._sample(best=200), metric, f"train_{metric}", mode, log=log)

    def importance(self, method: str = "ped-anova") -> go.Figure:
        """How much each hyperparameter matters by itself; see `vtune.analysis.importance`."""
        frame = self._sample()
        table = analysis.importance(frame, self._space, self._mode, method=method)
        return importance(table, method=method, trials=len(frame))

    def interactions(self) -> go.Figure:
        """Which pairs of hyperparameters matter together; see `vtune.analysis.interactions`."""
        return interactions(analysis.interactions(self._sample(), self._space, self._mode))

    def slices(self, names: Sequence[str] | None = None, *, log: bool = False) -> go.Figure:
        """The score against each hyperparameter."""
        metric, mode = _objective(self._study)
        space = self._space
        chosen = dict(space) if names is None else {name: space[name] for name in self._known(names)}
        return slices(self._sample(best=200), chosen, mode, metric=metric, log=log)

    def contour(self, first: str | None = None, second: str | None = None) -> go.Figure:
        """The expected score over two hyperparameters; the two most important unless named."""
        metric, mode = _objective(self._study)
        frame = self._sample()
        if len(self._space) < 2:
            return look.nothing("This study has one hyperparameter; a contour needs two.")
        if first is None or second is None:
            ranked = [name for name in self._ranked(frame) if name not in (first, second)]
            first, second = (name if name is not None else ranked.pop(0) for name in (first, second))
        return contour(frame, self._space, first, second, mode, metric=metric)

    def rank(self, names: Sequence[str] | None = None) -> go.Figure:
        """Pairs of hyperparameters with trials coloured by rank; the four most important unless named."""
        frame = self._sample()
        chosen = self._ranked(frame)[: MOST - 1] if names is None else self._known(names)
        if len(chosen) < 2 and names is None:
            return look.nothing("This study has one hyperparameter; pairs need two.")
        return rank(frame, self._space, chosen, self._mode, max_points=500)

    def parallel(
        self, names: Sequence[str] | None = None, ranges: Mapping[str, Sequence[Any]] | None = None
    ) -> go.Figure:
        """Parallel coordinates of the hyperparameters and the score; `ranges` as in `vtune.plots.parallel`."""
        metric, mode = _objective(self._study)
        return parallel(self._sample(best=200), self._space, names, mode, metric=metric, ranges=ranges)

    def edf(self, *others: Plots, log: bool = False) -> go.Figure:
        """Which share of the trials reaches a score, here and in other studies."""
        metric, mode = _objective(self._study)
        return edf(self._runs(others, lambda p: summaries.distribution(p._reader, p._id)), mode, metric=metric, log=log)

    def compare(self, *others: Plots, x: str = "trials", log: bool = False, log_x: bool = False) -> go.Figure:
        """The best so far, here and in other studies, over trials or seconds."""
        metric, mode = _objective(self._study)
        return compare(self._runs(others, _records), mode, metric=metric, x=x, log=log, log_x=log_x)

    def time_to_target(self, *others: Plots, targets: Sequence[float] | None = None, x: str = "trials") -> go.Figure:
        """How many trials, or seconds, it took to reach targets, here and in other studies."""
        metric, mode = _objective(self._study)
        return time_to_target(self._runs(others, _records), mode, targets=targets, metric=metric, x=x)

    def front(self, first: int = 0, second: int = 1) -> go.Figure:
        """The trials that no other beats in every objective."""
        study = self._study
        return front(summaries.objectives(self._reader, self._id), study.objectives, first, second)

    def hypervolume(self) -> go.Figure:
        """The volume that the trials dominate, over trials."""
        values = summaries.objectives(self._reader, self._id).sort_values(["seconds", "id"], ignore_index=True)
        return hypervolume(values, self._study.objectives)

    def timeline(self, begin: float | None = None, end: float | None = None, *, color: str = "state") -> go.Figure:
        """Which trial sat in which lane; `begin` and `end` in seconds since the first trial started."""
        return timeline(summaries.placement(self._reader, self._id, begin, end, 1500), color=color)

    def occupancy(self) -> go.Figure:
        """How many lanes were busy over time."""
        report = self._study.report
        return occupancy(
            summaries.busy(self._reader, self._id), lanes=report.get("lanes"), share=report.get("occupancy")
        )

    def costs(self) -> go.Figure:
        """What each program cost to trace, to compile and to run."""
        study = self._study
        return costs(study.report, study.steps)

    def predictions(self) -> go.Figure:
        """What the proposer's model expected of trials against what came."""
        metric, mode = _objective(self._study)
        return predictions(summaries.proposals(self._reader, self._id), mode, metric=metric)

    def gain(self) -> go.Figure:
        """How much improvement the proposer's model expected of trials."""
        return gain(summaries.proposals(self._reader, self._id))

    def origins(self) -> go.Figure:
        """Who proposed how many trials, and what became of them."""
        return origins(summaries.by_origin(self._reader, self._id), metric=_objective(self._study)[0])

    def room(self, more: int | None = None) -> go.Figure:
        """What more trials like the latest are likely to gain; see `vtune.analysis.room_left`."""
        records = summaries.records(self._reader, self._id, order="finished")
        return room(records, self.outlook(more), metric=_objective(self._study)[0])

    def outlook(self, more: int | None = None) -> analysis.Room | None:
        """What `room` draws."""
        found = summaries.best_scores(self._reader, self._id)
        return analysis.room_left(found["score"], self._mode, more, total=found.attrs["total"])

    def available(self) -> tuple[str, ...]:
        """The names of the figures that have something to show."""
        study, counts = self._study, self._reader.counts(self._id)
        if not counts:
            return ()
        found = ["history", "curves", "slices", "parallel", "edf", "compare", "timeline", "occupancy", "origins"]
        found += ["importance", "interactions", "room", "time_to_target"] if counts.get("complete", 0) >= 20 else []
        found += ["contour", "rank"] if len(self._space) > 1 and counts.get("complete", 0) >= 20 else []
        found += ["generalization"] if any(f"train_{name}" in study.metrics for name in study.metrics) else []
        found += ["front", "hypervolume"] if len(study.objectives) > 1 else []
        found += ["costs"] if study.report.get("programs") else []
        proposed = summaries.proposals(self._reader, self._id, 100)
        found += [
            name for name, column in (("predictions", "mean"), ("gain", "gain")) if proposed[column].notna().any()
        ]
        return tuple(found)

    @property
    def _study(self) -> StudyRecord:
        return self._reader.study(self._id)

    @cached_property
    def _space(self) -> Space:
        return Space.from_json(dict(self._study.space))

    @property
    def _mode(self) -> str:
        return _objective(self._study)[1]

    def _sample(self, best: int = 0) -> pd.DataFrame:
        return summaries.sample(self._reader, self._id, SAMPLE, best=best)

    def _ranked(self, frame: pd.DataFrame) -> list[str]:
        """The hyperparameters, the most important first; in the order of the space while that cannot be told."""
        names = analysis.importance(frame, self._space, self._mode)["parameter"].tolist()
        return names or list(self._space)

    def _known(self, names: Sequence[str]) -> list[str]:
        if unknown := [name for name in names if name not in self._space]:
            raise ArgumentError(f"names must be hyperparameters ({', '.join(self._space)}); got {unknown}")
        return list(names)

    def _runs(self, others: Sequence[Plots], read: Callable[[Plots], pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Name of a study -> what is read of it; studies of one name in several stores are told apart by a number."""
        found: dict[str, pd.DataFrame] = {}
        for plots in (self, *others):
            name = plots._study.name
            same = sum(1 for known in found if known == name or known.startswith(f"{name} ("))
            found[name if not same else f"{name} ({same + 1})"] = read(plots)
        return found


def _records(plots: Plots) -> pd.DataFrame:
    return summaries.records(plots._reader, plots._id, order="finished")


def _objective(study: StudyRecord, number: int = 0) -> tuple[str, str]:
    if not study.objectives:
        return "score", "min"
    if not 0 <= number < len(study.objectives):
        raise ArgumentError(f"objective must be 0 to {len(study.objectives) - 1}; got {number!r}")
    return study.objectives[number]
