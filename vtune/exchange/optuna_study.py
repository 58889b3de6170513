"""A study as one of Optuna, in a storage that its own tools open."""

from __future__ import annotations

import datetime
import json
import math
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vtune.errors import StoreError
from vtune.exchange.optuna_space import distribution, optuna, params, quiet
from vtune.records import Trial, TrialState

if TYPE_CHECKING:
    from vtune.results import SavedStudy

DIRECTIONS = {"min": "minimize", "max": "maximize"}


def export(study: SavedStudy, storage: Any = None, name: str | None = None) -> Any:
    """Writes a study to a storage of Optuna; see `SavedStudy.to_optuna`."""
    record = study.record
    name = record.name if name is None else name
    directions = [DIRECTIONS[mode] for _, mode in record.objectives]
    with quiet():
        try:
            made = optuna.create_study(storage=_url(storage), study_name=name, directions=directions)
        except optuna.exceptions.DuplicatedStudyError:
            raise StoreError(f"{storage} has a study {name!r} already: give another name, or another storage") from None
    _name_metrics(made, [metric for metric, _ in record.objectives])
    about = {"space": dict(record.space), "seed": record.seed, "proposer": record.proposer, "trained": record.length}
    for key, value in about.items():
        made.set_user_attr(f"vtune:{key}", value)
    curves = _curves(study)
    times = study.placement().set_index("id")[["started", "finished"]].to_dict("index")
    distributions = {parameter: distribution(study.space[parameter]) for parameter in study.space}
    for trial in study.trials():
        made.add_trial(_trial(study, trial, distributions, curves.get(trial.id, {}), times[trial.id]))
    return made


def _trial(
    study: SavedStudy, trial: Trial, distributions: Mapping[str, Any], curve: dict[int, float], times: Any
) -> Any:
    record = study.record
    values = [trial.score, *(trial.metrics.get(name) for name, _ in record.objectives[1:])]
    said = params(study.space, trial.config)
    state = _state(trial, values)
    started = _time(times["started"]) or _time(record.created)
    return optuna.trial.FrozenTrial(
        number=-1,
        trial_id=-1,
        state=state,
        value=None,
        values=values if state == optuna.trial.TrialState.COMPLETE else None,
        datetime_start=started,
        datetime_complete=(_time(times["finished"]) or started) if state.is_finished() else None,
        params=said,
        distributions={name: distributions[name] for name in said},
        user_attrs={"vtune:trial": trial.id, "vtune:origin": trial.origin, **_plain(trial.metrics)},
        system_attrs=_constraints(study, trial),
        intermediate_values=curve,
    )


def _state(trial: Trial, values: list[float | None]) -> Any:
    """Optuna has no word for a trial that diverged: it failed. Waiting ones are running, or Optuna would ask them."""
    states = optuna.trial.TrialState
    if trial.state == TrialState.COMPLETE and None not in values:
        return states.COMPLETE
    if trial.state == TrialState.STOPPED:
        return states.PRUNED
    return states.FAIL if trial.state.terminal else states.RUNNING


def _constraints(study: SavedStudy, trial: Trial) -> dict[str, Any]:
    """Where Optuna keeps how far a trial is from what is allowed: above 0 if it is not."""
    rules = study.constraints
    if not rules or any(rule.metric not in trial.metrics for rule in rules):
        return {}
    return {"constraints": [rule.excess(trial.metrics[rule.metric]) for rule in rules]}


def _curves(study: SavedStudy) -> dict[int, dict[int, float]]:
    """Trial -> step -> score; Optuna has no intermediate values for several objectives."""
    objectives = study.record.objectives
    if len(objectives) > 1:
        return {}
    found: dict[int, dict[int, float]] = {}
    frame = study.curves()
    for trial, step, value in zip(frame["trial"], frame["step"], frame[objectives[0][0]], strict=True):
        if math.isfinite(value):
            found.setdefault(int(trial), {})[int(step)] = float(value)
    return found


def _name_metrics(made: Any, names: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        made.set_metric_names(names)


def _plain(metrics: Mapping[str, float]) -> dict[str, Any]:
    return {name: value for name, value in json.loads(json.dumps(dict(metrics))).items() if math.isfinite(value)}


def _time(seconds: float | None) -> datetime.datetime | None:
    """Epoch seconds as Optuna keeps times: of this place, without a zone."""
    return None if seconds is None or math.isnan(seconds) else datetime.datetime.fromtimestamp(seconds)


def _url(storage: Any) -> Any:
    return f"sqlite:///{storage}" if isinstance(storage, str) and "://" not in storage else storage
