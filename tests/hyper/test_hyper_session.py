"""Sessions: several functions of one program, columns, layouts, and reading `hp`."""

import copy
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import ArgumentError
from vtune.hyper import Guard, Hyper, PlainHP, Session, matches, plain, trace_with_ladder
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(0.0, 1.0),
    b2=Float(0.9, 1.0),
    depth=Int(1, 4),
    rate=Choice(0, 0.1, 0.5),
    act=Choice("relu", "tanh"),
    bias=Choice(True, False),
    shape=Choice((1, 2), (3,)),
)
CONFIG = {"lr": 0.1, "b2": 0.999, "depth": 2, "rate": 0.1, "act": "relu", "bias": True, "shape": (1, 2)}
X = jnp.ones((3,))


def run(use, configs, space=SPACE, **options):
    """The lanes of one program, traced with the first config."""
    session = Session(configs[0], space, **options)
    lowered = jax.jit(jax.vmap(session.bind(use))).lower(session.abstract_columns(len(configs)))
    return session, lowered.compile()(session.layout.encode(configs))


def test_init_step_and_evaluate_share_one_session():
    def init(hp, key):
        return {"w": jnp.full((3,), 1 - hp.b2), "lr": hp.lr, "count": jnp.zeros((), jnp.int32)}

    def step(hp, state, x):
        w = state["w"] * (1 - hp.lr) + (hp.lr if hp.bias else 0.0)
        for _ in range(hp.depth):
            w = w + x * (1 - hp.b2)
        return {"w": w, "lr": state["lr"] * hp.b2, "count": state["count"] + hp.depth}

    def evaluate(hp, state):
        return {"score": jnp.sum(state["w"]) * (hp.lr * hp.b2), "count": state["count"]}

    session = Session(CONFIG, SPACE)
    bound_init, bound_step, bound_evaluate = session.bind(init), session.bind(step), session.bind(evaluate)

    def lane(columns, fresh, steps, state, x):
        state = jax.lax.cond(fresh, lambda: bound_init(columns, jax.random.key(0)), lambda: state)
        state = jax.lax.fori_loop(0, steps, lambda _, s: bound_step(columns, s, x), state)
        return state, jax.lax.cond(
            fresh, lambda: bound_evaluate(columns, state), lambda: {"score": jnp.nan, "count": state["count"]}
        )

    empty = {"w": jnp.zeros((4, 3)), "lr": jnp.zeros(4), "count": jnp.zeros(4, jnp.int32)}
    program = jax.jit(jax.vmap(lane, in_axes=(0, 0, None, 0, None)))
    fresh = jnp.ones(4, bool)
    lowered = program.lower(session.abstract_columns(4), fresh, jnp.int32(0), empty, X)
    configs = [{**CONFIG, "lr": 0.1 * lane, "b2": 0.9 + 0.02 * lane} for lane in range(4)]
    _, out = lowered.compile()(session.layout.encode(configs), fresh, jnp.int32(3), empty, X)

    assert [guard.question for guard in session.guards] == ["hp.bias", "hp.depth as an integer"]
    assert set(map(str, session.layout.floats)) == {
        "Expression(1 - hp.b2)",
        "Expression(1 - hp.lr)",
        "Expression(hp.lr * hp.b2)",
    }
    for index, config in enumerate(configs):
        hp = PlainHP(config)
        state = init(hp, None)
        for _ in range(3):
            state = step(hp, state, X)
        alone = evaluate(hp, state)
        assert out["count"][index] == 6
        np.testing.assert_allclose(out["score"][index], alone["score"], rtol=1e-6)


def test_retracing_adds_nothing():
    session = Session(CONFIG, SPACE)
    lanes = jax.jit(jax.vmap(session.bind(lambda hp, x: x * (1 - hp.b2) * hp.depth if hp.lr > 0 else x), (0, None)))
    columns = session.abstract_columns(2)
    first = lanes.trace(columns, X)
    before = session.guards, session.layout
    second = lanes.trace(columns, jnp.ones(5))
    assert (session.guards, session.layout) == before
    assert len(session.layout.floats) == 1
    assert first.out_info.shape != second.out_info.shape


def test_columns_are_weakly_typed_and_executables_take_strong_arrays():
    half = jnp.ones((3,), jnp.bfloat16)
    _, (scaled, derived, whole) = run(
        lambda hp: (half * hp.lr, half * (1 - hp.b2), half * hp.depth), [CONFIG, {**CONFIG, "lr": 0.5}]
    )
    assert scaled.dtype == derived.dtype == whole.dtype == jnp.bfloat16
    for leaf in jax.tree.leaves(Session(CONFIG, SPACE).abstract_columns(2)):
        assert leaf.weak_type


def test_layout_has_the_tree_of_the_abstract_columns():
    session = Session(CONFIG, SPACE)
    columns = session.layout.encode([CONFIG] * 5)
    abstract = session.abstract_columns(5)
    assert jax.tree.structure(columns) == jax.tree.structure(abstract)
    for array, aval in zip(jax.tree.leaves(columns), jax.tree.leaves(abstract), strict=True):
        assert isinstance(array, np.ndarray)
        assert (array.shape, array.dtype) == (aval.shape, aval.dtype)
    assert session.abstract_columns(None)["values"]["lr"].shape == ()
    assert set(columns["values"]) == {"lr", "b2", "depth", "rate"}
    assert set(columns["choices"]) == {"rate", "act", "bias", "shape"}


def test_layouts_compare_by_content():
    def traced(use):
        session = Session(CONFIG, SPACE)
        jax.eval_shape(session.bind(use), session.abstract_columns(None))
        return session.layout

    one, same, other = (traced(lambda hp, c=c: X * (c - hp.b2)) for c in (1, 1, 2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert pickle.loads(pickle.dumps(one)) == one


def test_derived_scalars_are_computed_in_double_precision():
    configs = [{**CONFIG, "b2": b2} for b2 in (0.999, 0.9999, 0.99999)]
    _, out = run(lambda hp: 1 - hp.b2, configs)
    np.testing.assert_array_equal(out, np.array([1 - config["b2"] for config in configs], np.float32))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 6), st.integers(0, 3))
def test_spare_columns_may_run_out(floats, ints):
    def use(hp):
        total = hp.lr
        for k in range(4):
            total = total * 0.5 + hp.b2 * k + jnp.where((hp.depth + k) // 2 > 1, total, hp.depth - k)
        kept = hp.lr
        for _ in range(8):
            kept = kept + kept * 0.01
        return X * total * kept * (hp.depth * 2 + 1)

    configs = [{**CONFIG, "lr": lr, "depth": depth} for lr, depth in ((0.1, 2), (0.7, 4))]
    session, out = run(use, configs, spare_floats=floats, spare_ints=ints)
    assert len(session.layout.floats) <= floats
    assert len(session.layout.ints) <= ints
    assert session.guards == ()
    np.testing.assert_allclose(out, [use(PlainHP(config)) for config in configs], rtol=2e-6)


def test_what_the_exemplar_cannot_compute_is_left_to_arrays():
    session, out = run(lambda hp: X * (1 / hp.lr), [{**CONFIG, "lr": 0.0}, {**CONFIG, "lr": 0.5}], space=SPACE)
    assert session.layout.floats == ()
    assert out[:, 0].tolist() == [math.inf, 2.0]


def test_what_another_config_cannot_compute_is_infinite():
    session, out = run(lambda hp: X * (1 / hp.lr), [{**CONFIG, "lr": 0.5}, {**CONFIG, "lr": 0.0}])
    assert len(session.layout.floats) == 1
    assert out[:, 0].tolist() == [2.0, math.inf]


def test_power_of_integers_is_guarded_by_the_sign_of_its_exponent():
    space = Space(n=Int(-4, 4))
    session = Session({"n": 2}, space)
    shape = jax.eval_shape(session.bind(lambda hp: jnp.ones(3, jnp.int32) * 2**hp.n), session.abstract_columns(None))
    assert shape.dtype == jnp.int32
    assert [guard.question for guard in session.guards] == ["hp.n >= 0"]
    session = Session({"n": -2}, space)
    shape = jax.eval_shape(session.bind(lambda hp: jnp.ones(3, jnp.int32) * 2**hp.n), session.abstract_columns(None))
    assert shape.dtype == jnp.float32


def test_choice_of_integers_and_floats_is_guarded_by_type():
    session, out = run(lambda hp: X * hp.rate, [CONFIG, {**CONFIG, "rate": 0.5}])
    assert [guard.question for guard in session.guards] == ["type(hp.rate)"]
    assert matches(session.guards, [{"rate": rate} for rate in (0, 0.1, 0.5)]).tolist() == [False, True, True]
    np.testing.assert_allclose(out[:, 0], [0.1, 0.5])
    session, _ = run(lambda hp: X * hp.rate, [{**CONFIG, "rate": 0}])
    assert matches(session.guards, [{"rate": rate} for rate in (0, 0.1)]).tolist() == [True, False]


def test_choice_with_none_is_a_number_where_it_is_one():
    space = Space(clip=Choice(None, 0.5, 1.0))

    def use(hp):
        return X if hp.clip is None else jnp.minimum(X, hp.clip)

    session, out = run(use, [{"clip": 0.5}, {"clip": 1.0}], space=space)
    assert matches(session.guards, [{"clip": clip} for clip in (None, 0.5, 1.0)]).tolist() == [False, True, True]
    assert out[:, 0].tolist() == [0.5, 1.0]
    session, _ = run(use, [{"clip": None}], space=space)
    assert matches(session.guards, [{"clip": clip} for clip in (None, 0.5, 1.0)]).tolist() == [True, False, False]


def test_unread_values_of_other_types_encode():
    space = Space(clip=Choice(None, 0.5, 3, "all"), n=Int(0, 2**40))
    session = Session({"clip": 0.5, "n": 3}, space)
    columns = session.layout.encode([{"clip": clip, "n": n} for clip, n in ((None, 1), (3, 2**40), ("all", 2**32 + 7))])
    assert columns["values"]["clip"].tolist() == [0.0, 3.0, 0.0]
    assert columns["choices"]["clip"].tolist() == [0, 2, 3]
    assert columns["values"]["n"].tolist() == [1, 0, 7]


def test_plain_values_are_guarded_where_read():
    session, _ = run(lambda hp: X * (sum(hp.shape) if hp.bias else 1), [CONFIG])
    assert [(guard.kind, guard.question, guard.outcome) for guard in session.guards] == [
        ("equal", "hp.bias", True),
        ("equal", "hp.shape", (1, 2)),
    ]
    assert session.kinds() == {
        "lr": "traced",
        "b2": "traced",
        "depth": "traced",
        "rate": "traced",
        "act": "traced",
        "bias": "guarded",
        "shape": "guarded",
    }


def readings(hp):
    return {
        "attribute": hp.lr,
        "item": hp["lr"],
        "get": hp.get("lr"),
        "missing": hp.get("nothing", 5),
        "in": "lr" in hp and "nothing" not in hp,
        "names": list(hp),
        "length": len(hp),
        "dict": dict(hp)["lr"],
        "keywords": (lambda lr, **rest: lr)(**hp),
        "values": next(iter(hp.values())),
        "items": dict(hp.items())["lr"],
    }


def test_hp_and_plain_hp_read_alike():
    seen = {}
    session = Session(CONFIG, SPACE)

    def use(hp):
        seen.update(readings(hp))
        assert copy.deepcopy({"hp": hp})["hp"] is hp
        assert hp == hp
        assert {hp: 1}[hp] == 1
        return X

    jax.eval_shape(session.bind(use), session.abstract_columns(None))
    plain_readings = readings(PlainHP(CONFIG))
    for name, value in seen.items():
        if isinstance(value, Hyper):
            assert plain_readings[name] == CONFIG["lr"]
        else:
            assert plain_readings[name] == value
    assert sum(isinstance(value, Hyper) for value in seen.values()) == 7
    assert pickle.loads(pickle.dumps(PlainHP(CONFIG))).lr == 0.1


@pytest.mark.parametrize("make", ["plain", "traced"])
def test_unknown_names_list_the_known(make):
    def check(hp):
        with pytest.raises(AttributeError, match="no hyperparameter 'rates'; it has lr, b2, depth, rate, act"):
            hp.rates
        with pytest.raises(KeyError, match="no hyperparameter 'rates'; it has lr, b2, depth, rate, act"):
            hp["rates"]
        assert not hasattr(hp, "_private")
        with pytest.raises(AttributeError, match="cannot be changed"):
            hp.lr = 2
        return X

    if make == "plain":
        check(PlainHP(CONFIG))
    else:
        session = Session(CONFIG, SPACE)
        jax.eval_shape(session.bind(check), session.abstract_columns(None))


def test_incomplete_exemplar_is_refused():
    with pytest.raises(ArgumentError, match="without b2, depth"):
        Session({"lr": 0.1}, Space(lr=Float(0, 1), b2=Float(0, 1), depth=Int(1, 2)))


def test_results_hold_no_hyper():
    session = Session(CONFIG, SPACE)
    seen = []

    def outer(columns):
        seen.append(session.bind(lambda hp: {"a": hp.lr, "b": [hp.lr * 2, hp.depth > 1]})(columns))
        return seen[-1]

    jax.eval_shape(outer, session.abstract_columns(None))
    assert not any(isinstance(leaf, Hyper) for leaf in jax.tree.leaves(seen, is_leaf=lambda x: isinstance(x, Hyper)))
    assert plain({"a": 1, "b": "x"}) == {"a": 1, "b": "x"}


def test_place_is_the_users_line_and_via_the_librarys():
    from flax import linen as nn

    def use(hp):
        layer = nn.Dropout(hp.lr, deterministic=False)
        line = "apply"
        return layer.apply({}, X, rngs={"dropout": jax.random.key(0)}) if line else X

    session, _ = run(use, [CONFIG])
    for guard in session.guards:
        file, _, line = guard.place.rpartition(":")
        assert file.endswith("test_hyper_session.py")
        assert int(line) == use.__code__.co_firstlineno + 3
        assert guard.via.startswith("flax/linen/stochastic.py:")


def test_every_exemplar_satisfies_its_own_guards():
    def use(hp):
        out = X * hp.lr
        try:
            out = out * int(hp.lr / 0.0)
        except ZeroDivisionError:
            out = out * 2
        return out if hp.lr * 3 == 0.1 * 3 else out + 1

    for lr in (0.1, 0.2, math.pi / 4):
        config = {**CONFIG, "lr": lr}
        session, _ = run(use, [config])
        assert any(guard.exception is ZeroDivisionError for guard in session.guards)
        assert matches(session.guards, [config]).tolist() == [True]
        assert all(isinstance(guard, Guard) for guard in pickle.loads(pickle.dumps(session.guards)))


def test_seeds_and_long_arithmetic_wrap_like_arrays():
    _, out = run(lambda hp: jnp.int32(0) + hp.depth * 1000003 * 1009, [CONFIG, {**CONFIG, "depth": 4}])
    assert out.tolist() == [int(np.int64(depth * 1000003 * 1009).astype(np.int32)) for depth in (2, 4)]


def test_ladder_returns_what_the_attempt_returned():
    session, result = trace_with_ladder(lambda session: ("traced", session), CONFIG, SPACE)
    assert result == ("traced", session)
