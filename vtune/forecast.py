"""What a study would be like, found before anything runs: programs, guards, lanes, memory and expected seconds."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from vtune.cache import enable_compilation_cache
from vtune.engine import probe
from vtune.engine.devices import default_threads
from vtune.engine.planner import UNPLACED
from vtune.engine.strategy import Strategy
from vtune.errors import ArgumentError
from vtune.executors.fastest import prepared
from vtune.executors.local import LocalExecutor
from vtune.explain import explanation
from vtune.loop import Tally
from vtune.report import Explanation
from vtune.settings import settings, whole
from vtune.space import Space
from vtune.tasks import base

MOST_TRACED = 16
"""Programs that a plan traces; beyond them it estimates from the questions that it has seen."""


def plan(
    task: Any,
    space: Space,
    *,
    trials: int = 1024,
    steps: int | None = None,
    eval_every: int | None = None,
    lanes: int | str = "auto",
    block: int | str = "auto",
    strategy: str | Strategy = "auto",
    threads: int | str = "auto",
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
      steps: training steps of a trial; 1000 when left out.
      eval_every: steps between measurements; a tenth of the steps when left out.
      lanes: as in `vtune.tune`.
      block: as in `vtune.tune`.
      strategy: as in `vtune.tune`.
      threads: as in `vtune.tune`.
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
    chosen = settings(
        metric="loss", mode="min", trials=trials, steps=steps or getattr(task, "steps", None) or 1000,
        eval_every=eval_every, seed=seed, rng=rng, keep=0,
    )  # fmt: skip
    enable_compilation_cache()
    began = time.perf_counter()
    run = base.Run(chosen.steps, chosen.eval_every)
    task = task.for_run(run) if hasattr(task, "for_run") else task
    host_threads = default_threads() if threads == "auto" else whole("threads", threads, 1)
    sample = space.fill(space.sample(min(chosen.trials, 1024), np.random.default_rng(chosen.seed)))
    data = jax.device_put(task.data)
    size = probe.state_bytes(task, sample[0], data, rng)

    def make(how: Strategy, blocks: int) -> LocalExecutor:
        return LocalExecutor(
            task, space, data=data, run=run, strategy=how, blocks=blocks, threads=host_threads, seed=chosen.seed,
            rng_name=rng,
        )  # fmt: skip

    executor = prepared(make, chosen, size, sample[0], host_threads, lanes=lanes, block=block, strategy=strategy)
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
    return dataclasses.replace(found, expected_seconds=setup + training)
