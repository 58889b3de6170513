from types import SimpleNamespace

import jax
import numpy as np
import pytest

from vtune.errors import TaskError
from vtune.tasks import Function, Run, Task

HP, KEY = SimpleNamespace(x=3.0), jax.random.key(0)


def run(task):
    state = task.init(HP, task.data, KEY)
    after, info = task.step(HP, state, task.data, KEY)
    assert jax.tree.map(jax.numpy.shape, state) == jax.tree.map(jax.numpy.shape, after)
    assert info == {}
    return task.evaluate(HP, after, task.data, KEY)


def test_a_run_is_one_step():
    task = Function(lambda hp, key: {"score": hp.x**2, "noise": jax.random.normal(key)})
    assert isinstance(task, Task)
    found = run(task)
    assert found["score"] == 9
    assert found["noise"] == jax.random.normal(KEY)
    assert task.for_run(Run(1, 1)) is task


def test_data_are_handed_through():
    task = Function(lambda hp, data, key: {"sum": data["x"].sum() * hp.x}, data={"x": np.arange(4.0)})
    assert run(task)["sum"] == 18
    other = Function(lambda hp, data, key: {"sum": hp.x}, data={"x": np.arange(1.0, 5.0)})
    assert task.describe()["data"] != other.describe()["data"]


def test_bad_functions_are_refused():
    with pytest.raises(TaskError, match="it was given 3"):
        Function(3)
    with pytest.raises(TaskError, match="of 1 step; 20 were asked for"):
        Function(lambda hp, key: {}).for_run(Run(20, 1))
    with pytest.raises(TaskError, match="at least one scalar by name; it returned 3"):
        run(Function(lambda hp, key: 3))
    with pytest.raises(TaskError, match=r"'a' has the shape \[2\]"):
        run(Function(lambda hp, key: {"a": np.zeros(2)}))
