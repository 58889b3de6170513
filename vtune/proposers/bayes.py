"""Bayesian search by whichever model suits: a Gaussian process while it keeps up, Parzen estimators beyond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.gp import GP
from vtune.proposers.history import History
from vtune.proposers.tpe import TPE
from vtune.proposers.walk import whole
from vtune.records import Config
from vtune.space import Space

TOLD, BATCH, DIMENSIONS, OBJECTIVES = 4096, 1024, 64, 4
"""Trials, size of a batch, hyperparameters and objectives up to which the Gaussian process is asked."""


@register
class Bayes:
    """Bayesian search that picks its model at every ask: `GP`, or `TPE` where that would take too long.

    The Gaussian process needs fewer trials, and seconds where Parzen estimators need milliseconds: it is asked up to
    4,096 trials of history, 1,024 configs a batch, 64 hyperparameters and 4 objectives.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.

    Raises:
      ArgumentError: not a space, not a seed.

    Example:
      >>> from vtune.space import Float, Space
      >>> bayes = Bayes(Space(x=Float(0.0, 1.0)), seed=0)
      >>> len(bayes.ask(4)), bayes.model
      (4, 'gp')
    """

    name: ClassVar[str] = "bayes"
    follows: ClassVar[bool] = True

    def __init__(self, space: Space, seed: int = 0) -> None:
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space; got {space!r}")
        self.space = space
        self.seed = whole("seed", seed)
        self._told, self._objectives = 0, 1
        self._model: GP | TPE = self._kind(0)(space, self.seed)

    @property
    def model(self) -> str:
        """Name of the proposer that was asked last."""
        return self._model.name

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """The next n configs; see `Proposer.ask`."""
        kind = self._kind(whole("n", n))
        if not isinstance(self._model, kind):
            known = self._model
            self._model = kind(self.space, self.seed)
            self._hand_over(known.state())
        return self._model.ask(n, pending)

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None, excess: Any = None) -> None:
        """Learns scores, of trials that were stopped or that exceed what is allowed too; see `Proposer.tell`."""
        self._model.tell(configs, scores, steps, excess)
        self._told += len(configs)
        if len(configs):
            self._objectives = int(np.size(scores)) // len(configs)

    def origins(self) -> list[dict[str, Any]]:
        """Where each config of the last `ask` came from, as the model says that proposed it."""
        return self._model.origins()

    def promise(self) -> tuple[float, float] | None:
        """What more trials could still gain; see `GP.promise`. None where `TPE` is asked."""
        return self._model.promise() if isinstance(self._model, GP) else None

    def state(self) -> dict[str, Any]:
        """What was told and how much was asked for."""
        known = self._model.state()
        return {"name": self.name, "seed": self.seed, "asked": known["asked"], "history": known["history"]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken.

        Raises:
          ProposerError: the state of another proposer, seed or space.
        """
        own = {"name": self.name, "seed": self.seed}
        if not isinstance(state, Mapping) or {key: state.get(key) for key in own} != own or "asked" not in state:
            raise ProposerError(f"a state of {self.name!r} must have {own}, asked and history; got {state!r}")
        history = History(self.space)
        history.restore(state.get("history"))
        self._hand_over(state)
        self._told, self._objectives = len(history), history.objectives

    def _hand_over(self, state: Mapping[str, Any]) -> None:
        self._model.restore({**self._model.state(), "asked": state["asked"], "history": state["history"]})

    def _kind(self, n: int) -> type[GP] | type[TPE]:
        few = self._told <= TOLD and self._objectives <= OBJECTIVES
        return GP if few and n <= BATCH and self.space.dim <= DIMENSIONS else TPE
