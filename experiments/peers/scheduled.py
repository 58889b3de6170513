"""What every driver of the scheduler benchmark trains, in stretches between rungs, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from peers import problem, structure_problem
from peers.problem import Batch

Config = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The size of one search.

    Attributes:
      space: "digits" (three floats of one network) or "nine" (the nine hyperparameters of a guide).
      trials: configurations at most.
      steps: optimizer steps of a full trial.
      min_steps: the first rung.
      reduction: factor between rungs, and one over the share that goes on.
      seed: of configurations and trainings.
      seconds: peers begin no trial after so long.
    """

    space: str = "digits"
    trials: int = 1024
    steps: int = 500
    min_steps: int = 25
    reduction: int = 3
    seed: int = 0
    seconds: float = 60.0

    @property
    def rungs(self) -> list[int]:
        """The steps at which trials are compared, and the last step."""
        found = [self.min_steps]
        while found[-1] * self.reduction < self.steps:
            found.append(found[-1] * self.reduction)
        return [*found, self.steps]


@dataclass(frozen=True)
class Outcome:
    """Every trial that ended, in that order.

    Attributes:
      ended: seconds from the start to the end of each.
      score: its last validation accuracy; NaN where it diverged.
      steps: that it trained.
      facts: whatever else is worth keeping, as JSON values.
    """

    ended: list[float]
    score: list[float]
    steps: list[int]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A trial alone, a stretch at a time.

    Attributes:
      structure: what its program depends on; trials that agree share it.
      start: key -> state.
      stretch: (values, state, key, first step, number of steps, train, valid) -> (state, validation accuracy).
      values: the arguments of the compiled program.
    """

    structure: Hashable
    start: Callable[..., Any]
    stretch: Callable[..., Any]
    values: Mapping[str, Any]


def training(settings: Settings, config: Config) -> Training:
    """How a driver that trains one trial at a time trains this one: plain Flax and Optax, one compile a structure."""
    if settings.space == "digits":
        return _digits(config)
    return _nine(config)


def _digits(config: Config) -> Training:
    shape = problem.Settings()
    hp = {name: np.float32(config[name]) for name in problem.BOUNDS}

    def one(hp, state, key, i, x, y):
        return problem.step(shape, hp, state, jax.random.fold_in(key, i), x, y)[0]

    def score(state, train, valid):
        return problem.evaluate(shape, state, train, valid)[0]

    return Training((), lambda key, train: problem.start(shape, hp, key, train), _stretch(one, score, shape.batch), hp)


def _nine(config: Config) -> Training:
    structure = structure_problem.structures(config)["run"]
    hp = structure_problem.values(config)

    def tx(hp):
        return structure_problem.optimizer(config["optimizer"], hp["lr"], hp["momentum"])

    def start(key, train):
        params = structure_problem.initial(config, key)
        return params, tx(hp).init(params)

    def one(hp, state, key, i, x, y):
        params, opt_state = state
        model = structure_problem.network(config, hp["dropout"])
        key = jax.random.fold_in(key, i)

        def loss_of(params):
            return problem.cross_entropy(model.apply({"params": params}, x, True, rngs={"dropout": key}), y)

        updates, opt_state = tx(hp).update(jax.grad(loss_of)(params), opt_state, params)
        return jax.tree.map(jnp.add, params, updates), opt_state

    def score(state, train, valid):
        return structure_problem.accuracy(structure_problem.network(config, 0.0), state[0], valid)

    return Training(structure, start, _stretch(one, score, config["batch"]), hp)


def _stretch(one: Callable[..., Any], score: Callable[..., Any], batch: int) -> Callable[..., Any]:
    """Some steps and a measurement as one function of a traced number of steps: one compile serves every rung."""

    def run(hp, state, key, first, count, train: Batch, valid: Batch):
        batches, model = jax.random.split(key)

        def step(i, state):
            index = jax.random.randint(jax.random.fold_in(batches, i), (batch,), 0, len(train[0]))
            return one(hp, state, model, i, train[0][index], train[1][index])

        state = jax.lax.fori_loop(first, first + count, step, state)
        return state, score(state, train, valid)

    return run


class Trainer:
    """Trains trials one at a time and compiles each structure once.

    Args:
      settings: of the search.
      train: training examples.
      valid: validation examples.
    """

    def __init__(self, settings: Settings, train: Batch, valid: Batch):
        self.settings, self.data = settings, (train, valid)
        self.compiled: dict[Hashable, Any] = {}

    def begin(self, config: Config, number: int) -> Callable[[int, int], float]:
        """A function of (first step, number of steps) that trains on and gives the validation accuracy."""
        one = training(self.settings, config)
        init_key, key = jax.random.split(jax.random.key(self.settings.seed * 1_000_000 + number))
        state = one.start(init_key, self.data[0])
        run = self.compiled.setdefault(one.structure, jax.jit(one.stretch))

        def on(first: int, count: int) -> float:
            nonlocal state
            state, score = run(one.values, state, key, jnp.int32(first), jnp.int32(count), *self.data)
            return float(score)

        return on
