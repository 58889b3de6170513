"""Guards asked again of other configs say what Python says."""

import contextlib
import math
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import GuardError
from vtune.hyper import Guard, Session, matches, outcomes, refuse_pins
from vtune.hyper.expressions import OPERATORS, as_float32, as_raised, evaluate, expression, leaf
from vtune.hyper.guards import QUESTIONS
from vtune.space import Choice, Float, Int, Space

SPACE = Space(f=Float(-5.0, 5.0), g=Float(-5.0, 5.0), n=Int(-9, 9), m=Int(-9, 9))
FLOATS = st.floats(-5, 5) | st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, -1.0, 5e-324])
CONFIGS = st.fixed_dictionaries({"f": FLOATS, "g": FLOATS, "n": st.integers(-9, 9), "m": st.integers(-9, 9)})
BINARY = [name for name in OPERATORS if name not in ("neg", "pos", "abs", "invert", "round")]
UNARY = ["neg", "pos", "abs", "invert"]
PYTHON = {
    **{name: getattr(operator, name) for name in BINARY if hasattr(operator, name)},
    "and": operator.and_,
    "or": operator.or_,
}
PYTHON |= {"neg": operator.neg, "pos": operator.pos, "abs": abs, "invert": operator.invert}
ASKED = ["bool", "index", "int", "trunc", "floor", "ceil", "round", "value", "str", "type", "is_integer"]

LEAVES = st.sampled_from(["f", "g", "n", "m"]) | st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 0.1, 2.0])
TREES = st.recursive(
    LEAVES,
    lambda part: st.tuples(st.sampled_from(BINARY), part, part) | st.tuples(st.sampled_from(UNARY), part),
    max_leaves=6,
)


def built(tree):
    """The tree as an expression, None if it reads no hyperparameter."""
    if isinstance(tree, str):
        return leaf(tree)
    if not isinstance(tree, tuple):
        return tree
    return expression(tree[0], *[built(part) for part in tree[1:]])


def reads(tree):
    return isinstance(tree, str) or (isinstance(tree, tuple) and any(reads(part) for part in tree[1:]))


def every_part_reads(tree):
    return not isinstance(tree, tuple) or (reads(tree) and all(every_part_reads(part) for part in tree[1:]))


def in_python(tree, config):
    if isinstance(tree, str):
        return config[tree]
    if not isinstance(tree, tuple):
        return tree
    value = PYTHON[tree[0]](*[in_python(part, config) for part in tree[1:]])
    if isinstance(value, complex):
        raise ValueError("complex")
    return value


def answer(function, tree, config):
    """(True, answer) or (False, type of the error), by Python alone."""
    try:
        return True, QUESTIONS[function](in_python(tree, config))
    except Exception as error:
        return False, type(error)


def alike(a, b):
    if a[0] != b[0] or type(a[1]) is not type(b[1]):
        return False
    if isinstance(a[1], float):
        return (math.isnan(a[1]) and math.isnan(b[1])) or (
            a[1] == b[1] and math.copysign(1, a[1]) == math.copysign(1, b[1])
        )
    return a[1] == b[1]


@settings(max_examples=300, deadline=None)
@given(TREES.filter(reads).filter(every_part_reads), st.lists(CONFIGS, min_size=2, max_size=5), st.sampled_from(ASKED))
def test_guard_holds_where_python_answers_alike(tree, configs, function):
    session = Session(configs[0], SPACE)
    kind = "exact" if function == "value" else "bool"
    answered, python = answer(function, tree, configs[0])
    with contextlib.nullcontext() if answered else pytest.raises(python):
        session.ask(kind, function, built(tree))
    (guard,) = session.guards
    expected = [alike(answer(function, tree, config), answer(function, tree, configs[0])) for config in configs]
    assert expected[0]
    assert matches([guard], configs).tolist() == expected
    assert [guard.holds(config) for config in configs] == expected
    copied = pickle.loads(pickle.dumps(guard))
    assert copied.expression is guard.expression
    assert matches([copied], configs).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(TREES.filter(reads).filter(every_part_reads), st.lists(CONFIGS, min_size=1, max_size=5))
def test_columns_have_a_value_for_every_config(tree, configs):
    (column,) = evaluate([built(tree)], configs, as_float32)
    for value, config in zip(column, configs, strict=True):
        assert isinstance(value, int | float | bool | np.bool_)
        answered, python = answer("value", tree, config)
        if answered:
            assert alike((True, value), (True, python))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(TREES.filter(reads).filter(every_part_reads), min_size=1, max_size=4),
    st.lists(CONFIGS, min_size=1, max_size=8),
)
def test_outcomes_are_equal_exactly_where_all_answers_are(trees, configs):
    guards = [Guard("bool", "bool", built(tree), True) for tree in trees]
    codes = outcomes(guards, configs)
    for i, first in enumerate(configs):
        for j, second in enumerate(configs):
            same = all(alike(answer("bool", tree, first), answer("bool", tree, second)) for tree in trees)
            assert (codes[i] == codes[j]) == same


def test_expressions_are_interned():
    assert expression("add", leaf("a"), 1) is expression("add", leaf("a"), 1)
    assert expression("add", leaf("a"), 1) is not expression("add", leaf("a"), 1.0)
    assert expression("add", leaf("a"), True) is not expression("add", leaf("a"), 1)
    assert expression("mul", leaf("a"), 0.0) is not expression("mul", leaf("a"), -0.0)


def test_long_expressions_are_evaluated_and_stored_without_recursion():
    total = leaf("a")
    for _ in range(5000):
        total = expression("add", total, leaf("a"))
    assert evaluate([total], [{"a": 2}], as_raised) == [[10002]]
    assert pickle.loads(pickle.dumps(total)) is total
    assert "..." in repr(total)


@pytest.mark.parametrize(
    ("op", "args", "expected"),
    [
        ("truediv", (1, 0.0), math.inf),
        ("truediv", (-1.0, 0), -math.inf),
        ("truediv", (0, 0), math.nan),
        ("mod", (1.0, 0.0), math.nan),
        ("pow", (0.0, -1.0), math.inf),
        ("pow", (-8.0, 0.5), math.nan),
        ("pow", (1e300, 2.0), math.inf),
        ("truediv", (10**400, 1), math.inf),
        ("mul", (-(10**400), 0.5), -math.inf),
        ("floordiv", (5, 0), -2),
        ("floordiv", (0, 0), -1),
        ("mod", (5, 0), 0),
        ("lshift", (5, -1), 0),
        ("rshift", (-5, -1), -1),
    ],
)
def test_where_python_raises_a_column_holds_what_arrays_give(op, args, expected):
    part = expression(op, leaf("a"), leaf("b"))
    ((value,),) = evaluate([part], [dict(zip("ab", args, strict=True))], as_float32)
    np.testing.assert_equal(value, expected)
    assert type(value) is type(expected)


def test_numpy_values_answer_as_python_values():
    guard = Guard("exact", "value", leaf("a"), 0.5)
    assert guard.holds({"a": np.float64(0.5)})
    assert not guard.holds({"a": 1})


def test_unhashable_and_odd_values():
    guard = Guard("equal", "value", leaf("a"), [1, 2])
    assert matches([guard], [{"a": [1, 2]}, {"a": [1]}, {"a": None}]).tolist() == [True, False, False]
    assert outcomes([guard], [{"a": [1, 2]}, {"a": [1]}, {"a": [1, 2]}]).tolist() == [0, 1, 0]
    one = Guard("equal", "value", leaf("a"), True)
    assert matches([one], [{"a": True}, {"a": 1}, {"a": 1.0}]).tolist() == [True, False, False]


def test_no_guards_and_no_configs():
    assert matches([], [{}, {}]).tolist() == [True, True]
    assert outcomes([], [{}, {}]).tolist() == [0, 0]
    assert matches([Guard("bool", "bool", leaf("a"), True)], []).shape == (0,)


def test_questions_read_as_written():
    half = expression("add", expression("floordiv", leaf("n"), 2), 1)
    assert Guard("int", "index", half, 3).question == "(hp.n // 2) + 1 as an integer"
    assert Guard("bool", "bool", leaf("f"), True).question == "bool(hp.f)"
    assert Guard("floor", "floor", expression("mul", leaf("f"), -10), 3).question == "math.floor(hp.f * -10)"
    assert Guard("str", "format", leaf("f"), "0.1", argument=".1f").question == "format(hp.f, '.1f')"
    assert (
        Guard("bool", "bool", expression("gt", expression("np.exp", leaf("f")), 1), True).question == "np.exp(hp.f) > 1"
    )
    assert Guard("bool", "bool", expression("lt", expression("neg", leaf("f")), 1), True).question == "-hp.f < 1"
    guard = Guard("bool", "bool", leaf("f"), None, ValueError, place="train.py:3", via="optax/x.py:4")
    assert str(guard) == "bool(hp.f) -> ValueError at train.py:3 (via optax/x.py:4)"


PINNED = Space(f=Float(0.0, 1.0), grid=Float(0.0, 1.0, step=0.5), n=Int(1, 3), c=Choice(0.1, 0.2))


@pytest.mark.parametrize("kind", ["exact", "str", "equal"])
def test_pins_of_continuous_hyperparameters_are_refused(kind):
    guard = Guard(kind, "value", expression("mul", leaf("f"), leaf("n")), 0.5, place="train.py:7", via="optax/a.py:1")
    with pytest.raises(GuardError, match=r"^hp\.f is continuous, but .*hp\.f \* hp\.n.* at train\.py:7, through optax"):
        refuse_pins([guard], PINNED)


@pytest.mark.parametrize("name", ["grid", "n", "c"])
def test_pins_of_discrete_hyperparameters_are_allowed(name):
    refuse_pins([Guard("exact", "value", leaf(name), 1)], PINNED)


@pytest.mark.parametrize("kind", ["bool", "int", "floor", "ceil", "round", "packed"])
def test_questions_with_few_answers_are_allowed(kind):
    refuse_pins([Guard(kind, "bool", leaf("f"), True)], PINNED)
