"""Trains the best trials again with fresh seeds once a study is over, and reads the test data for those alone.

The best of many scores is too good: it was chosen for its luck as well. Fresh seeds have no such luck, and the test
data have chosen nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vtune.records import Rerun, Trial
from vtune.resume.lineage import Route
from vtune.resume.replay import Journey, Stop
from vtune.settings import Settings

SEEDS = 3
"""Fresh seeds of each trial, at least; with `seeds=` as many as that."""


def rounds(settings: Settings) -> int:
    """How often the replicas of a trial are trained again."""
    return math.ceil(SEEDS / settings.seeds)


def journeys(
    trials: Sequence[Trial], routes: Mapping[int, Route], settings: Settings, first_id: int
) -> dict[int, Journey]:
    """The trainings of trials under fresh seeds: replicas numbered behind those that the trials had.

    Args:
      trials: what is trained again, each to the step that its score is of.
      routes: how the states of all trials came to be.
      settings: the study's numbers.
      first_id: the first id that no trial has.

    Returns:
      Journeys by the ids that they have in the executor: `rounds` in a row for each trial.
    """
    pairs = [(trial, round_) for trial in trials for round_ in range(rounds(settings))]
    return {
        first_id + place: Journey(routes[trial.id], trial.step, keys=trial.id, first=settings.replicas * (1 + round_))
        for place, (trial, round_) in enumerate(pairs)
    }


def collected(
    stops: Iterator[Stop],
    test: Callable[[Trial, int], Mapping[str, Any]],
    *,
    trials: Sequence[Trial],
    settings: Settings,
    first_id: int,
    column: int,
) -> dict[int, Rerun]:
    """Puts together what fresh seeds gave.

    Args:
      stops: of `journeys`.
      test: (trial, id of the journey) -> metrics on the test data, one value a replica; takes it out of its lanes.
      trials: what is trained again.
      settings: the study's numbers.
      first_id: as for `journeys`.
      column: of the metric that is tuned.

    Returns:
      What was found, by trial.
    """
    found = {}
    for stop in stops:
        place = stop.trial - first_id
        found[place] = stop.values[:, column], test(trials[place // rounds(settings)], stop.trial)
    again = {}
    for number, trial in enumerate(trials):
        mine = [found[number * rounds(settings) + round_] for round_ in range(rounds(settings))]
        scores = [score for values, _ in mine for score in _by_seed(values, settings)]
        tests = {
            name: tuple(value for _, tested in mine for value in _by_seed(tested[name], settings))
            for name in mine[0][1]
        }
        again[trial.id] = Rerun(float("nan") if trial.score is None else trial.score, tuple(scores), tests)
    return again


def _by_seed(values: Any, settings: Settings) -> list[float]:
    """Means over folds, one a seed, from values of replicas."""
    return np.asarray(values, np.float64).reshape(settings.seeds, settings.folds).mean(1).tolist()
