"""What the ladder demotes, how often it tries, and what it refuses."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from vtune.errors import GuardError
from vtune.hyper import matches, trace_with_ladder
from vtune.space import Choice, Float, Int, Space

KEY = jax.random.key(0)
X = jnp.ones((4, 8))
IMAGE = jnp.ones((1, 8, 8, 4))
SPACE = Space(n=Int(1, 4), m=Int(1, 4), r=Float(0.0, 1.0), q=Float(0.0, 1.0), act=Choice("relu", "tanh"))
CONFIG = {"n": 2, "m": 3, "r": 0.1, "q": 0.2, "act": "relu"}


def climb(use, space=SPACE, config=CONFIG):
    tries = []

    def attempt(session):
        tries.append(session.demotion)
        return jax.jit(jax.vmap(session.bind(use))).lower(session.abstract_columns(2))

    session, lowered = trace_with_ladder(attempt, config, space)
    return session, lowered, tries


LOWERED_ONLY = {
    "unroll": lambda hp: jax.lax.scan(lambda c, _: (c * hp.r, None), X, None, length=4, unroll=hp.n)[0],
    "groups": lambda hp: nn.Conv(4, (3, 3), feature_group_count=hp.n).init_with_output(KEY, IMAGE)[0] * hp.r,
    "strides": lambda hp: nn.Conv(4, (3, 3), strides=(hp.n, hp.n)).init_with_output(KEY, IMAGE)[0] * hp.r,
    "pool": lambda hp: nn.max_pool(IMAGE, (hp.n, hp.n)) * hp.r,
}


@pytest.mark.parametrize("name", LOWERED_ONLY)
def test_integer_kept_by_a_primitive_is_demoted_alone(name):
    session, lowered, _ = climb(lambda hp: LOWERED_ONLY[name](hp) * hp.m)
    assert session.demotion.plain == {"n"}
    assert session.demotion.raw == frozenset()
    assert session.kinds() == {"n": "guarded", "m": "traced", "r": "traced", "q": "traced", "act": "traced"}
    assert "n: plain Python value, one program for each (otherwise: " in str(session.demotion)
    assert [guard.kind for guard in session.guards] == ["equal"]
    assert matches(session.guards, [CONFIG, {**CONFIG, "r": 0.7, "m": 1}, {**CONFIG, "n": 3}]).tolist() == [
        True,
        True,
        False,
    ]
    lowered.compile()(session.layout.encode([CONFIG, {**CONFIG, "r": 0.7}]))


def test_both_integers_are_demoted_when_one_is_not_enough():
    session, _, _ = climb(lambda hp: nn.max_pool(IMAGE, (hp.n, hp.m)) * hp.r)
    assert session.demotion.plain == {"n", "m"}


def test_integer_as_an_index_becomes_a_tracer():
    session, _, _ = climb(lambda hp: jnp.arange(9)[hp.n] * hp.m)
    assert session.demotion.raw == {"n"}
    assert session.kinds()["n"] == "traced"
    assert "n: bare tracer" in str(session.demotion)


def test_float_becomes_a_tracer_alone():
    def use(hp):
        return jax.lax.mul(jnp.float32(2), hp.r) * (2 if hp.q > 0.1 else 1)

    session, _, _ = climb(use)
    assert session.demotion.raw == {"r"}
    assert [guard.question for guard in session.guards] == ["hp.q > 0.1"]


def test_integer_plain_and_float_raw():
    session, _, _ = climb(lambda hp: nn.max_pool(IMAGE, (hp.n, hp.n)) * jax.lax.mul(jnp.float32(2), hp.r))
    assert (session.demotion.plain, session.demotion.raw) == ({"n"}, {"r"})


def test_nothing_is_demoted_when_all_is_well():
    session, _, tries = climb(lambda hp: X * hp.r if hp.q > 0 else X)
    assert not session.demotion
    assert str(session.demotion) == ""
    assert len(tries) == 1


def test_error_of_the_user_shows_after_two_tries():
    tries = []

    def attempt(session):
        tries.append(session.demotion)
        return jax.eval_shape(session.bind(lambda hp: {"a": hp.r}["b"]), session.abstract_columns(None))

    with pytest.raises(KeyError, match="b") as caught:
        trace_with_ladder(attempt, CONFIG, SPACE)
    assert any("'act': 'relu'" in note for note in caught.value.__notes__)
    assert len(tries) == 2


def test_pin_is_refused_at_once():
    def use(hp):
        return X * float(hp.r)

    tries = []

    def attempt(session):
        tries.append(session)
        return jax.eval_shape(session.bind(use), session.abstract_columns(None))

    with pytest.raises(GuardError, match=r"hp\.r is continuous.*test_hyper_ladder\.py"):
        trace_with_ladder(attempt, CONFIG, SPACE)
    assert len(tries) == 1


def test_float_that_must_be_plain_is_named():
    def use(hp):
        if type(hp.r) is not float:
            raise TypeError("rate must be a float")
        return X * hp.r * hp.q * hp.n

    with pytest.raises(GuardError, match=r"hp\.r is continuous, but the code runs only with hp\.r as a plain"):
        climb(use)

    session, _, tries = climb(use, Space(**{**SPACE, "r": Float(0.0, 1.0, step=0.1)}))
    assert "r" in session.demotion.plain
    assert "q" not in session.demotion.plain
    assert len(tries) < 16


def test_only_what_was_read_is_demoted():
    session, _, _ = climb(lambda hp: nn.max_pool(IMAGE, (hp.n, hp.n)))
    assert {guard.question for guard in session.guards} == {"hp.n"}
