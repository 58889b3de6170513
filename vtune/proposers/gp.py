"""Bayesian search with a Gaussian process: a batch at a time, over the whole space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.fresh import Fresh
from vtune.proposers.gaussian.batch import ACQUISITIONS
from vtune.proposers.gaussian.search import Search
from vtune.proposers.history import History
from vtune.proposers.sobol import Sobol
from vtune.proposers.walk import whole
from vtune.records import Config
from vtune.space import Space


@register
class GP:
    """Bayesian search: a Gaussian process learns the scores, and a batch is chosen that together promises most.

    Matern 5/2 over the unit cube with a length scale for each hyperparameter; choices by equality, hyperparameters
    that are not active count as equal. The worse half of the scores is learned by rank, noise is learned too. The
    first configurations are scrambled Sobol points. A batch is chosen one by one by the expected improvement over
    joint draws from the posterior, so that it does not repeat itself; several objectives by expected hypervolume.
    Branches of the space that look bad keep a share of the trials (`Branches`).

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.
      acquisition: "logei": the expected improvement of the batch; "thompson": each config is the best under a draw of
        its own, as all are that go to neglected branches; "both": in turn.
      start: scores that must be known before the model takes over; by the size of the space unless given.

    Raises:
      ArgumentError: not a space, not a seed, an unknown acquisition.

    Example:
      >>> from vtune.space import Float, Space
      >>> space = Space(x=Float(-1.0, 2.0))
      >>> gp, best = GP(space, seed=0), 1.0
      >>> for _ in range(3):
      ...     configs = gp.ask(8)
      ...     scores = [(config["x"] - 0.7) ** 2 for config in configs]
      ...     gp.tell(configs, scores)
      ...     best = min(best, *scores)
      >>> best < 1e-3
      True
    """

    name: ClassVar[str] = "gp"
    follows: ClassVar[bool] = True

    def __init__(self, space: Space, seed: int = 0, *, acquisition: str = "both", start: int | None = None) -> None:
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space; got {space!r}")
        if acquisition not in ACQUISITIONS:
            raise ArgumentError(f"acquisition must be one of {', '.join(map(repr, ACQUISITIONS))}; got {acquisition!r}")
        self.space = space
        self.seed = whole("seed", seed)
        self.acquisition = acquisition
        self.start = max(8, min(space.dim + 2, 16)) if start is None else whole("start", start)
        self._history = History(space)
        self._design = Sobol(space, self.seed)
        self._search = Search(space, acquisition)
        self._asked = 0
        self._origins: list[dict[str, Any]] = []

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """The next n configs, or as many as there are that were never proposed; see `Proposer.ask`."""
        n = whole("n", n)
        history = self._history
        waiting = history.encode(pending)
        rng = self._generator()
        fresh = Fresh(history, waiting, rng)
        begun, self._asked = self._asked, self._asked + n
        self._origins = []
        rows: np.ndarray = np.empty((0, self.space.dim))
        if n and self._ready:
            rows, self._origins = self._search.choose(history, waiting, fresh, rng, n)
        elif n:
            drawn = self.space.snap(self._design.points(begun, n))
            rows = drawn[fresh.sieve(drawn)]
            fresh.take(rows)
        rest = fresh.rest(n - len(rows))
        self._origins += [{"model": "prior"} for _ in range(len(rows) + len(rest) - len(self._origins))]
        return self.space.from_unit(np.concatenate([rows, rest]))

    def origins(self) -> list[dict[str, Any]]:
        """Where each config of the last `ask` came from, in its order.

        Returns:
          A dict for each: "model" is "gp" or "prior" (drawn without a look at scores). Those of the model have "mean"
          and "deviation", what it expects of the score (lists, for several objectives); "gain", the improvement that it
          expected of the config beside those chosen before, in deviations of the scores as it sees them; and "parents",
          the told trial that it is near, counted from 0 in the order of telling, if it started from one. Under
          constraints on results "allowed" is the probability that it keeps to them. "neglected" is True for one that
          was picked for its branch of the space, which had been tried too little to be given up.
        """
        return [dict(origin) for origin in self._origins]

    def promise(self) -> tuple[float, float] | None:
        """What more trials could still gain: how much the lowest points of draws from the posterior are below the best.

        Returns:
          Mean and deviation over the draws, in scores; None while the model has too little to learn from, and for
          several objectives.

        Example:
          >>> from vtune.space import Float, Space
          >>> gp = GP(Space(x=Float(0.0, 1.0)), seed=0)
          >>> gp.promise() is None
          True
        """
        if not self._ready or self._history.objectives > 1:
            return None
        rng = self._generator()
        return self._search.promise(self._history, Fresh(self._history, np.empty((0, self.space.dim)), rng), rng)

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None, excess: Any = None) -> None:
        """Learns scores, of trials that were stopped or that exceed what is allowed too; see `Proposer.tell`."""
        self._history.tell(configs, scores, steps, excess)

    def state(self) -> dict[str, Any]:
        """What was told and how much was asked for, and the arguments that proposals depend on."""
        return {
            "name": self.name, "seed": self.seed, "acquisition": self.acquisition, "start": self.start,
            "asked": self._asked, "history": self._history.state(),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken.

        Raises:
          ProposerError: the state of another proposer, or of one that was made with other arguments.
        """
        own = self.state()
        if not isinstance(state, Mapping) or set(state) != set(own):
            raise ProposerError(f"a state of {self.name!r} must have {', '.join(own)}; got {state!r}")
        for key in ("name", "seed", "acquisition", "start"):
            if state[key] != own[key]:
                raise ProposerError(
                    f"a state must come from a proposer with {key}={own[key]!r}; got {key}={state[key]!r}"
                )
        self._history.restore(state["history"])
        self._asked = whole("asked", state["asked"])

    @property
    def _ready(self) -> bool:
        return int((~self._history.diverged).sum()) >= self.start

    def _generator(self) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, self._asked])))
