"""What every proposer can do, and how one is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from vtune.errors import ArgumentError
from vtune.records import Config
from vtune.space import Space


@runtime_checkable
class Proposer(Protocol):
    """Suggests configurations a batch at a time and learns their scores; a pure state underneath.

    Attributes:
      name: what it is called in studies and in `make`.
      space: where its configurations lie.

    A proposer that does not heed scores may say `learns = False`: it is then asked further ahead, so that lanes never
    wait and every program has a full queue.

    Two more things may be there and are used where they are. `tell` with a third argument `steps` [n] also learns from
    trials that were stopped early: the score after so many steps. If it says `follows = True`, it is told besides of
    trials that go on from a step at which a scheduler compares them; a config that is told again is the same trial.
    `origins()` says of each config of the last `ask`, in its order, where it came from: a dict of JSON values with at
    least "model", the name of what proposed it. One whose `space` is None may be given to `make` all the same, if it
    has `over(space)`, which gives the proposer for a space.
    """

    name: str
    space: Space

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """Suggests configurations.

        Args:
          n: how many.
          pending: configs that were suggested earlier and have no score yet.

        Returns:
          Up to n configs of the space that satisfy its constraints; fewer than n means that there are no more. What
          was told is not changed by asking.
        """
        ...

    def tell(self, configs: Sequence[Config], scores: Any) -> None:
        """Learns the scores of configurations, in any order and of any origin.

        Args:
          configs: n configs of the space.
          scores: floats [n], lower is better; NaN for a trial without a score.
        """
        ...

    def state(self) -> dict[str, Any]:
        """All that it knows, as JSON values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on exactly from where `state` was taken, by a proposer made with the same arguments."""
        ...


_REGISTRY: dict[str, Any] = {
    "bayes": "vtune.proposers.bayes",
    "cmaes": "vtune.proposers.cmaes",
    "gp": "vtune.proposers.gp",
    "optuna": "vtune.proposers.optuna",
    "tpe": "vtune.proposers.tpe",
}
"""Name -> class; for those that compile, the module that registers it once imported, since that brings JAX."""

_MEMBERS = ("name", "space", "ask", "tell", "state", "restore")

Kind = TypeVar("Kind", bound=type)


def register(kind: Kind) -> Kind:
    """Class decorator: `make` finds the class by its `name`, and the contract tests run over it.

    The class must be callable as kind(space, seed=seed).
    """
    _REGISTRY[kind.name] = kind  # type: ignore[attr-defined]
    return kind


def names() -> tuple[str, ...]:
    """The names that `make` knows, in alphabetical order."""
    return tuple(sorted(_REGISTRY))


def make(proposer: str | Proposer, space: Space, seed: int = 0) -> Proposer:
    """Gives a proposer for a space.

    Args:
      proposer: one of `names()`, or an object with the methods of `Proposer`.
      space: where its configurations must lie.
      seed: seed of a proposer given by name; one that is given as an object has its own.

    Returns:
      The proposer.

    Raises:
      ArgumentError: an unknown name, an object that lacks something, or one that was made for another space.

    Example:
      >>> from vtune.space import Float, Space
      >>> len(make("random", Space(lr=Float(0.0, 1.0)), seed=1).ask(8))
      8
    """
    if isinstance(proposer, str):
        if proposer not in _REGISTRY:
            raise ArgumentError(
                f"proposer must be one of {', '.join(map(repr, names()))}, or an object with "
                f"{', '.join(_MEMBERS)}; got {proposer!r}"
            )
        if isinstance(_REGISTRY[proposer], str):
            importlib.import_module(_REGISTRY[proposer])
        return _REGISTRY[proposer](space, seed=seed)
    if isinstance(proposer, type):
        kind = proposer.__name__
        raise ArgumentError(f"proposer must be an object; got the class {kind}. Write {kind}(space)")
    lacking = [member for member in _MEMBERS if not hasattr(proposer, member)]
    if lacking:
        raise ArgumentError(
            f"proposer must be one of {', '.join(map(repr, names()))}, or an object with {', '.join(_MEMBERS)}; "
            f"{type(proposer).__name__} lacks {', '.join(lacking)}"
        )
    if proposer.space is None and hasattr(proposer, "over"):
        return proposer.over(space)
    if proposer.space != space:
        raise ArgumentError(
            f"proposer {proposer.name!r} must be made for the space that it is used with, {space!r}; "
            f"its own is {proposer.space!r}"
        )
    return proposer


def learns(proposer: Any) -> bool:
    """Whether what a proposer suggests depends on the scores that it was told."""
    return bool(getattr(proposer, "learns", True))


def follows(proposer: Any) -> bool:
    """Whether a proposer wants scores on the way too, of trials that go on from where a scheduler compares them."""
    return bool(getattr(proposer, "follows", False))


def check_told(configs: Sequence[Config], scores: Any) -> np.ndarray:
    """Scores as float64 [n], or [n, objectives]; one entry for each config.

    Raises:
      ArgumentError: scores that are not one number a config.
    """
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"scores must be numbers, lower is better, NaN for none; got {scores!r}") from None
    if values.ndim not in (1, 2) or len(values) != len(configs):
        raise ArgumentError(
            f"scores must be one number for each of the {len(configs)} configs; got shape {list(values.shape)}"
        )
    return values
