"""What proposers share that learn nothing: they walk along a fixed sequence of configurations."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import check_told
from vtune.records import Config
from vtune.space import Space


class Walk(ABC):
    """A proposer whose sequence of configurations is fixed by its arguments; its state is the position in it.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.

    Raises:
      ArgumentError: not a space, not a seed.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int) -> None:
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space; got {space!r}")
        self.space = space
        self.seed = whole("seed", seed)
        self._position = 0

    @abstractmethod
    def _walk(self, start: int, n: int) -> tuple[list[Config], int]:
        """Up to n configs from position `start` on, and the position behind the last of them."""

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """The next n configs of the sequence, or what is left of it; see `Proposer.ask`."""
        configs, self._position = self._walk(self._position, whole("n", n))
        return configs

    def tell(self, configs: Sequence[Config], scores: Any) -> None:
        """Checks what is told; scores change nothing."""
        check_told(configs, scores)

    def state(self) -> dict[str, Any]:
        """The position, and the arguments that the sequence depends on."""
        return {"name": self.name, **self._arguments(), "position": self._position}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken.

        Raises:
          ProposerError: the state of another proposer, or of one that was made with other arguments.
        """
        own = self.state()
        if not isinstance(state, Mapping) or set(state) != set(own):
            raise ProposerError(f"a state of {self.name!r} must have {', '.join(own)}; got {state!r}")
        for key in own.keys() - {"position"}:
            if state[key] != own[key]:
                raise ProposerError(
                    f"a state must come from a proposer with {key}={own[key]!r}; got {key}={state[key]!r}"
                )
        self._position = whole("position", state["position"])

    def _arguments(self) -> dict[str, Any]:
        return {"seed": self.seed}


def whole(name: str, value: Any) -> int:
    """A whole number >= 0, as int.

    Raises:
      ArgumentError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 0:
        raise ArgumentError(f"{name} must be a whole number >= 0; got {value!r}")
    return int(value)
