"""Strings of a Choice: guarded where read, unless packed code uses their position and nothing looked."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vtune.errors import ArgumentError
from vtune.hyper import HyperStr, PlainHP, Session, StaleHyperError, choice_index, packed_bound, trace_with_ladder
from vtune.space import Choice, Float, Int, Space

X = jnp.ones((3,))
SPACE = Space(
    act=Choice("relu", "tanh", "gelu"),
    opt=Choice("sgd", "adam"),
    size=Choice(16, 32, 64),
    lr=Float(0.0, 1.0),
    width=Int(1, 64),
)
CONFIG = {"act": "tanh", "opt": "sgd", "size": 32, "lr": 0.1, "width": 16}


def trace(use, config=CONFIG):
    session = Session(config, SPACE)
    jax.eval_shape(jax.vmap(session.bind(use)), session.abstract_columns(2))
    return session


LOOKS = {
    "==": lambda s: s == "relu",
    "reflected ==": lambda s: "relu" == s,  # noqa: SIM300
    "!=": lambda s: s != "relu",
    "<": lambda s: s < "relu",
    "in": lambda s: "el" in s,
    "in a tuple": lambda s: s in ("relu", "gelu"),
    "dict key": lambda s: {"relu": 1}.get(s),
    "set": lambda s: s in {"relu"},
    "hash": hash,
    "len": len,
    "index": lambda s: s[0],
    "iteration": list,
    "method": lambda s: s.startswith("t"),
    "upper": lambda s: s.upper(),
    "str": str,
    "repr": repr,
    "f-string": lambda s: f"{s}",
    "percent": lambda s: "%s" % s,  # noqa: UP031
    "sum": lambda s: s + "x",
    "reflected sum": lambda s: "x" + s,
    "times": lambda s: s * 2,
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("first", ["look", "pack"])
def test_a_look_keeps_the_guard(name, first):
    def use(hp):
        text = hp.act
        if first == "look":
            LOOKS[name](text)
        index = choice_index(text)
        if first == "pack":
            LOOKS[name](text)
        return X * index

    session = trace(use)
    assert [guard.question for guard in session.guards] == ["hp.act"]
    assert session.guards[0].outcome == "tanh"
    assert session.kinds()["act"] == "guarded"


def test_packed_use_takes_the_guard_back():
    session = trace(lambda hp: X * choice_index(hp.act))
    assert session.guards == ()
    assert session.kinds() == {
        "act": "packed",
        "opt": "traced",
        "size": "traced",
        "lr": "traced",
        "width": "traced",
    }


def test_copies_and_modules_do_not_look():
    def use(hp):
        text = copy.deepcopy({"a": copy.copy(hp.act)})["a"]
        assert isinstance(text, HyperStr)
        assert isinstance(text, str)
        return X * choice_index(text)

    assert trace(use).guards == ()


def test_another_reading_keeps_its_guard():
    def use(hp):
        return X * choice_index(hp.act) * (2 if hp.act == "relu" else 1)

    assert [guard.question for guard in trace(use).guards] == ["hp.act"]


def test_plain_use_is_guarded_by_equality():
    session = trace(lambda hp: X * 2 if hp.opt == "sgd" else X)
    (guard,) = session.guards
    assert (guard.kind, guard.outcome, guard.question) == ("equal", "sgd", "hp.opt")
    assert guard.holds(CONFIG)
    assert not guard.holds({**CONFIG, "opt": "adam"})


def test_position_of_strings_and_numbers():
    session, lowered = trace_with_ladder(
        lambda session: jax.jit(
            jax.vmap(session.bind(lambda hp: (choice_index(hp.act), choice_index(hp.size) + 0 * X)))
        ).lower(session.abstract_columns(3)),
        CONFIG,
        SPACE,
    )
    configs = [{**CONFIG, "act": act, "size": size} for act, size in (("relu", 64), ("gelu", 16), ("tanh", 32))]
    acts, sizes = lowered.compile()(session.layout.encode(configs))
    assert acts.dtype == jnp.int32
    assert acts.tolist() == [0, 2, 1]
    assert sizes[:, 0].tolist() == [2, 0, 1]
    assert session.kinds()["size"] == "packed"


def test_plain_values_have_no_position():
    hp = PlainHP(CONFIG)
    assert choice_index(hp.act) is None
    assert choice_index(hp.size) is None


def test_position_of_what_is_no_choice():
    for use in (lambda hp: choice_index(hp.width), lambda hp: choice_index(hp.size * 2)):
        with pytest.raises(ArgumentError, match=r"is a Choice; got Hyper\(hp\."):
            trace(use)


def test_position_after_the_trace():
    kept = []
    trace(lambda hp: kept.append(hp.act) or X)
    with pytest.raises(StaleHyperError):
        choice_index(kept[0])


def test_packed_bound_is_an_inequality():
    session = trace(lambda hp: jnp.where(jnp.arange(64) < packed_bound(hp.width, "<=", 32), 1.0, 0.0))
    (guard,) = session.guards
    assert (guard.kind, guard.question) == ("packed", "hp.width <= 32")
    assert [guard.holds({**CONFIG, "width": width}) for width in (1, 32, 33)] == [True, True, False]
    assert session.kinds()["width"] == "packed"


def test_packed_bound_of_plain_values():
    assert packed_bound(5, "<=", 8) == 5
    with pytest.raises(ArgumentError, match="needs a value <= 8; got 9"):
        packed_bound(9, "<=", 8)
    with pytest.raises(ArgumentError, match="one of <=, <, >=, >; got '=='"):
        packed_bound(9, "==", 8)
    with pytest.raises(ArgumentError, match=r"hp\.width\) <= 8; the traced config does not"):
        trace(lambda hp: X * packed_bound(hp.width, "<=", 8))


def test_string_is_the_exemplars():
    seen = []
    trace(lambda hp: seen.append([str(hp.act), hp.act.upper(), hp.act + "!", len(hp.act)]) or X)
    assert seen == [["tanh", "TANH", "tanh!", 4]]
    assert np.array_equal(seen[0][:1], ["tanh"])
