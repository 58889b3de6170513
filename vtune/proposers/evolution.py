"""One run of an evolution strategy over a space: a distribution that moves generation by generation."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.extras import extra
from vtune.space import Choice, Space
from vtune.space.axes import Cells, Line

if TYPE_CHECKING:
    from cmaes import CatCMAwM

cmaes = extra("cmaes", 'proposer="cmaes"')

LEVELS = 128
"""Values up to which a discrete hyperparameter has margins that keep each of them in reach; more are a line."""

SPREAD = 0.25
"""Standard deviation of a fresh distribution, in shares of the space."""

CONVERGED = 1e-6
"""A generation that spans less than this share of every continuous hyperparameter is the last of its run."""

LEARNED_FROM = 10
"""Trials of others from which on the first distribution is fitted to the best tenth of them."""


class Axes:
    """Which hyperparameters are continuous, ordered and unordered to the strategy; those of one value are none.

    Args:
      space: where configurations lie.

    Attributes:
      lines: columns of the unit cube that are continuous.
      levels: columns that are ordered with a few values.
      tables: columns that are unordered.
    """

    def __init__(self, space: Space) -> None:
        self.dim = space.dim
        self.lines: list[int] = []
        self.levels: list[int] = []
        self.tables: list[int] = []
        self._values: dict[int, np.ndarray] = {}
        for column, parameter in enumerate(space.values()):
            axis = parameter.axis
            if isinstance(axis, Line):
                self.lines += [column] if axis.low < axis.high else []
                continue
            if axis.count == 1:
                continue
            kind = self._kind(parameter, axis)
            kind.append(column)
            if kind is not self.lines:
                self._values[column] = axis.to_unit(np.arange(axis.count))

    @property
    def free(self) -> int:
        """How many hyperparameters have more than one value."""
        return len(self.lines) + len(self.levels) + len(self.tables)

    @property
    def numbers(self) -> list[int]:
        """Columns of the normal distribution."""
        return self.lines + self.levels

    def strategy(self, size: int, **distribution: Any) -> CatCMAwM:
        """An optimizer over these axes, with a population of the given size."""
        values = [self._values[column].tolist() for column in self.levels]
        return cmaes.CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self.lines) or None,
            z_space=values or None,
            c_space=[len(self._values[column]) for column in self.tables] or None,
            population_size=size,
            **(distribution if self.numbers else {}),
        )

    def point(self, solution: CatCMAwM.Solution) -> np.ndarray:
        """A solution as a point of the unit cube [dim]; what has one value is at one half."""
        point = np.full(self.dim, 0.5)
        if self.lines:
            point[self.lines] = solution.x
        if self.levels:
            point[self.levels] = solution.z
        for column, chosen in zip(self.tables, () if solution.c is None else solution.c, strict=True):
            point[column] = self._values[column][int(np.argmax(chosen))]
        return point

    def _kind(self, parameter: Any, axis: Cells) -> list[int]:
        if axis.count == 2 or isinstance(parameter, Choice):
            return self.tables
        return self.levels if axis.count <= LEVELS else self.lines


@dataclass
class Record:
    """All that a run is made of, as JSON values; a draw is its number and the generation that it was drawn in.

    Attributes:
      run: number of the run; the population doubles with each.
      size: of the population.
      begun: told trials when it began.
      told: for each generation its draws, from best to worst.
      filling: draws of the present generation that have a score, each with the row of the history that holds it.
      open: draws without a score.
    """

    run: int
    size: int
    begun: int
    told: list[list[list[int]]] = field(default_factory=list)
    filling: list[list[int]] = field(default_factory=list)
    open: list[list[int]] = field(default_factory=list)

    @property
    def draws(self) -> list[list[int]]:
        """Every draw that matters still."""
        return [draw[:2] for draws in (*self.told, self.filling, self.open) for draw in draws]

    def with_open(self, draws: list[list[int]]) -> Record:
        """The same with other open draws; what is done to the one does not reach the other."""
        return Record(self.run, self.size, self.begun, list(self.told), list(self.filling), draws)


class Run:
    """A distribution over a space, from its beginning to its convergence.

    Args:
      axes: of the space.
      seed: of all draws.
      record: what happened so far; it is gone through again.
      beginning: mean, deviation and covariance of the first distribution.
    """

    def __init__(self, axes: Axes, seed: int, record: Record, beginning: Mapping[str, Any]) -> None:
        self.record = record
        self._axes, self._seed = axes, seed
        self._strategy = axes.strategy(record.size, **beginning)
        self._drawn: dict[int, tuple[int, CatCMAwM.Solution]] = {}
        self.converged = False
        needed = defaultdict(list)
        for number, generation in record.draws:
            needed[generation].append(number)
        for generation, told in enumerate(record.told):
            self.draw(needed[generation])
            self._move([number for number, _ in told])
        self.draw(needed[len(record.told)])

    @property
    def generation(self) -> int:
        """How many generations moved the distribution."""
        return self._strategy.generation

    def draw(self, numbers: Iterable[int]) -> np.ndarray:
        """Points of the unit cube [n, dim], each a function of its number and the present generation."""
        points = []
        for number in numbers:
            self._strategy.reseed_rng(int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
            with np.errstate(all="ignore"):
                solution = self._strategy.ask()
            self._drawn[number] = self.generation, solution
            points.append(self._axes.point(solution))
        found = np.reshape(points, (-1, self._axes.dim))
        self.converged |= bool(np.isnan(found).any())
        return np.nan_to_num(found, nan=0.5)

    def points(self, numbers: Sequence[int]) -> np.ndarray:
        """Points of the unit cube [n, dim] of draws that wait for a score."""
        points = [self._axes.point(self._drawn[number][1]) for number in numbers]
        return np.nan_to_num(np.reshape(points, (-1, self._axes.dim)), nan=0.5)

    def generation_of(self, number: int) -> int:
        """The generation in which a draw was made."""
        return self._drawn[number][0]

    def forget(self, number: int) -> None:
        """Drops a draw that will have no score."""
        self._drawn.pop(number, None)

    def counts(self, number: int) -> bool:
        """Whether a draw is of the present generation or the one before, so that its score moves the distribution."""
        return number in self._drawn and self._drawn[number][0] >= self.generation - 1

    def advance(self, order: Sequence[int]) -> None:
        """Moves the distribution.

        Args:
          order: numbers of the draws of a generation, from best to worst.
        """
        self.record.told.append([[number, self.generation_of(number)] for number in order])
        self._move(order)

    def _move(self, order: Sequence[int]) -> None:
        solutions = [self._drawn.pop(number)[1] for number in order]
        with np.errstate(all="ignore"):
            self._strategy.tell([(solution, float(place)) for place, solution in enumerate(solutions)])
        lines = np.array([solution.x for solution in solutions]) if self._axes.lines else np.array([[0.0], [1.0]])
        still = np.ptp(lines, axis=0).max() < CONVERGED
        self.converged = bool(still or (self._axes.numbers and self._stopped()))

    def _stopped(self) -> bool:
        with np.errstate(all="ignore"):
            return bool(self._strategy.should_stop())


def population(axes: Axes, asked: int, run: int) -> int:
    """Size of a population: Hansen's rule, but as large as the batches asked for, within reason; doubled a restart.

    Example:
      >>> from vtune.space import Float, Space
      >>> axes = Axes(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)))
      >>> population(axes, 1, 0), population(axes, 16, 0), population(axes, 16, 1)
      (6, 16, 32)
    """
    rule = 4 + math.floor(3 * math.log(axes.free))
    return min(max(rule, min(asked, 8 * rule)) * 2**run, 64 * rule)


def beginning(axes: Axes, seed: int, run: int, unit: np.ndarray) -> dict[str, Any]:
    """Mean, deviation and covariance of the first distribution of a run.

    The first run starts in the middle, or where trials of others were good (Nomura et al., 2021); later ones anywhere.

    Args:
      axes: of the space.
      seed: of the proposer.
      run: number of the run.
      unit: what was told before it began, from best to worst, without trials that diverged [n, dim].
    """
    columns = axes.numbers
    if run == 0 and len(unit) >= LEARNED_FROM and columns:
        known = np.nan_to_num(unit[:, columns], nan=0.5)
        mean, sigma, cov = cmaes.get_warm_start_mgd([(row, float(place)) for place, row in enumerate(known)])
        return {"mean": mean, "sigma": sigma, "cov": cov}
    anywhere = np.random.default_rng([seed, run]).random(len(columns))
    mean = np.full(len(columns), 0.5) if run == 0 else anywhere
    return {"mean": mean, "sigma": SPREAD, "cov": np.eye(len(columns))}
