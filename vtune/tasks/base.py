"""What is trained: three pure functions of a hyperparameter set, a state, the data and a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vtune.errors import TaskError


@dataclass(frozen=True, slots=True)
class Run:
    """How long every trial trains, for tasks that must know (learning-rate schedules).

    Attributes:
      amount: length of a full trial, in `unit`.
      eval_every: length between two measurements, in `unit`.
      unit: "steps", "epochs" or "examples".

    Example:
      >>> Run(500, eval_every=50).steps
      500
    """

    amount: float
    eval_every: float
    unit: str = "steps"

    @property
    def steps(self) -> int:
        """Steps of a full trial, where all trials have the same.

        Raises:
          TaskError: the run is not counted in steps.
        """
        if self.unit != "steps":
            raise TaskError(
                f"this run is of {self.amount:g} {self.unit}, so that each trial has steps of its own; the task asked "
                "for the steps of all. Tune with steps=, or let the task work its steps out from `run.amount`."
            )
        return int(self.amount)


@dataclass(frozen=True, slots=True)
class Windows:
    """How a task's data change while it trains, where they do not fit on the device at once.

    Attributes:
      steps: that a trial takes in a window.
      count: windows in a pass over the data; after the last comes the first.

    Example:
      >>> windows = Windows(steps=10, count=3)
      >>> windows.at(9), windows.at(10), windows.at(30)
      (0, 1, 0)
    """

    steps: int
    count: int

    def at(self, step: int) -> int:
        """The window of the step that follows `step` steps."""
        return step // self.steps % self.count

    def place(self, step: int) -> int:
        """Where in a pass a trial is after some steps."""
        return step % (self.steps * self.count)


@runtime_checkable
class Task(Protocol):
    """Anything that JAX can trace, as three functions. All of them are called for one trial; vtune batches them.

    Hyperparameters arrive as `hp` (`hp.lr`, `hp["lr"]`); keys are typed PRNG keys, one a call, made from the trial's
    id and step. Optional members are found by name: `name` (for the study's default name), `for_run(run)` (a copy that
    knows the `Run`), `variables(hp, state, data)` (what `Study.best_params()` hands out; the state when missing),
    `describe()` (JSON values that a resume compares), and for budgets that are not counted in steps one of
    `steps_for(config, amount, unit)` (steps, a fraction if need be, that a config takes for an amount of "epochs" or
    "examples") and `cost(hp)` (examples, frames or the like that one step takes). A task whose data change while it
    trains has `windows`, a `Windows`, and `window(number)`, the data of each on the host; `data` are the first's.

    Example:
      >>> class Descent:
      ...     data = None
      ...     def init(self, hp, data, key):
      ...         return {"x": hp.start * 1.0}
      ...     def step(self, hp, state, data, key):
      ...         return {"x": state["x"] - hp.lr * 2 * state["x"]}, {}
      ...     def evaluate(self, hp, state, data, key):
      ...         return {"loss": state["x"] ** 2}
      >>> isinstance(Descent(), Task)
      True
    """

    data: Any
    """Pytree of arrays, put on the device once and passed to every call; None where there is none."""

    def init(self, hp: Any, data: Any, key: Any) -> Any:
        """Makes the state of a fresh trial: any pytree with array leaves."""
        ...

    def step(self, hp: Any, state: Any, data: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        """Does one training step; returns the next state and scalars, which are averaged until the next measurement."""
        ...

    def evaluate(self, hp: Any, state: Any, data: Any, key: Any) -> dict[str, Any]:
        """Measures the state: metric name -> scalar."""
        ...


def check(task: Any) -> None:
    """Says what is missing of an object that should be a `Task`.

    Raises:
      TaskError: naming the missing members.
    """
    missing = [name for name in ("data", "init", "step", "evaluate") if not hasattr(task, name)]
    if missing:
        raise TaskError(
            f"a task needs `data`, `init`, `step` and `evaluate`; {type(task).__name__} has no {', '.join(missing)}. "
            "Use vtune.Supervised for models with data, vtune.Function for a whole run in one function, or write the "
            "three functions yourself (see vtune.tasks.Task)."
        )
