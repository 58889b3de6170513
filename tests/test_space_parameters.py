import functools

import numpy as np
import pytest

from vtune.errors import SpaceError
from vtune.space import Choice, Float, Int

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(2, 1), "Float: low must be at most high; got low=2.0, high=1.0"),
        (lambda: Int(2, 1), "Int: low must be at most high; got low=2, high=1"),
        (lambda: Float(0, 1, log=True), "Float: log needs low > 0; got low=0.0"),
        (lambda: Int(-1, 1, log=True), "Int: log needs low > 0; got low=-1"),
        (lambda: Float(NAN, 1), "Float: low must be finite; got nan"),
        (lambda: Float(0, INF), "Float: high must be finite; got inf"),
        (lambda: Float(-1.7e308, 1.7e308), "high - low must be a finite number"),
        (lambda: Float(0, 1, step=NAN), "Float: step must be finite; got nan"),
        (lambda: Float(0, 1, step=0), "Float: step must be positive; got step=0.0"),
        (lambda: Int(0, 10, step=-1), "Int: step must be positive; got step=-1"),
        (lambda: Float(0, 1, step=2), "Float: step must be at most high - low; got low=0.0, high=1.0, step=2.0"),
        (lambda: Float(1, 2, step=1e-15), r"within 2\*\*40 steps"),
        (lambda: Int(0, 2**60), r"within 2\*\*40 steps"),
        (lambda: Float("0", 1), r"Float: low must be a number; got '0' \(str\)"),
        (lambda: Float(0, True), r"Float: high must be a number; got True \(bool\)"),
        (lambda: Int(0, True), r"Int: high must be a whole number; got True \(bool\)"),
        (lambda: Int(0, 1.5), r"Int: high must be a whole number; got 1.5 \(float\)"),
        (lambda: Int(0, 4, step=0.5), "Int: step must be a whole number"),
        (lambda: Float(0, 1, log=1), "Float: log must be True or False; got 1"),
        (lambda: Float(0, 1, default=2), "Float: default must be a number from 0.0 to 1.0; got 2"),
        (lambda: Float(0, 1, step=0.5, default=0.3), "Float: default must be 0.0 plus a multiple of 0.5; got 0.3"),
        (lambda: Int(0, 10, step=5, default=3), "Int: default must be 0 plus a multiple of 5; got 3"),
        (lambda: Int(0, 10, default="3"), "Int: default must be a whole number from 0 to 10; got '3'"),
        (lambda: Float(0, 1, when="optimizer"), "Float: when must map names of parents"),
        (lambda: Int(0, 1, when={}), "Int: when must map names of parents"),
        (lambda: Choice("a", when={1: 2}), "Choice: when must map names of parents"),
        (lambda: Choice(), "Choice: there must be at least one value"),
        (lambda: Choice(["a", "b"]), r"takes its values one by one; got one \['a', 'b'\]. Write Choice\(\*values\)"),
        (lambda: Choice("a", "b", "a"), "values must differ; got 'a' and 'a'"),
        (lambda: Choice(1, True), "values must differ; got 1 and True"),
        (lambda: Choice(1, 1.0), "values must differ; got 1 and 1.0"),
        (lambda: Choice(len, len), "values must differ; got len and len"),
        (lambda: Choice(0.5, NAN), "numbers must be finite; got nan"),
        (lambda: Choice((1, (INF,))), "numbers must be finite; got inf"),
        (lambda: Choice("a", default="b"), "Choice: default must be one of 'a'; got 'b'"),
        (lambda: Choice(1, 2, default=True), "Choice: default must be one of 1, 2; got True"),
    ],
)
def test_parameters_that_cannot_be_are_refused(make, message):
    with pytest.raises(SpaceError, match=message):
        make()


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (Float(1e-5, 0.1, log=True), "Float(1e-05, 0.1, log=True)"),
        (Float(0, 1, step=0.25, default=0.75), "Float(0.0, 1.0, step=0.25, default=0.75)"),
        (Int(1, 4), "Int(1, 4)"),
        (Int(1, 4, default=2), "Int(1, 4)"),
        (Int(1, 4, when={"a": "x", "b": [1, 2]}), "Int(1, 4, when={'a': 'x', 'b': [1, 2]})"),
        (Choice("a", (1, 2), None, default=None), "Choice('a', (1, 2), None, default=None)"),
        (Choice(max, min, default=min), "Choice(max, min, default=min)"),
    ],
)
def test_repr_reads_like_the_call(parameter, text):
    assert repr(parameter) == text


def test_parameters_are_values():
    assert Float(0, 1) == Float(0.0, 1.0, default=0.5)
    assert Float(0, 1) != Float(0, 1, log=False, step=0.1)
    assert Int(0, 1) != Choice(0, 1)
    assert len({Float(0, 1), Float(0, 1), Int(0, 1), Choice("a"), Choice("a")}) == 3
    with pytest.raises(AttributeError):
        Float(0, 1).low = 2  # type: ignore[misc]


def test_numpy_bounds_become_python_numbers():
    parameter = Float(np.float32(0.5), np.int64(2))
    assert [type(parameter.low), type(parameter.high)] == [float, float]
    assert type(Int(np.int32(1), np.int64(2)).low) is int
    assert [type(v) for v in Choice(np.int64(3), np.float64(0.5), np.bool_(False)).values] == [int, float, bool]


def test_the_caller_cannot_change_a_condition_afterwards():
    when = {"a": 1}
    parameter = Int(0, 1, when=when)
    when["a"] = 2
    assert parameter.when == {"a": 1}


def test_choices_compare_by_what_python_calls_equal_but_never_bool_with_number():
    choice = Choice(0, 2.0, "1")
    assert [choice.index(v) for v in (0, 0.0, 2, np.float32(2), "1", 1, False)] == [0, 0, 1, 1, 2, None, None]


def test_labels_carry_no_addresses():
    label = Choice(functools.partial(max, 1)).labels[0]
    assert "partial" in label
    assert "0x" not in label


def test_a_space_of_one_step_that_floats_round_down():
    points = Float(0.2, 0.3, step=0.1)
    assert (points.size, points.default) == (2, 0.2)
    assert points.decode(points.encode([0.2, 0.1 + 0.2 - 1e-16], str)) == [0.2, 0.3]
    with pytest.raises(SpaceError, match="step must be at most high - low"):
        Float(0.2, 0.2999, step=0.1)
    with pytest.raises(SpaceError, match="step must be at most high - low"):
        Int(0, 2**39 - 1, step=2**39)
