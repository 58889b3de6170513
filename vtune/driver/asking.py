"""Asks a proposer for configurations: at once, or in the background while lanes train."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.engine.devices import as_here
from vtune.errors import ProposerError
from vtune.proposers import follows, learns
from vtune.records import Config


@dataclass(frozen=True, slots=True)
class Answer:
    """Configurations, and where each came from, if the proposer says so; else no reasons."""

    configs: Sequence[Config] = ()
    reasons: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class _Question:
    want: int
    before: Any
    asked: Future[list[Config]]


class Asker:
    """A proposer at work on a study. Nothing but this object touches it, and never two threads at a time.

    Attributes:
      learns: whether its proposals depend on scores; others may be asked long before lanes are free.
      follows: whether it wants scores on the way too, of trials that go on from where a scheduler compares them.
      exhausted: whether it has no more.

    >>> from vtune.proposers import Random
    >>> from vtune.space import Float, Space
    >>> asker = Asker(Random(Space(x=Float(0.0, 1.0)), seed=0))
    >>> len(asker.ask(3).configs), asker.learns
    (3, False)
    """

    def __init__(self, proposer: Any):
        self._proposer = proposer
        self.name: str = proposer.name
        self.learns = learns(proposer)
        self.follows = follows(proposer)
        self.exhausted = False
        heeded = inspect.signature(proposer.tell).parameters
        self._heeds_steps, self._heeds_excess = len(heeded) > 2, "excess" in heeded
        self._question: _Question | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vtune-proposer")

    def ask(self, want: int, pending: Sequence[Config] = ()) -> Answer:
        """Asks for configurations and waits for them.

        Args:
          want: how many.
          pending: configs whose scores are not known yet.

        Raises:
          ProposerError: more were given.
        """
        return self._taken(want, self._proposer.ask(want, pending))

    def ask_ahead(self, want: int, pending: Sequence[Config]) -> None:
        """Asks in the background; `answer` gives what came of it."""
        before = self._proposer.state()
        asked = self._thread.submit(as_here(lambda: self._proposer.ask(want, pending)))
        self._question = _Question(want, before, asked)

    def wait(self) -> None:
        """Waits until the proposer has done what it was asked in the background."""
        if self._question is not None:
            self._question.asked.exception()

    def answer(self) -> Answer:
        """What came of the last question in the background; nothing if there was none.

        Raises:
          ProposerError: more configurations than were asked for. Besides, whatever the proposer raised.
        """
        if self._question is None:
            return Answer()
        question, self._question = self._question, None
        return self._taken(question.want, question.asked.result())

    def tell(
        self, configs: Sequence[Config], scores: np.ndarray, steps: np.ndarray, excess: np.ndarray | None = None
    ) -> None:
        """Passes on how trials ended; their steps, and by how much they exceed what is allowed, if the proposer cares.

        To one that does not heed constraints, a trial that exceeds them has no score.
        """
        if excess is None or self._heeds_excess:
            heeded = {} if excess is None else {"excess": excess}
        else:
            heeded, scores = {}, np.where((excess > 0).reshape(-1, *(1,) * (scores.ndim - 1)), np.nan, scores)
        self._proposer.tell(configs, scores, *((steps,) if self._heeds_steps else ()), **heeded)

    def state(self) -> Any:
        """What the proposer remembers, as JSON values, without a question whose answer has not been taken."""
        return self._proposer.state() if self._question is None else self._question.before

    def close(self) -> None:
        """Lets the background thread go; a question in it is waited for, since it may be in the middle of the state."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _taken(self, want: int, configs: Sequence[Config]) -> Answer:
        if len(configs) > want:
            raise ProposerError(f"{self.name} was asked for {want} configurations and gave {len(configs)}")
        self.exhausted = len(configs) < want
        reasons = self._proposer.origins() if hasattr(self._proposer, "origins") else []
        return Answer(configs, reasons if len(reasons) == len(configs) else ())
