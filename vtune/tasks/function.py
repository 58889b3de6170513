"""A whole run as one function, as a task of a single step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vtune.errors import TaskError
from vtune.tasks.base import Run
from vtune.tasks.data import fingerprint


class Function:
    """Makes a task of `train(hp, key) -> {"name": scalar}`, for runs that bring their own loop (RL, solvers, GANs).

    The run is one step: it happens in `step`, its results are the state, and `evaluate` returns them. Such trials are
    measured once, at their end.

    Args:
      train: train(hp, key) -> {"name": scalar}; with `data`, train(hp, data, key). `key` is the trial's "model" key of
        step 0.
      data: pytree of arrays, on the device once for all trials; None if there is none. Arrays that `train` closes over
        become constants of the program instead: pass large ones here.
      name: of studies made from this task; None leaves it to vtune.

    Attributes:
      steps: 1, the only number of steps there is.

    Example:
      >>> import types
      >>> task = Function(lambda hp, key: {"score": hp.x**2})
      >>> hp, key = types.SimpleNamespace(x=3.0), jax.random.key(0)
      >>> state, _ = task.step(hp, task.init(hp, None, key), None, key)
      >>> float(task.evaluate(hp, state, None, key)["score"])
      9.0
    """

    steps = 1

    def __init__(self, train: Callable[..., dict[str, Any]], *, data: Any = None, name: str | None = None):
        if not callable(train):
            raise TaskError(f"Function needs train(hp, key) -> {{'name': scalar}}; it was given {train!r:.80}.")
        self._train, self.data, self.name = train, data, name

    def for_run(self, run: Run) -> Function:
        """This task, if the run is one step.

        Raises:
          TaskError: for more than one step.
        """
        if run.steps != 1:
            raise TaskError(f"a Function is one whole run, of 1 step; {run.steps} were asked for. Use steps=1.")
        return self

    def init(self, hp: Any, data: Any, key: Any) -> dict[str, Any]:
        """Zeros in the place of the results."""
        forms = jax.eval_shape(lambda key: self._results(hp, data, key), key)
        return {name: jnp.zeros(form.shape, form.dtype) for name, form in forms.items()}

    def step(self, hp: Any, state: Any, data: Any, key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Runs the function; its results are the next state."""
        return self._results(hp, data, key), {}

    def evaluate(self, hp: Any, state: Any, data: Any, key: Any) -> dict[str, Any]:
        """The results."""
        return dict(state)

    def describe(self) -> dict[str, Any]:
        """What must not change between a study and its resumption, as JSON values."""
        train = getattr(self._train, "__qualname__", type(self._train).__qualname__)
        return {"task": "Function", "train": train, "data": fingerprint(jax.tree.map(jnp.asarray, self.data))}

    def _results(self, hp: Any, data: Any, key: Any) -> dict[str, Any]:
        results = self._train(hp, key) if self.data is None else self._train(hp, data, key)
        if not isinstance(results, dict) or not results:
            raise TaskError(f"train must return a dict of at least one scalar by name; it returned {results!r:.80}.")
        arrays = {name: jnp.asarray(value) for name, value in results.items()}
        for name, value in arrays.items():
            if value.shape != ():
                raise TaskError(f"train must return scalars; {name!r} has the shape {list(value.shape)}.")
        return arrays
