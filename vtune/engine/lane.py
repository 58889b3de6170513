"""One lane of a block: the task's three functions as a program runs them, on flat state and with keys made in place.

Everything here is traced for a single trial; `vtune.engine.program` batches it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from vtune import rng
from vtune.errors import TaskError
from vtune.hyper import plain, resident

CONTAINERS = (dict, list, tuple, type(None))


@dataclass(frozen=True, slots=True)
class StateLeaf:
    """Shape and type of one array of a lane's state; typed PRNG keys are carried as their words.

    A weakly typed one, such as a learning rate that the state holds, widens no array of fewer bits.
    """

    path: str
    shape: tuple[int, ...]
    dtype: Any
    key_impl: Any = None
    weak: bool = False

    @property
    def resident(self) -> bool:
        """Whether it holds a hyperparameter, which a copy has from its own config."""
        return resident(self.path)

    def to_plain(self, value: Any) -> Any:
        """The array that is carried."""
        if self.key_impl is not None:
            return jax.random.key_data(value)
        return jnp.asarray(value) if self.weak else jax.lax.convert_element_type(value, self.dtype)

    def from_plain(self, value: Any) -> Any:
        """What the task gets back."""
        return value if self.key_impl is None else jax.random.wrap_key_data(value, impl=self.key_impl)


def leaf_of(path: Any, value: Any) -> StateLeaf:
    """Describes one leaf of a state that `Task.init` returned."""
    name = jax.tree_util.keystr(path)
    if not hasattr(value, "dtype"):
        try:
            value = jnp.asarray(value)
        except TypeError as error:
            raise TaskError(
                f"the state that `init` returns must be a pytree of arrays; leaf state{name} is {value!r}"
            ) from error
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        data = jax.random.key_data(value)
        return StateLeaf(name, data.shape, data.dtype, jax.random.key_impl(value))
    return StateLeaf(name, jnp.shape(value), jnp.result_type(value.dtype), weak=getattr(value, "weak_type", False))


class LaneTask:
    """A task seen from one lane: flat states in, flat states out.

    The structure of a state is learnt at the first `init`. A structure of plain containers is kept; one that may
    close over hyperparameters (a `TrainState` with `tx=optax.adam(hp.lr)`) is made again inside every trace, since a
    definition may not outlive the trace whose hyperparameters it holds; what it computes besides is dropped by XLA.
    """

    def __init__(self, task: Any, rng_name: str, folds: int = 1):
        self.task = task
        self.rng_name = rng_name
        self.folds = folds
        self.leaves: tuple[StateLeaf, ...] = ()
        self.step_names: tuple[str, ...] = ()
        self.evaluate_names: tuple[str, ...] = ()
        self._definition: Any = None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the measured values, in the order of the columns of a chunk's result."""
        return self.step_names + self.evaluate_names

    def trial_words(self, seed: Any, trial: Any, replica: Any) -> Any:
        """The raw words of the key of one replica of a trial; the seed is uint32[2] (see `rng.seed_words`)."""
        return jax.random.key_data(rng.trial_key(rng.study_key_of(seed, self.rng_name), trial, replica))

    def seen(self, data: Any, replica: Any) -> Any:
        """The data as one replica sees them: those of its fold, where there are folds."""
        return data if self.folds == 1 else self.task.fold(data, replica % self.folds)

    def trial_key(self, words: Any) -> Any:
        """The key of a trial, from `trial_words`."""
        return jax.random.wrap_key_data(words, impl=rng.implementation(self.rng_name))

    def init(self, hp: Any, data: Any, trial_key: Any) -> list[Any]:
        """The leaves of a fresh state."""
        state = plain(self.task.init(hp, data, rng.step_key(trial_key, "init")))
        flat, definition = jax.tree_util.tree_flatten_with_path(state)
        self.leaves = tuple(leaf_of(path, value) for path, value in flat)
        self._definition = definition if _only_containers(definition) else None
        return [leaf.to_plain(value) for leaf, (_, value) in zip(self.leaves, flat, strict=True)]

    def state(self, hp: Any, leaves: Sequence[Any], data: Any, trial_key: Any) -> Any:
        """The state that the task knows, from the leaves that are carried."""
        definition = self._definition
        if definition is None:
            fresh = plain(self.task.init(hp, data, rng.step_key(trial_key, "init")))
            definition = jax.tree.structure(fresh)
        return jax.tree.unflatten(definition, [s.from_plain(x) for s, x in zip(self.leaves, leaves, strict=True)])

    def step(
        self, hp: Any, leaves: Sequence[Any], data: Any, trial_key: Any, model_key: Any, step: Any
    ) -> tuple[list[Any], Any]:
        """One training step: the next leaves and the step's scalars as float32[len(step_names)].

        The key of the step is folded from `model_key`, the trial's key for "model", which is the same in every step.
        """
        key = jax.random.fold_in(model_key, step)
        result = self.task.step(hp, self.state(hp, leaves, data, trial_key), data, key)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TaskError(f"`step` must return (state, {{name: scalar}}), not {type(result).__name__}")
        state, metrics = plain(result)
        self.step_names, values = _scalars("step", metrics)
        return self._checked(state), values

    def settle(self, after: Sequence[Any]) -> bool:
        """Notes which weakly typed arrays a step makes strongly typed: they are so from the first step on.

        Args:
          after: the shapes and types of what `step` returned.

        Returns:
          Whether there are any, so that the step is to be traced once more.
        """
        weak = [leaf.weak and shape.weak_type for leaf, shape in zip(self.leaves, after, strict=True)]
        changed = weak != [leaf.weak for leaf in self.leaves]
        self.leaves = tuple(
            dataclasses.replace(leaf, weak=is_weak) for leaf, is_weak in zip(self.leaves, weak, strict=True)
        )
        return changed

    def typed(self, leaves: Sequence[Any]) -> list[Any]:
        """Carried arrays with the types that were settled."""
        pairs = zip(self.leaves, leaves, strict=True)
        return [value if leaf.weak else jax.lax.convert_element_type(value, leaf.dtype) for leaf, value in pairs]

    def evaluate(self, hp: Any, leaves: Sequence[Any], data: Any, trial_key: Any, step: Any) -> Any:
        """The metrics of a state as float32[len(evaluate_names)]."""
        key = rng.step_key(trial_key, "evaluate", step)
        metrics = plain(self.task.evaluate(hp, self.state(hp, leaves, data, trial_key), data, key))
        self.evaluate_names, values = _scalars("evaluate", metrics)
        both = set(self.step_names) & set(self.evaluate_names)
        if both:
            raise TaskError(f"`step` and `evaluate` both return {sorted(both)}; give each metric one name")
        return values

    def _checked(self, state: Any) -> list[Any]:
        flat, _ = jax.tree_util.tree_flatten_with_path(state)
        given = [(jax.tree_util.keystr(path), value) for path, value in flat]
        if [name for name, _ in given] != [leaf.path for leaf in self.leaves]:
            odd = sorted({name for name, _ in given} ^ {leaf.path for leaf in self.leaves})
            raise TaskError(
                "`step` must return a state with the same structure as `init` does; "
                f"these leaves are in one of them only: {', '.join('state' + name for name in odd) or 'none (order)'}"
            )
        for leaf, (name, value) in zip(self.leaves, given, strict=True):
            now = leaf_of((), value)
            if (now.shape, now.dtype) != (leaf.shape, leaf.dtype):
                raise TaskError(
                    f"`step` must keep the shape and type of every leaf of the state; state{name} was "
                    f"{leaf.dtype}{list(leaf.shape)} after `init` and is {now.dtype}{list(now.shape)} after `step`"
                )
        return [leaf.to_plain(value) for leaf, (_, value) in zip(self.leaves, given, strict=True)]


def _only_containers(definition: Any) -> bool:
    """Whether a tree definition consists of plain containers, and so cannot hold on to a hyperparameter."""
    data = definition.node_data()
    if data is not None:
        kind = data[0]
        if not (isinstance(kind, type) and issubclass(kind, CONTAINERS)):
            return False
    return all(_only_containers(child) for child in definition.children())


def _scalars(where: str, metrics: Any) -> tuple[tuple[str, ...], Any]:
    if not isinstance(metrics, dict):
        raise TaskError(f"`{where}` must return a dict of scalars by name, not {type(metrics).__name__}")
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise TaskError(f"`{where}` must name its metrics by strings; {name!r} is a {type(name).__name__}")
        if jnp.shape(value) != ():
            raise TaskError(f"`{where}` must return scalars; {name!r} has the shape {jnp.shape(value)}")
    values = [jnp.asarray(value, jnp.float32) for value in metrics.values()]
    return tuple(metrics), jnp.stack(values) if values else jnp.zeros((0,), jnp.float32)
