"""What a study would be like, found before anything runs: programs, guards, lanes, memory and expected seconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vtune import proposers
from vtune.cache import enable_compilation_cache
from vtune.driver.tally import Tally
from vtune.driver.waves import abreast
from vtune.engine.buckets import Buckets, Forecast
from vtune.engine.devices import default_threads, devices_of
from vtune.engine.planner import UNPLACED
from vtune.engine.sharding import place
from vtune.engine.strategy import Strategy
from vtune.errors import ArgumentError
from vtune.executors.local import LocalExecutor
from vtune.executors.prepared import Wanted, prepared
from vtune.explain import explanation
from vtune.report import Explanation
from vtune.settings import budget, settings, whole
from vtune.space import Space
from vtune.tasks import base
from vtune.tasks.budget import mean_steps

MOST_TRACED = 16
"""Programs that a plan traces; beyond them it estimates from the questions that it has seen."""


def plan(
    task: Any,
    space: Space,
    *,
    trials: int = 1024,
    steps: int | None = None,
    epochs: float | None = None,
    examples: int | None = None,
    eval_every: float | None = None,
    proposer: Any = "random",
    lanes: int | str = "auto",
    block: int | str = "auto",
    strategy: str | Strategy = "auto",
    threads: int | str = "auto",
    devices: int | str = "auto",
    pack: bool | str | Iterable[str] = "auto",
    buckets: str | Mapping[str, Sequence[int]] | None = "auto",
    seed: int = 0,
    rng: str = "pcg",
) -> Explanation:
    """Says what a study would need, without training a trial of it.

    Configs are sampled from the space and sorted into programs; the program that most of them need is compiled and
    run for a moment.

    Args:
      task: what would be trained.
      space: what may vary.
      trials: how many trials are thought of.
      steps: training steps of a trial; 1000 where `steps`, `epochs` and `examples` are all left out.
      epochs: as in `vtune.tune`.
      examples: as in `vtune.tune`.
      eval_every: as in `vtune.tune`.
      proposer: as in `vtune.tune`; one that learns has fewer trials side by side.
      lanes: as in `vtune.tune`.
      block: as in `vtune.tune`.
      strategy: as in `vtune.tune`.
      threads: as in `vtune.tune`.
      devices: as in `vtune.tune`.
      pack: as in `vtune.tune`.
      buckets: as in `vtune.tune`.
      seed: of the sample.
      rng: generator of the trials' keys.

    Returns:
      An `Explanation`: `.kinds`, `.programs`, `.possible`, `.lanes`, `.memory_bytes`, `.expected_seconds`.

    Raises:
      GuardError: Python asks for the exact value of a continuous hyperparameter; says where.
      TaskError, ArgumentError: what does not fit together.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> planned = vtune.plan(task, vtune.Space(x=vtune.Float(-1, 1)), trials=64)
      >>> planned.possible, planned.expected_seconds > 0
      (1, True)
    """
    base.check(task)
    if not isinstance(space, Space):
        raise ArgumentError(f"space must be a vtune.Space, not {type(space).__name__}")
    run = budget(task, steps=steps, epochs=epochs, examples=examples, eval_every=eval_every, default=1000)
    task = task.for_run(run) if hasattr(task, "for_run") else task
    sample = space.fill(space.sample(min(whole("trials", trials, 1), 1024), np.random.default_rng(seed)))
    chosen = settings(
        metric="loss", mode="min", trials=trials, run=run, steps=mean_steps(task, run, sample), seed=seed, rng=rng,
        keep=0,
    )  # fmt: skip
    enable_compilation_cache()
    began = time.perf_counter()
    host_threads = default_threads() if threads == "auto" else whole("threads", threads, 1)
    count = devices_of(devices)
    beside = abreast(chosen.trials, proposers.make(proposer, space))
    wanted = Wanted(lanes, block, strategy, pack, buckets, count, beside)
    data = place(task.data, count)

    def make(how: Strategy, blocks: int, division: Forecast | None, ranges: Buckets) -> LocalExecutor:
        return LocalExecutor(
            task, space, data=data, run=run, strategy=how, blocks=blocks, threads=host_threads, seed=chosen.seed,
            rng_name=rng, buckets=ranges, division=division,
        )  # fmt: skip

    executor = prepared(
        make, wanted, task=task, space=space, data=data, settings=chosen, exemplar=sample[0], threads=host_threads,
        sample=lambda n: sample[:n],
    )  # fmt: skip
    planner = executor.planner
    placed = planner.place(sample)
    while (placed == UNPLACED).any() and len(planner.traced) < MOST_TRACED:
        planner.extend(sample[int(np.argmax(placed == UNPLACED))])
        placed = planner.place(sample)
    counts = np.bincount(placed[placed != UNPLACED], minlength=len(planner.traced))
    busiest = int(counts.argmax())
    seconds = executor.seconds_a_lane_step(planner.traced[busiest].exemplar)
    program = planner.compiled[busiest]
    executor.served = {number: int(count) for number, count in enumerate(counts)}
    executor.close()
    tally = Tally(asked=chosen.trials)
    found = explanation(executor, space, tally, time.perf_counter() - began, host_threads, chosen.seed)
    programs = max(found.possible, len(planner.traced))
    setup = programs * (planner.traced[busiest].seconds + program.compile_seconds)
    training = chosen.trials * chosen.steps * seconds
    remarks = wanted.remarks(executor.seats, chosen.trials)
    return dataclasses.replace(found, expected_seconds=setup + training, remarks=remarks)
