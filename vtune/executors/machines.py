"""Where trials are trained: in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.devices import default_threads, devices_of
from vtune.engine.sharding import place
from vtune.engine.strategy import Strategy
from vtune.executors.job import Job, Prospect, chosen
from vtune.executors.local import LocalExecutor


def stored_strategy(job: Job, choices: Mapping[str, Any]) -> Strategy:
    """How the steps of a study run that has begun."""
    return Strategy(choices["block"], choices["kind"], choices["convolutions"], job.wanted.devices)


@dataclass(frozen=True)
class Local:
    """Trains trials in this process, on the devices that JAX finds here: what `vtune.tune` does by itself.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> from vtune.executors import Local
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> study = vtune.tune(task, vtune.Space(x=vtune.Float(-1, 1)), trials=8, executor=Local(), progress="off")
      >>> study.frame()["state"].value_counts().to_dict()
      {'complete': 8}
    """

    name: ClassVar[str] = "local"

    def threads(self) -> int:
        """Host threads of a process that trains, where the user has not said."""
        return default_threads()

    def devices(self, wanted: int | str) -> int:
        """How many devices share the lanes of a block."""
        return devices_of(wanted)

    def connect(self) -> None:
        """Nothing: called before a run begins."""

    def begin(
        self, job: Job, prospect: Prospect, status: Callable[[str], None], waiting: Callable[[], None]
    ) -> LocalExecutor:
        """An executor for a study that begins, with the program of the exemplar traced in it."""
        data = place(job.task.data, job.wanted.devices)

        def make(strategy: Strategy, blocks: int, division: Forecast | None, buckets: Buckets) -> LocalExecutor:
            return job.local(data, strategy, blocks, division, buckets, status=status, waiting=waiting)

        return chosen(make, job, data, prospect)

    def again(
        self, job: Job, choices: Mapping[str, Any], status: Callable[[str], None], waiting: Callable[[], None]
    ) -> LocalExecutor:
        """An executor for a study that goes on, as it was chosen when it began."""
        data, buckets = place(job.task.data, job.wanted.devices), Buckets.from_json(choices["buckets"])
        strategy = stored_strategy(job, choices)
        return job.local(data, strategy, choices["blocks"], None, buckets, status=status, waiting=waiting)
