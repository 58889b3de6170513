"""`vtune.tune`: a study in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtune.engine.strategy import Strategy
from vtune.records import Config
from vtune.space import Space
from vtune.study import Study


def tune(
    task: Any,
    space: Space,
    *,
    metric: str | Sequence[str] = "loss",
    mode: str | Sequence[str] | None = None,
    trials: int = 256,
    steps: int | None = None,
    epochs: float | None = None,
    examples: int | None = None,
    eval_every: float | None = None,
    proposer: Any = "random",
    scheduler: Any = None,
    lanes: int | str = "auto",
    block: int | str = "auto",
    strategy: str | Strategy = "auto",
    threads: int | str = "auto",
    devices: int | str = "auto",
    executor: Any = "local",
    pack: bool | str | Iterable[str] = "auto",
    buckets: str | Mapping[str, Sequence[int]] | None = "auto",
    folds: int = 1,
    seeds: int = 1,
    rerun: int = 0,
    constraint: str | Sequence[str] | None = None,
    seed: int = 0,
    rng: str = "pcg",
    keep: int = 5,
    enqueue: Iterable[Config] = (),
    warm_start: Iterable[Any] = (),
    store: str | Path | None = None,
    name: str | None = None,
    resume: bool = False,
    progress: str = "auto",
    cache: bool | str | Path = True,
) -> Study:
    """Trains many trials of a task as one array program and returns what was found.

    Args:
      task: what is trained: `vtune.Supervised`, `vtune.Function`, or any object with the methods of `vtune.Task`.
      space: what may vary.
      metric: name of the metric that is tuned, or several names.
      mode: "min" or "max", one a metric; known from common names when left out.
      trials: how many configs are tried.
      steps: training steps of a full trial. Exactly one of `steps`, `epochs` and `examples` is given.
      epochs: passes over the training data of a full trial, a fraction if need be: each trial trains the steps that
        its own batch size takes for them.
      examples: rows of training data that a full trial sees; tasks of your own may count other things.
      eval_every: how often a trial is measured, in the unit of the budget; a tenth of it when left out.
      proposer: "random", "grid", "sobol", "bayes" (which picks between "gp" and "tpe"), "cmaes", "optuna", or an object
        with `ask` and `tell` (see `vtune.proposers`).
      scheduler: stops, pauses or copies trials: "asha", "hyperband", "successive-halving", "median", "patience", "pbt",
        or an object (see `vtune.schedulers`); None trains every trial in full.
      lanes: trials trained side by side, in all; "auto" takes as many as pay, but with a proposer that learns about an
        eighth of the trials at most, so that it sees scores before it proposes the rest.
      block: lanes of one executable.
      strategy: "vmap" (lanes step together), "map" (one after another), "host" (stepped by Python), or "auto".
      threads: host threads that drive blocks; on a CPU one a core.
      devices: how many of the devices of this process share the lanes of a block; all of them with "auto".
      executor: "local" trains in this process, "ray" on the workers of a Ray cluster; or a `vtune.executors.Ray(...)`
        that says how many and what each has.
      pack: what packed modules (`vtune.nn`, `vtune.optim`) trace: True or "auto" for all, False for nothing (a program
        for each structure), or names of hyperparameters.
      buckets: ranges of packed sizes, each a program padded to its largest value: {"width": (32, 128)}; None for one
        range each; "auto" weighs compiling against padding.
      folds: parts of all rows but the test data, each the validation data of one replica of every trial
        (cross-validation); a trial's metrics are the means over its replicas. Lanes count replicas.
      seeds: replicas of every trial (and fold) with random keys of their own.
      rerun: how many of the best trials are trained again with fresh seeds once the study is over; test data are read
        for those alone. `study.best.rerun` holds what came of it.
      constraint: what results must keep to, as "latency <= 3" or a list of such: metrics of the task, as last measured.
        `best` and `front` rank only trials that do; proposers that learn look for such.
      seed: of everything random; the same seed gives the same trials and curves.
      rng: "pcg", a fast counter-based generator, or "threefry", JAX's own.
      keep: of how many of the best trials the trained variables are kept.
      enqueue: configs to be tried first.
      warm_start: earlier studies, of vtune or of Optuna, that the proposer learns from before the first trial. Their
        spaces may differ: whole trials that lie in this one are taken, and `explain()` says how many.
      store: path or URL of the store; None keeps everything in memory.
      name: of the study, new in its store; the task's name and the time when left out.
      resume: go on with the study of that name, if there is one; a complete one is returned as it is.
      progress: "auto", "bar", "lines" or "off".
      cache: keep compiled programs between runs: True for the user's cache folder, a folder, or False.

    Returns:
      The finished `Study`.

    Raises:
      GuardError: Python asks for the exact value of a continuous hyperparameter; says where.
      TaskError, SpaceError, ArgumentError, StoreError: what does not fit, before anything runs.
      Interrupted: Ctrl-C or SIGTERM; what was done is kept.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> def bowl(hp, key):
      ...     return {"loss": jnp.square(hp.x - 0.3)}
      >>> study = vtune.tune(vtune.Function(bowl), vtune.Space(x=vtune.Float(0, 1)), trials=64, progress="off")
      >>> abs(study.best.config["x"] - 0.3) < 0.05
      True
    """
    study = Study(
        task, space, metric=metric, mode=mode, trials=trials, steps=steps, epochs=epochs, examples=examples,
        eval_every=eval_every, proposer=proposer, scheduler=scheduler, lanes=lanes, block=block, strategy=strategy,
        threads=threads, devices=devices, executor=executor, pack=pack, buckets=buckets, folds=folds, seeds=seeds,
        rerun=rerun, constraint=constraint, seed=seed, rng=rng, keep=keep, enqueue=enqueue, warm_start=warm_start,
        store=store, name=name, resume=resume, progress=progress, cache=cache,
    )  # fmt: skip
    return study.run()
