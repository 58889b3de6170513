"""What is to be trained, as every executor of a study is told: all but the data's place and how steps run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.strategy import Strategy
from vtune.executors.local import LocalExecutor
from vtune.executors.prepared import Wanted, prepared
from vtune.space import Space
from vtune.tasks.base import Run
from vtune.tasks.budget import Clock


@dataclass(frozen=True, slots=True)
class Job:
    """The trials of a study.

    Attributes:
      task: told of the run.
      space: where configs come from.
      run: the budget of a trial.
      seed: the study's seed.
      rng_name: generator of the trials' keys.
      folds: parts that the data are divided into.
      seeds: trainings of each trial and fold.
      free: whether nothing depends on the order in which trials are measured.
      clock: says after which steps every trial is measured besides.
      wanted: what the user said about how trials run.
      threads: host threads of a process that trains.
      cache: of compiled programs; see `vtune.cache`.
    """

    task: Any
    space: Space
    run: Run
    seed: int
    rng_name: str
    folds: int
    seeds: int
    free: bool
    clock: Clock
    wanted: Wanted
    threads: int
    cache: Any = True

    def local(
        self, data: Any, strategy: Strategy, blocks: int, division: Forecast | None, buckets: Buckets, *,
        status: Callable[[str], None] = lambda text: None, waiting: Callable[[], None] = lambda: None,
    ) -> LocalExecutor:  # fmt: skip
        """An executor of this process; see `LocalExecutor`."""
        return LocalExecutor(
            self.task, self.space, data=data, run=self.run, strategy=strategy, blocks=blocks, threads=self.threads,
            seed=self.seed, rng_name=self.rng_name, buckets=buckets, division=division, folds=self.folds,
            seeds=self.seeds, free=self.free, clock=self.clock, status=status, waiting=waiting,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is known of a study before it begins, as far as it decides how trials run.

    Attributes:
      settings: the study's numbers.
      exemplar: a filled config.
      sample: gives n filled configs of the space.
      share: of a full trial's steps that an average trial trains.
    """

    settings: Any
    exemplar: Mapping[str, Any]
    sample: Callable[[int], Sequence[Mapping[str, Any]]]
    share: float


def chosen(
    make: Callable[[Strategy, int, Forecast | None, Buckets], LocalExecutor],
    job: Job,
    data: Any,
    prospect: Prospect,
    processes: int = 1,
) -> LocalExecutor:
    """Settles how trials run; see `prepared`.

    Args:
      make: makes an executor.
      job: what is trained.
      data: the task's data, on the device.
      prospect: what is known of the study.
      processes: that train side by side.
    """
    return prepared(
        make, job.wanted, task=job.task, space=job.space, data=data, settings=prospect.settings,
        exemplar=prospect.exemplar, threads=job.threads * processes, sample=prospect.sample, share=prospect.share,
    )  # fmt: skip
