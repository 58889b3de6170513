"""CMA-ES: a normal distribution over the space that moves and stretches towards what was good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.evolution import Axes, Record, Run, beginning, population
from vtune.proposers.fresh import Fresh
from vtune.proposers.history import History, keys
from vtune.proposers.standing import ranking, standing
from vtune.proposers.walk import whole
from vtune.records import Config
from vtune.space import Space

_ROUNDS = 8
"""Times that draws are repeated while too many of them are known or fail a constraint."""


@register
class CMAES:
    """Evolution strategy with covariance matrix adaptation, for mixed spaces.

    CatCMA with margin (Hamano et al., 2025) of the package `cmaes`: a normal distribution over floats and ints, with
    margins that keep each int in reach, and a categorical one over choices. Logarithmic hyperparameters are searched by
    their logarithm. One that is not active is drawn all the same and left out. A configuration that is drawn again is
    not proposed again: its score is known. Once the distribution has converged, another starts elsewhere with twice the
    population (Auger and Hansen, 2005). Ranks alone count, so that trials that diverged, or were stopped early, do no
    harm. Needs `pip install vtune[cmaes]`.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.

    Raises:
      ArgumentError: not a space, not a seed.

    Example:
      >>> from vtune.space import Float, Space
      >>> proposer = CMAES(Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0)), seed=0)
      >>> for _ in range(16):
      ...     configs = proposer.ask(16)
      ...     scores = [(config["x"] - 0.3) ** 2 + config["y"] ** 2 for config in configs]
      ...     proposer.tell(configs, scores)
      >>> min(scores) < 1e-4
      True
    """

    name: ClassVar[str] = "cmaes"

    def __init__(self, space: Space, seed: int = 0) -> None:
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space; got {space!r}")
        self.space = space
        self.seed = whole("seed", seed)
        self._axes = Axes(space)
        self._history = History(space)
        self._row: dict[bytes, int] = {}
        self._run: Run | None = None
        self._waiting: dict[bytes, int] = {}
        self._asked, self._stale = 0, False
        self._origins: list[dict[str, Any]] = []

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """Suggests up to n configs that are new; see `Proposer.ask`."""
        n = whole("n", n)
        rng = np.random.default_rng([self.seed, self._asked, len(self._history)])
        fresh = Fresh(self._history, self._history.encode(pending), rng)
        rows, self._origins = np.empty((0, self.space.dim)), []
        for _ in range(_ROUNDS if self._axes.free else 0):
            if len(rows) < n:
                rows = np.concatenate([rows, self._drawn(n - len(rows), n, fresh)])
        rest = fresh.rest(n - len(rows))
        self._origins += [{"model": "prior"} for _ in range(len(rest))]
        self._asked += len(rest)
        return self.space.from_unit(np.concatenate([rows, rest]))

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None, excess: Any = None) -> None:
        """Learns scores, of trials that were stopped or that exceed what is allowed too; see `Proposer.tell`.

        Configurations of others are not proposed again; those told before the first `ask` say where the search begins.
        """
        before = len(self._history)
        self._history.tell(configs, scores, steps, excess)
        for row, key in enumerate(keys(self._history.unit[before:]), start=before):
            self._row[key] = row
            number = self._waiting.pop(key, None)
            if number is not None:
                self._count(number, row)

    def origins(self) -> list[dict[str, Any]]:
        """Where each config of the last `ask` came from.

        Returns:
          A dict for each: "model" is "cmaes" or "prior" (drawn evenly). Those of the model have "run" and "generation",
          counted from 0.
        """
        return [dict(origin) for origin in self._origins]

    def state(self) -> dict[str, Any]:
        """What was told, and the draws that the present run is made of."""
        return {
            "name": self.name, "seed": self.seed, "asked": self._asked, "stale": self._stale,
            "history": self._history.state(), "run": None if self._run is None else vars(self._record(self._run)),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken; the present run is gone through again.

        Raises:
          ProposerError: the state of another proposer, seed or space.
        """
        own = {"name": self.name, "seed": self.seed}
        must = f"a state of {self.name!r} must have {own}, asked, stale, history and run"
        if not isinstance(state, Mapping) or {key: state.get(key) for key in own} != own or "run" not in state:
            raise ProposerError(f"{must}; got {state!r}")
        history = History(self.space)
        history.restore(state.get("history"))
        try:
            stored = None if state["run"] is None else Record(**state["run"])
            record = None if stored is None else stored.with_open(list(stored.open))
            asked, stale = whole("asked", state["asked"]), bool(state["stale"])
        except (KeyError, TypeError) as error:
            raise ProposerError(f"{must}; got one that cannot be read ({error})") from None
        self._history, self._asked, self._stale = history, asked, stale
        self._row = {key: row for row, key in enumerate(keys(history.unit))}
        self._waiting, self._run = {}, None
        if record is not None:
            self._run = self._made(record)
            waiting = [number for number, _ in record.open]
            rows = self.space.snap(self._run.points(waiting))
            self._waiting = dict(zip(keys(rows), waiting, strict=True))

    def _present(self, batch: int) -> Run:
        """The run that goes on; the next one once it draws nothing new. Draws of the one before count no longer."""
        run = self._run
        if run is not None and not (run.converged or self._stale):
            return run
        number = 0 if run is None else run.record.run + 1
        self._waiting, self._stale = {}, False
        self._run = self._made(Record(number, population(self._axes, batch, number), begun=len(self._history)))
        return self._run

    def _made(self, record: Record) -> Run:
        known = np.flatnonzero(~self._history.diverged[: record.begun])
        best = known[ranking(self._history.scores[known])]
        first = beginning(self._axes, self.seed, record.run, self._history.unit[best])
        return Run(self._axes, self.seed, record, first)

    def _drawn(self, n: int, batch: int, fresh: Fresh) -> np.ndarray:
        """Up to n new rows of the present distribution [<= n, dim]; the scores of known ones are counted again."""
        run = self._present(batch)
        origin = {"model": self.name, "run": run.record.run, "generation": run.generation}
        numbers = range(self._asked, self._asked + n)
        self._asked += n
        rows = self.space.snap(run.draw(numbers))
        kept = fresh.sieve(rows)
        fresh.take(rows[kept])
        for number, key, new in zip(numbers, keys(rows), kept.tolist(), strict=True):
            if new:
                self._waiting[key] = number
                self._origins.append(origin)
            elif key in self._row:
                self._count(number, self._row[key])
            else:
                run.forget(number)
        self._stale = all(key in self._row for key in keys(rows))
        return rows[kept]

    def _count(self, number: int, row: int) -> None:
        """Takes up the score of a draw; a whole generation moves the distribution, unless it says nothing."""
        run = self._run
        if run is None or not run.counts(number):
            return
        filling = run.record.filling
        filling.append([number, run.generation_of(number), row])
        if len(filling) < run.record.size:
            return
        told = History(self.space)
        rows = [row for *_, row in filling]
        configs = self.space.from_unit(self._history.unit[rows])
        steps = self._history.steps[rows]
        told.tell(
            configs, self._history.scores[rows], None if np.isnan(steps).any() else steps, self._history.excess[rows]
        )
        order = standing(told)
        place = {key: rank for rank, key in enumerate(keys(told.unit[order]))}
        ranks = [place[key] for key in keys(told.unit)]
        run.record.filling = []
        if np.ptp(told.losses, axis=0).any() or len(set(zip(told.diverged, told.allowed, strict=True))) > 1:
            run.advance([filling[i][0] for i in np.argsort(ranks, kind="stable").tolist()])
        else:
            for number, *_ in filling:
                run.forget(number)

    def _record(self, run: Run) -> Record:
        """The record of a run with the draws that still wait for a score."""
        waiting = [number for number in self._waiting.values() if run.counts(number)]
        return run.record.with_open([[number, run.generation_of(number)] for number in waiting])
