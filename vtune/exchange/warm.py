"""What earlier studies, of vtune or of Optuna, can teach a proposer before the first trial."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from vtune.errors import ArgumentError, ConfigError
from vtune.proposers import learns
from vtune.records import Config, TrialState
from vtune.results import SavedStudy
from vtune.settings import Settings
from vtune.space import Space

Objectives = Sequence[tuple[str, str]]
"""(metric, "min" or "max") pairs."""

_MODES = {"minimize": "min", "maximize": "max"}


@dataclass(frozen=True)
class Experience:
    """What fits of an earlier study.

    Attributes:
      study: its name.
      configs: n configs of the new space.
      scores: [n, objectives], lower is better; NaN for a trial that diverged.
      left_out: why trials were left out -> how many.
      defaults: hyperparameters that the earlier space lacks, taken at their default.
      unknown: those of the earlier space that the new one lacks.
    """

    study: str
    configs: list[Config]
    scores: np.ndarray
    left_out: Mapping[str, int]
    defaults: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = f"learned from {len(self.configs)} trials of study {self.study!r}"
        if self.left_out:
            said += ", not from " + ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        if self.defaults:
            said += f"; {', '.join(self.defaults)} at the default"
        return said + (f"; without a look at its {', '.join(self.unknown)}" if self.unknown else "")


@dataclass(frozen=True)
class _Earlier:
    """A study as its trials tell it: names that it searched, and (values by name, scores or why there are none)."""

    name: str
    names: tuple[str, ...]
    trials: Iterator[tuple[Mapping[str, Any], Sequence[float] | str]]
    read: Callable[[Any, Any], Any]


def experience(space: Space, objectives: Objectives, studies: Iterable[Any]) -> list[Experience]:
    """What fits of earlier studies: trials whose values lie in the new space.

    Hyperparameters that an earlier study did not have count as their default, those that only it had are not looked at.
    Trials that were stopped early, or that failed, are left out.

    Args:
      space: the new space.
      objectives: the new study's metrics and modes.
      studies: studies of vtune, open or loaded, and of Optuna.

    Raises:
      ArgumentError: not a study, or one that measured something else.
    """
    if isinstance(studies, SavedStudy | str) or not isinstance(studies, Iterable):
        raise ArgumentError(f"warm_start must be a list of studies; got {studies!r}")
    return [_fitting(space, len(objectives), _read(study, objectives)) for study in studies]


def teach(proposer: Any, space: Space, settings: Settings, studies: Iterable[Any]) -> list[str]:
    """Tells a proposer what earlier studies know -> what was learned from each, in words.

    Raises:
      ArgumentError: there are earlier studies, and the proposer does not learn. Besides, what `experience` raises.
    """
    learned = experience(space, [(o.metric, o.mode) for o in settings.objectives], studies)
    if learned and not learns(proposer):
        raise ArgumentError(
            f"warm_start teaches the proposer, and {proposer.name!r} learns nothing from scores: give proposer='bayes'"
        )
    steps = (round(settings.steps),) if len(inspect.signature(proposer.tell).parameters) > 2 else ()
    for each in learned:
        scores = each.scores[:, 0] if len(settings.objectives) == 1 else each.scores
        proposer.tell(each.configs, scores, *(np.full(len(each.configs), count) for count in steps))
    return [str(each) for each in learned]


def _fitting(space: Space, width: int, earlier: _Earlier) -> Experience:
    configs, scores, left_out = [], [], Counter[str]()
    for values, score in earlier.trials:
        if isinstance(score, str):
            left_out[score] += 1
            continue
        try:
            config = space.validate(space.unfold(partial(_value, space, earlier, values)))
        except ConfigError:
            left_out["outside the space"] += 1
            continue
        configs.append(config)
        scores.append(score)
    return Experience(
        study=earlier.name,
        configs=configs,
        scores=np.array(scores, dtype=np.float64).reshape(-1, width),
        left_out=dict(left_out),
        defaults=tuple(name for name in space if name not in earlier.names),
        unknown=tuple(name for name in earlier.names if name not in space),
    )


def _value(space: Space, earlier: _Earlier, values: Mapping[str, Any], name: str) -> Any:
    if name not in earlier.names or (name not in values and space[name].size == 1):
        return space[name].default
    if name not in values:
        raise ConfigError(f"{name!r} was not active")
    return earlier.read(space[name], values[name])


def _read(study: Any, objectives: Objectives) -> _Earlier:
    if isinstance(study, SavedStudy):
        return _of_vtune(study, objectives)
    if all(hasattr(study, name) for name in ("get_trials", "directions", "study_name")):
        return _of_optuna(study, objectives)
    raise ArgumentError(f"warm_start must be studies of vtune or of Optuna; got {study!r}")


def _of_vtune(study: SavedStudy, objectives: Objectives) -> _Earlier:
    record = study.record
    missing = [metric for metric, _ in objectives if metric not in record.metrics]
    if missing:
        raise ArgumentError(
            f"an earlier study must have measured {', '.join(missing)}; {study.name!r} measured "
            f"{', '.join(record.metrics)}"
        )
    first = record.objectives[0][0]

    def trials() -> Iterator[tuple[Mapping[str, Any], Sequence[float] | str]]:
        for trial in study.trials():
            values = [trial.score if name == first else trial.metrics.get(name) for name, _ in objectives]
            if trial.state == TrialState.DIVERGED:
                yield trial.config, [np.nan] * len(objectives)
            elif trial.state != TrialState.COMPLETE:
                yield trial.config, "stopped early" if trial.state == TrialState.STOPPED else "not complete"
            else:
                yield trial.config, _signed(values, objectives)

    return _Earlier(study.name, tuple(study.space.names), trials(), lambda parameter, value: value)


def _of_optuna(study: Any, objectives: Objectives) -> _Earlier:
    from vtune.exchange.optuna_space import optuna, taken  # brings Optuna

    modes = [_MODES.get(direction.name.lower()) for direction in study.directions]
    names = study.metric_names or [metric for metric, _ in objectives]
    told = list(zip(names, modes, strict=True)) if len(names) == len(modes) else modes
    if told != list(objectives):
        raise ArgumentError(
            f"an earlier study must have had {_words(objectives)}; {study.study_name!r} had "
            f"{_words(told) if told is not modes else f'{len(modes)} objectives'}"
        )
    every = study.get_trials(deepcopy=False)
    names = tuple(dict.fromkeys(name for trial in every for name in trial.params))

    def trials() -> Iterator[tuple[Mapping[str, Any], Sequence[float] | str]]:
        for trial in every:
            if trial.state == optuna.trial.TrialState.COMPLETE:
                yield trial.params, _signed(trial.values, objectives)
            else:
                pruned = trial.state == optuna.trial.TrialState.PRUNED
                yield trial.params, "stopped early" if pruned else "not complete"

    return _Earlier(study.study_name, names, trials(), taken)


def _signed(values: Sequence[float | None], objectives: Objectives) -> list[float]:
    signs = [1.0 if mode == "min" else -1.0 for _, mode in objectives]
    return [np.nan if value is None else sign * value for sign, value in zip(signs, values, strict=True)]


def _words(objectives: Any) -> str:
    return ", ".join(f"{mode} {name}" for name, mode in objectives)
