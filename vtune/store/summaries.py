"""Bounded answers from studies of any size: what figures need, sampled or aggregated by the database.

A study of 100,000 trials has millions of measurements. Everything here costs at most a scan of the trials' numbers
(never of all configurations or measurements) and returns at most some thousands of rows. Samples are drawn at random
with a seed, so that the same call gives the same rows; `.attrs["total"]` says what they stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, and_, case, func, select, true

from vtune.errors import ArgumentError
from vtune.records import Trial, TrialState
from vtune.store import schema
from vtune.store.bounds import bounds, curves_of
from vtune.store.database import MANY, fetch
from vtune.store.encoding import loads_all
from vtune.store.reader import Reader
from vtune.store.records import StudyRecord

T = schema.trials.c


def sample(reader: Reader, study_id: int, count: int = 4000, *, best: int = 0, seed: int = 0) -> pd.DataFrame:
    """Trials drawn at random, as rows like those of `Reader.frame`.

    Args:
      reader: of the store.
      study_id: which study.
      count: rows at most, besides the best; all trials if the study has no more.
      best: how many of the best complete trials are always among them.
      seed: of the draw.

    Returns:
      The rows in the order of their ids; `.attrs["total"]` is the number of the study's trials.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        total = _count(connection, study)
        ids = _drawn(total, count, seed)
        if best and len(ids) < total:
            ids = np.union1d(ids, _best(connection, study, best))
    frame = reader.frame(study_id, None if len(ids) == total else ids.tolist())
    frame.attrs["total"] = total
    return frame


def records(reader: Reader, study_id: int, objective: int = 0, *, order: str = "id") -> pd.DataFrame:
    """The complete trials that were the best of their time, of those that keep to the study's constraints.

    Args:
      reader: of the store.
      study_id: which study.
      objective: number of the objective.
      order: "id", the order of admission, or "finished", the order in which they ended.

    Returns:
      id, score, seconds (since the first trial started; NaN if unknown), trials (how many were complete by then), best
      first last; a last row repeats the best at the end of what was done, so that a line drawn through them reaches it.

    Raises:
      ArgumentError: an unknown order or objective.
      StoreError: when there is no such study.
    """
    if order not in ("id", "finished"):
        raise ArgumentError(f"order must be 'id' or 'finished'; got {order!r}")
    with reader.snapshot(study_id) as (connection, study):
        source, score, mode = _scored(study, objective)
        query = select(T.id, score, T.finished).select_from(source).where(T.study == study.id)
        within = (T.state == str(TrialState.COMPLETE), score.is_not(None), *bounds(study))
        rows = _numbers(connection, query.where(*within), 3)
        begun = _begun(connection, study)
    rows = rows[np.lexsort((rows[:, 0], rows[:, 0 if order == "id" else 2]))]
    best = (np.maximum if mode == "max" else np.minimum).accumulate(rows[:, 1])
    kept = np.flatnonzero(np.diff(best, prepend=np.nan) != 0)
    latest = np.fmax.accumulate(rows[:, 2])
    return pd.DataFrame(
        {
            "id": np.r_[rows[kept, 0], rows[-1:, 0]].astype(np.int64),
            "score": np.r_[best[kept], best[-1:]],
            "seconds": np.r_[rows[kept, 2], latest[-1:]] - begun,
            "trials": np.r_[kept + 1, len(rows)][: len(kept) + min(1, len(rows))],
        }
    )


def scatter(
    reader: Reader, study_id: int, count: int = 4000, objective: int = 0, *, order: str = "id", seed: int = 0
) -> pd.DataFrame:
    """Scores of trials drawn at random, and of all that were the best of their time (in the `order` of `records`).

    Returns:
      id, state, step, score, seconds (at which it ended, since the first trial started), holds (whether it keeps to the
      study's constraints); `.attrs`: "total" (trials), "unscored" (ended without a score).

    Raises:
      ArgumentError: an unknown order or objective.
      StoreError: when there is no such study.
    """
    kept = records(reader, study_id, objective, order=order)["id"].to_numpy()
    with reader.snapshot(study_id) as (connection, study):
        source, score, _ = _scored(study, objective)
        total = _count(connection, study)
        ids = np.union1d(_drawn(total, count, seed), kept)
        holds = and_(true(), *bounds(study)).label("holds")
        query = select(T.id, T.state, T.step, score, T.finished, holds).select_from(source).where(T.study == study.id)
        rows = _listed(connection, query, ids, total)
        over = [str(state) for state in TrialState if state.terminal]
        bare = select(func.count()).where(T.study == study.id, T.state.in_(over), T.score.is_(None))
        unscored = connection.execute(bare).scalar_one()
        begun = _begun(connection, study)
    frame = pd.DataFrame(rows, columns=["id", "state", "step", "score", "seconds", "holds"])
    frame["holds"] = [bool(holds) for holds in frame["holds"]]
    frame = frame.astype({"score": float, "seconds": float}).sort_values("id", ignore_index=True)
    frame["seconds"] -= begun
    frame.attrs.update(total=total, unscored=unscored)
    return frame


def measurement_sample(reader: Reader, study_id: int, count: int = 20_000, *, seed: int = 0) -> pd.DataFrame:
    """Measurements drawn at random from all, whatever trial they belong to: for quantiles at each step.

    Returns:
      trial, step and one column a metric; `.attrs["total"]` is the number of measurements there are.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        table = curves_of(study.id, len(study.metrics))
        total = (connection.execute(select(func.max(table.c.id))).scalar() or -1) + 1
        ids = _drawn(total, count, seed)
        parts = [None] if len(ids) == total else list(_parts(ids.tolist()))
        queries = [select(table) if part is None else select(table).where(table.c.id.in_(part)) for part in parts]
        values = np.concatenate([_numbers(connection, query, len(table.columns)) for query in queries])
    data = {"trial": values[:, 1].astype(np.int64), "step": values[:, 2].astype(np.int64)}
    frame = pd.DataFrame(data | {name: values[:, 3 + i] for i, name in enumerate(study.metrics)})
    frame = frame.sort_values(["trial", "step"], ignore_index=True)
    frame.attrs["total"] = total
    return frame


def distribution(reader: Reader, study_id: int, points: int = 500) -> pd.DataFrame:
    """How the scores of the complete trials are spread: exact points of their empirical distribution.

    Returns:
      score, share (of the complete trials that score no more, 0 to 1), ascending; at most `points` rows;
      `.attrs["total"]` is the number of complete trials.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        complete = (T.study == study.id, T.state == str(TrialState.COMPLETE), T.score.is_not(None))
        total = connection.execute(select(func.count()).where(*complete)).scalar_one()
        rank = func.row_number().over(order_by=T.score).label("rank")
        ordered = select(T.score, rank).where(*complete).subquery()
        every = max(1, -(-total // points))
        wanted = (ordered.c.rank % every == 0) | (ordered.c.rank == 1) | (ordered.c.rank == total)
        rows = connection.execute(select(ordered).where(wanted).order_by(ordered.c.rank)).all()
    frame = pd.DataFrame(rows, columns=["score", "share"]).astype(float)
    frame["share"] /= max(1, total)
    frame.attrs["total"] = total
    return frame


def best_scores(reader: Reader, study_id: int, count: int = 1000) -> pd.DataFrame:
    """The best complete trials that keep to the study's constraints: their ids and scores.

    Returns:
      id, score, the best first; `.attrs["total"]` is the number of complete trials with a score.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        rows = connection.execute(_ranked(study).limit(count)).all()
        total = connection.execute(select(func.count()).select_from(_ranked(study).subquery())).scalar_one()
    frame = pd.DataFrame(rows, columns=["id", "score"])
    frame.attrs["total"] = total
    return frame


def best_trials(reader: Reader, study_id: int, count: int = 1000) -> list[Trial]:
    """The best complete trials that keep to the study's constraints, the best first.

    Raises:
      StoreError: when there is no such study.
    """
    return [reader.trial(study_id, trial) for trial in best_scores(reader, study_id, count)["id"].tolist()]


def histogram(reader: Reader, study_id: int, bins: int = 60) -> pd.DataFrame:
    """How many complete trials score in each of equally wide bins.

    Returns:
      left, right, trials; bins without trials included.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        complete = (T.study == study.id, T.state == str(TrialState.COMPLETE), T.score.is_not(None))
        low, high = connection.execute(select(func.min(T.score), func.max(T.score)).where(*complete)).one()
        if low is None:
            return pd.DataFrame({"left": [], "right": [], "trials": []})
        width = (high - low) / bins or 1.0
        index = func.floor((T.score - low) / width)
        counted = select(case((index >= bins, bins - 1), else_=index).label("bin"), func.count()).where(*complete)
        rows = connection.execute(counted.group_by("bin")).all()
    trials = np.zeros(bins, np.int64)
    for index_, number in rows:
        trials[int(index_)] += number
    edges = low + width * np.arange(bins + 1)
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], "trials": trials})


def objectives(reader: Reader, study_id: int) -> pd.DataFrame:
    """The last values of all objectives of every complete trial that keeps to the study's constraints.

    Returns:
      id, seconds (at which it ended, since the first trial started) and one column an objective, by its name.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        table = curves_of(study.id, len(study.metrics))
        names = [name for name, _ in study.objectives]
        columns = [table.c[f"m{study.metrics.index(name)}"] for name in names if name in study.metrics]
        query = select(T.id, T.finished, *columns).select_from(schema.trials.join(table, T.last == table.c.id))
        query = query.where(T.study == study.id, T.state == str(TrialState.COMPLETE), *bounds(study))
        values = _numbers(connection, query, 2 + len(columns))
        begun = _begun(connection, study)
    data = {"id": values[:, 0].astype(np.int64), "seconds": values[:, 1] - begun}
    return pd.DataFrame(data | {name: values[:, 2 + i] for i, name in enumerate(names[: len(columns)])})


def placement(
    reader: Reader, study_id: int, begin: float | None = None, end: float | None = None, count: int = 4000
) -> pd.DataFrame:
    """Which trial sat in which lane, and when.

    Args:
      reader: of the store.
      study_id: which study.
      begin: only trials that ended later, in seconds since the first trial started.
      end: only trials that started earlier.
      count: rows at most; the first ones to start are kept.

    Returns:
      id, state, program, block, lane, started, finished (seconds since the first trial started; NaN while it runs);
      `.attrs`: "total" (trials in the span), "span" (seconds up to the last end or write).

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        begun = _begun(connection, study)
        within = [T.study == study.id, T.started.is_not(None), T.lane.is_not(None)]
        if begin is not None:
            within.append(T.finished.is_(None) | (T.finished >= begun + begin))
        if end is not None:
            within.append(T.started <= begun + end)
        total = connection.execute(select(func.count()).where(*within)).scalar_one()
        query = select(T.id, T.state, T.program, T.block, T.lane, T.started, T.finished).where(*within)
        rows = connection.execute(query.order_by(T.started, T.id).limit(count)).all()
        last = connection.execute(select(func.max(T.finished)).where(T.study == study.id)).scalar()
    frame = pd.DataFrame(rows, columns=["id", "state", "program", "block", "lane", "started", "finished"])
    frame = frame.astype({"started": float, "finished": float})
    frame[["started", "finished"]] -= begun
    close = study.updated if study.state == "running" else (study.updated if last is None else last)
    frame.attrs.update(total=total, span=max(0.0, close - begun))
    return frame


def busy(reader: Reader, study_id: int, bins: int = 300) -> pd.DataFrame:
    """How many lanes held a trial, and how many trials ended, over time.

    Returns:
      seconds (middle of a bin, since the first trial started), lanes (mean number of trials in lanes), ended (trials a
      second).

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        query = select(T.started, T.finished).where(T.study == study.id, T.started.is_not(None))
        times = _numbers(connection, query, 2)
    if not len(times):
        return pd.DataFrame({"seconds": [], "lanes": [], "ended": []})
    begun = times[:, 0].min()
    times -= begun
    close = max(float(np.nanmax(times)), study.updated - begun if study.state == "running" else 0.0)
    edges = np.linspace(0.0, max(close, 1e-3), bins + 1)
    ends = np.where(np.isnan(times[:, 1]), edges[-1], times[:, 1])
    inside = _elapsed(times[:, 0], edges) - _elapsed(ends, edges)
    ended = np.histogram(times[:, 1][np.isfinite(times[:, 1])], edges)[0]
    width = np.diff(edges)
    middle = (edges[:-1] + edges[1:]) / 2
    return pd.DataFrame({"seconds": middle, "lanes": np.diff(inside) / width, "ended": ended / width})


def proposals(reader: Reader, study_id: int, count: int = 4000) -> pd.DataFrame:
    """What a proposer expected of the trials that it proposed, and what became of them.

    Returns:
      trial, model, state, score, mean, deviation, gain (NaN where the model did not say; of several objectives, the
      first), neglected (whether it was proposed since its branch of the space had few trials);
      `.attrs["total"]` is the number of trials that have a reason.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        e = schema.events.c
        proposed = (e.study == study.id, e.kind == "proposed")
        total = connection.execute(select(func.count()).where(*proposed)).scalar_one()
        numbered = select(e.detail, func.row_number().over(order_by=e.id).label("number")).where(*proposed).subquery()
        every = max(1, -(-total // count))
        texts = connection.execute(select(numbered.c.detail).where(numbered.c.number % every == 0)).scalars().all()
        details = loads_all(texts)
        ids = np.array([detail["trial"] for detail in details], np.int64)
        query = select(T.id, T.state, T.score).where(T.study == study.id)
        found = {row[0]: row for row in _listed(connection, query, np.unique(ids), -1)}
    figures = ("mean", "deviation", "gain")
    rows = [
        (trial, str(d.get("model", "")), *found[trial][1:], *(_first(d.get(n)) for n in figures), "neglected" in d)
        for trial, d in zip(ids.tolist(), details, strict=True)
        if trial in found
    ]
    frame = pd.DataFrame(rows, columns=["trial", "model", "state", "score", *figures, "neglected"])
    frame = frame.astype(dict.fromkeys(("score", *figures), float))
    frame.attrs["total"] = total
    return frame


def by_origin(reader: Reader, study_id: int) -> pd.DataFrame:
    """What came of the trials of each proposer, and of those that people queued.

    Returns:
      origin, trials, complete, diverged, best and mean (of the complete trials' scores), the most trials first.

    Raises:
      StoreError: when there is no such study.
    """
    with reader.snapshot(study_id) as (connection, study):
        c = schema.configs.c
        mode = study.objectives[0][1] if study.objectives else "min"
        complete = T.state == str(TrialState.COMPLETE)
        score = case((complete, T.score))
        query = (
            select(
                c.origin,
                func.count(),
                func.sum(case((complete, 1), else_=0)),
                func.sum(case((T.state == str(TrialState.DIVERGED), 1), else_=0)),
                (func.max if mode == "max" else func.min)(score),
                func.avg(score),
            )
            .join_from(schema.trials, schema.configs, (T.study == c.study) & (T.id == c.id))
            .where(T.study == study.id)
            .group_by(c.origin)
            .order_by(func.count().desc())
        )
        rows = connection.execute(query).all()
    frame = pd.DataFrame(rows, columns=["origin", "trials", "complete", "diverged", "best", "mean"])
    return frame.astype({"best": float, "mean": float})


def _numbers(connection: Connection, query: Any, width: int) -> NDArray[np.float64]:
    """All rows of a query for `width` numbers, missing ones as NaN."""
    batches = [np.array(batch, np.float64) for batch in fetch(connection, query)]
    return np.concatenate([np.empty((0, width)), *batches])


def _count(connection: Connection, study: StudyRecord) -> int:
    return connection.execute(select(func.count()).where(T.study == study.id)).scalar_one()


def _begun(connection: Connection, study: StudyRecord) -> float:
    first = connection.execute(select(func.min(T.started)).where(T.study == study.id)).scalar()
    return study.started if first is None else first


def _best(connection: Connection, study: StudyRecord, count: int) -> NDArray[np.int64]:
    return np.array(connection.execute(_ranked(study).limit(count)).scalars().all(), np.int64)


def _ranked(study: StudyRecord) -> Any:
    """The ids and scores of the complete trials that keep to the constraints, the best first."""
    source, score, mode = _scored(study, 0)
    kept = (T.study == study.id, T.state == str(TrialState.COMPLETE), score.is_not(None), *bounds(study))
    order = score.desc() if mode == "max" else score.asc()
    return select(T.id, score.label("score")).select_from(source).where(*kept).order_by(order, T.id)


def _scored(study: StudyRecord, objective: int) -> tuple[Any, Any, str]:
    """Where to read the score of an objective from: the tables, the column, and its mode."""
    table = curves_of(study.id, len(study.metrics))
    source: Any = schema.trials
    if objective or study.choices.get("constraints"):
        source = schema.trials.outerjoin(table, T.last == table.c.id)
    if not study.objectives:
        return source, T.score, "min"
    if not 0 <= objective < len(study.objectives):
        names = ", ".join(name for name, _ in study.objectives)
        raise ArgumentError(f"objective must number one of {names}, from 0; got {objective!r}")
    name, mode = study.objectives[objective]
    if objective == 0 or name not in study.metrics:
        return source, T.score, mode
    return source, table.c[f"m{study.metrics.index(name)}"], mode


def _drawn(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """So many of the numbers below `total`, at random, ascending; all if there are no more."""
    if total <= count:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, count, replace=False))


def _listed(connection: Connection, query: Any, ids: NDArray[np.int64], total: int) -> list[Any]:
    """The rows of a query on trials whose ids are listed; all rows if all are."""
    if len(ids) == total:
        return list(connection.execute(query).all())
    return [row for part in _parts(ids.tolist()) for row in connection.execute(query.where(T.id.in_(part))).all()]


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), MANY):
        yield ids[start : start + MANY]


def _elapsed(times: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over all times of how long ago each was at every edge (0 for those to come), in one pass."""
    ordered = np.sort(times)
    before = np.searchsorted(ordered, edges, side="right")
    return before * edges - np.r_[0.0, np.cumsum(ordered)][before]


def _first(value: Any) -> float:
    if isinstance(value, Iterable):
        value = next(iter(value), None)
    return float("nan") if value is None else float(value)
