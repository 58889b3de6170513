"""What a study has to tell a proposer: the configs of its ended trials, their scores, and how far each came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class Told:
    """Ended trials, as `Proposer.tell` takes them.

    Attributes:
      configs: n configs.
      scores: [n, objectives], lower is better; NaN for a trial that diverged.
      steps: [n], steps after which each had its score; those of a full trial for one that had its budget.
      excess: [n], by how much each exceeds the constraints on results; None without any.
    """

    configs: list[Config]
    scores: np.ndarray
    steps: np.ndarray
    excess: np.ndarray | None = None

    def ranked(self, space: Space) -> list[Config]:
        """The configs that have a score, each once, from best to worst; stopped ones where they stood.

        With several objectives they are ranked by fronts.
        """
        history = History(space)
        history.tell(self.configs, self.scores, self.steps, self.excess)
        order = standing(history)
        return space.from_unit(history.unit[order[~history.diverged[order]]])


def told(study: SavedStudy) -> Told:
    """What a study has to tell, in the order of its trials."""
    record = study.record
    trials, rules = study.trials(ENDED), study.constraints
    return Told(
        configs=[dict(trial.config) for trial in trials],
        scores=np.array([_scores(trial, record.objectives) for trial in trials]).reshape(-1, len(record.objectives)),
        steps=np.array([_steps(trial, record.steps) for trial in trials], dtype=np.float64),
        excess=exceeding(rules, [trial.metrics for trial in trials]) if rules else None,
    )


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
