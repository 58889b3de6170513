"""Population-based training (Jaderberg et al., 2017, "Population Based Training of Neural Networks")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Config
from vtune.schedulers.base import StudyScheduler, register
from vtune.schedulers.cohorts import Cohorts, Fates, verdict
from vtune.schedulers.explore import Explorer, share
from vtune.schedulers.ranking import leaders
from vtune.schedulers.report import Report, Verdict
from vtune.space import Space

_STREAM = 0x9B7
"""Keeps the draws of this scheduler apart from those that others make of the study's seed."""


@register
@dataclass(frozen=True)
class PBT(StudyScheduler):
    """Trains a population; at intervals the worst go on from copies of the best, with changed hyperparameters.

    Every `interval` steps the population is ranked as a whole: its last 20 % (by default) each copy the weights, the
    optimizer's state and the configuration of a trial drawn from the first 20 % (truncation selection), and then every
    hyperparameter of the copy is changed on its own: drawn anew with probability `resample`, else multiplied by one of
    the factors `perturb`. A change that the study cannot make within a compiled program, or that a constraint of the
    space forbids, is left out. Trials wait for the whole population, so that what is copied does not depend on the
    number of lanes; a population that fits the lanes never waits. The paper's workers do not wait.

    A Choice has no order, so it changes by being drawn anew alone. Diverged trials leave the population.

    Args:
      interval: steps between two rankings; the study's `eval_every` unless given.
      quantile: share of the population that is replaced, and of which the replacements are copies; at most one half.
      perturb: the two factors of a change, both positive; a whole number changes by at least one step.
      resample: probability that a hyperparameter is drawn anew from the space.
      names: hyperparameters that may change; all of the space unless given.
      population: how many trials, by consecutive ids, are a population; all of the study unless given.

    Raises:
      ArgumentError: shares and factors that cannot be; in a study: unknown names, no space, no interval before its end.

    Example:
      >>> from vtune.records import Decision
      >>> from vtune.schedulers import Report, StudyInfo
      >>> from vtune.space import Float, Space
      >>> study = StudyInfo(steps=100, trials=5, eval_every=10, space=Space(lr=Float(1e-4, 1.0, log=True)))
      >>> pbt = PBT(interval=20, resample=0.0).for_study(study)
      >>> configs = {trial: {"lr": 0.01 * (trial + 1)} for trial in range(5)}
      >>> report = Report(np.arange(5), np.full(5, 20), np.array([0.5, 0.1, 0.9, 0.4, 0.6]), np.zeros(5, bool),
      ...                 configs=configs, asked=5, closed=True)
      >>> state, verdict = pbt.decide(pbt.init(), report)
      >>> Decision(verdict.action[2]).name, int(verdict.source[2]), verdict.configs[2]["lr"] in (0.016, 0.024)
      ('COPY', 1, True)
    """

    name: ClassVar[str] = "pbt"

    interval: int | None = None
    quantile: float = 0.2
    perturb: tuple[float, float] = (0.8, 1.2)
    resample: float = 0.25
    names: Sequence[str] | None = None
    population: int | None = None

    def __post_init__(self) -> None:
        self._whole(1, "interval", "population")
        share("quantile", self.quantile, 0.5)
        share("resample", self.resample, 1.0)
        factors = tuple(self.perturb)
        if len(factors) != 2 or not all(isinstance(f, int | float) and 0 < f < float("inf") for f in factors):
            raise ArgumentError(f"perturb must be two positive factors, as (0.8, 1.2), not {self.perturb!r}")
        object.__setattr__(self, "perturb", factors)
        if isinstance(self.names, str):
            raise ArgumentError(f"names must be a list of names, not the one string {self.names!r}")
        object.__setattr__(self, "names", None if self.names is None else tuple(self.names))

    def check(self) -> None:
        space = self._space
        unknown = [name for name in self.names or () if name not in space]
        if unknown:
            raise ArgumentError(f"PBT: names must be of the space ({', '.join(space.names)}); got {', '.join(unknown)}")
        if not self.marks():
            every = self._interval
            raise ArgumentError(f"PBT: interval={every} must be below the study's steps={self.study.steps}")

    @property
    def waits(self) -> bool:
        return True

    @property
    def together(self) -> bool:
        return self.population is None

    def marks(self) -> tuple[int, ...]:
        return tuple(range(self._interval, self.study.steps, self._interval))

    def init(self) -> dict[str, Any]:
        return self._cohorts.init(len(self.study.objectives))

    def decide(self, state: dict[str, Any], report: Report) -> tuple[dict[str, Any], Verdict]:
        state, settled = self._cohorts.arrive(state, report)
        configs: dict[int, Config] = {}
        waiting, population = settled.member[settled.waits], settled.group[settled.waits]
        source = np.full(len(waiting), -1, np.int64)
        for place, number in enumerate(settled.number.tolist()):
            rows = population == place
            source[rows] = self._exploit(state, number, waiting[rows], report, configs)
        return state, verdict(state, report, Fates(waiting, source=source, configs=configs))

    def _exploit(
        self, state: dict[str, Any], number: int, trial: np.ndarray, report: Report, configs: dict[int, Config]
    ) -> np.ndarray:
        """The sources of the members of a population that wait, -1 for none; adds the new configurations."""
        score = state["score"][trial]
        count = min(int(np.ceil(len(trial) * self.quantile)), len(trial) // 2)
        best = trial[leaders(score, trial, count)]
        worst = np.flatnonzero(~leaders(score, trial, len(trial) - count))
        source = np.full(len(trial), -1, np.int64)
        if len(best) and len(worst):
            generation = int(state["rung"][trial].max())
            draws = self._draws(number, generation).random((len(worst), 1 + 2 * len(self._explorer.names)))
            source[worst] = best[(draws[:, 0] * len(best)).astype(np.int64)]
            given = [report.configs[source_] for source_ in source[worst].tolist()]
            changed = self._explorer.changed(given, source[worst], draws[:, 1:])
            configs.update(zip(trial[worst].tolist(), changed, strict=True))
        return source

    def _draws(self, population: int, generation: int) -> np.random.Generator:
        seed = np.random.SeedSequence([self.study.seed, _STREAM, population, generation])
        return np.random.Generator(np.random.Philox(seed))

    @property
    def _space(self) -> Space:
        if self.study.space is None:
            raise ArgumentError("PBT changes hyperparameters: StudyInfo.space must be the study's space, not None")
        return self.study.space

    @property
    def _interval(self) -> int:
        return self.interval or self.study.eval_every

    @cached_property
    def _explorer(self) -> Explorer:
        names = tuple(name for name in self._space.names if self.names is None or name in self.names)
        return Explorer(self._space, names, self.perturb, self.resample, self.study.fits)

    @cached_property
    def _cohorts(self) -> Cohorts:
        size = self.population or self.study.trials
        return Cohorts(np.zeros(size, np.int64), (self.marks(),))
