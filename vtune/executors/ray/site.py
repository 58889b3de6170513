"""One worker as the process that drives the study sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from vtune.errors import WorkerError
from vtune.executors.ray.worker import Order


class WorkerLost(Exception):
    """A worker does not answer any more, nor will it."""


class Site:
    """A worker. Orders wait here until it is called, so that it is called once a tick.

    Args:
      ray: the package.
      actor: the handle of its `Worker`.

    Attributes:
      lost: whether it has died.
    """

    def __init__(self, ray: Any, actor: Any):
        self._ray, self.actor = ray, actor
        self.lost = False
        self._orders: list[Order] = []
        self._numbers = count()

    def open(self, program: int, exemplar: Mapping[str, Any]) -> int:
        """Has a block made for a program; returns the number of the block."""
        block = next(self._numbers)
        self.order(block, "open", program, exemplar)
        return block

    def order(self, block: int, method: str, *arguments: Any) -> None:
        """Has a method of a block called before anything else is done there."""
        self._orders.append((block, method, *arguments))

    def tick(self, blocks: Sequence[int], only: bool) -> Any:
        """Begins to train blocks; `result` waits for what comes of it. See `Worker.tick`."""
        return self.actor.tick.remote(self._given(), list(blocks), only)

    def ask(self, block: int, method: str, *arguments: Any) -> Any:
        """Calls a method of a block and waits for its result.

        Raises:
          WorkerLost: it has died.
        """
        if self.lost:
            raise WorkerLost
        return self.result(self.actor.ask.remote(self._given(), block, method, arguments))

    def result(self, ref: Any) -> Any:
        """Waits for what this worker was asked for.

        Raises:
          WorkerLost: it has died.
          WorkerError: it failed with an error that does not travel. Others are raised as they are.
        """
        try:
            return self._ray.get(ref)
        except lost_errors(self._ray) as error:
            self.lose()
            raise WorkerLost(str(error)) from None
        except self._ray.exceptions.UnserializableException as error:
            raise WorkerError(f"a worker failed with an error that only its text tells of: {error}") from None

    def lose(self) -> None:
        """Gives the worker up, and makes sure that it does no more."""
        self.lost = True
        self._orders.clear()
        self._ray.kill(self.actor)

    def _given(self) -> list[Order]:
        orders, self._orders = self._orders, []
        return orders


def lost_errors(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises when a worker, or the node that it ran on, is gone."""
    errors = ray.exceptions
    return errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError, errors.ObjectLostError
