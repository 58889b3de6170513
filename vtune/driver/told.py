"""What a study has to tell a proposer: the configs of its ended trials, their scores, and how far each came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.proposers.history import History
from vtune.proposers.standing import standing
from vtune.records import Config, Trial, TrialState
from vtune.requirement import exceeding
from vtune.space import Space

if TYPE_CHECKING:
    from vtune.results import SavedStudy

ENDED = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.DIVERGED)
"""States of trials from which there is something to learn."""


_Row = tuple[Trial, list[float], int, Mapping[Any, float]]
"""A trial, its scores (lower is better), the step at which it had them, and its metrics there."""


@dataclass(frozen=True)
class Told:
    """Ended trials, as `Proposer.tell` takes them, and what they had at steps at which others were stopped.

    Attributes:
      configs: n configs, those of trials that went on from such a step several times.
      scores: [n, objectives], lower is better; NaN for a trial that diverged.
      steps: [n], steps after which each had its score; those of a full trial for one that had its budget.
      excess: [n], by how much each exceeds the constraints on results; None without any.
    """

    configs: list[Config]
    scores: np.ndarray
    steps: np.ndarray
    excess: np.ndarray | None = None

    @property
    def trials(self) -> int:
        """How many trials these are."""
        return len(set(map(repr, self.configs)))

    def ranked(self, space: Space) -> list[Config]:
        """The configs that have a score, each once, from best to worst; stopped ones where they stood.

        With several objectives they are ranked by fronts.
        """
        history = History(space)
        history.tell(self.configs, self.scores, self.steps, self.excess)
        order = standing(history)
        return space.from_unit(history.unit[order[~history.diverged[order]]])


def told(study: SavedStudy) -> Told:
    """What a study has to tell, in the order of its trials; what they had on the way behind."""
    record = study.record
    trials, rules = study.trials(ENDED), study.constraints
    rows: list[_Row] = [
        (trial, _scores(trial, record.objectives), _steps(trial, record.steps), trial.metrics) for trial in trials
    ]
    rows += _passed(study, trials)
    return Told(
        configs=[dict(trial.config) for trial, *_ in rows],
        scores=np.array([scores for _, scores, *_ in rows]).reshape(-1, len(record.objectives)),
        steps=np.array([steps for _, _, steps, _ in rows], dtype=np.float64),
        excess=exceeding(rules, [metrics for *_, metrics in rows]) if rules else None,
    )


def _passed(study: SavedStudy, trials: list[Trial]) -> list[_Row]:
    """Trials at steps at which others were stopped; none where trials are of different lengths."""
    record = study.record
    stops = {trial.step for trial in trials if trial.state == TrialState.STOPPED}
    lengths = {trial.step for trial in trials if trial.state == TrialState.COMPLETE}
    if not stops or lengths != {record.steps}:
        return []
    known = {trial.id: trial for trial in trials if trial.state != TrialState.DIVERGED}
    curves = study.curves()
    curves = curves[curves["step"].isin(stops) & curves["trial"].isin(known)]
    names = [name for name, _ in record.objectives]
    signs = np.array([1.0 if mode == "min" else -1.0 for _, mode in record.objectives])
    return [
        (known[row["trial"]], (signs * [row[name] for name in names]).tolist(), int(row["step"]), row)
        for row in curves.to_dict("records")
        if row["step"] < known[row["trial"]].step
    ]


def _scores(trial: Trial, objectives: tuple[tuple[str, str], ...]) -> list[float]:
    """The first is what the trial stands for, which a scheduler may have taken from before its last measurement."""
    if trial.state == TrialState.DIVERGED:
        return [np.nan] * len(objectives)
    values = [trial.score, *(trial.metrics.get(name) for name, _ in objectives[1:])]
    signs = [1.0 if mode == "min" else -1.0 for _, mode in objectives]
    return [np.nan if value is None else sign * value for sign, value in zip(signs, values, strict=True)]


def _steps(trial: Trial, full: int) -> int:
    """Trials may be of different lengths: a stopped one has had less than a whole one, whatever its count says."""
    return full if trial.state == TrialState.COMPLETE else min(trial.step, full - 1)
