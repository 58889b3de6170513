"""A Hyper that enters a scan, a branch or an inner jit is a bare tracer there: never the exemplar's answer."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from vtune.hyper import Session
from vtune.space import Float, Space

X = jnp.ones((4, 8))
SPACE = Space(r=Float(0.0, 1.0))


def guards_of(use):
    session = Session({"r": 0.2}, SPACE)
    jax.eval_shape(jax.vmap(session.bind(use)), session.abstract_columns(2))
    return session.guards


ADVERSARIAL = {
    "result of cond": lambda hp: X if lax.cond(X[0, 0] > 0, lambda: hp.r, lambda: hp.r * 2) > 0.15 else 2 * X,
    "result of scan": lambda hp: (
        X if lax.scan(lambda c, _: (c * 0.9, None), jnp.asarray(hp.r), None, length=3)[0] > 0.15 else 2 * X
    ),
    "body of scan": lambda hp: lax.scan(lambda c, _: (c * 0.9 if c > 0.15 else c * 0.5, None), hp.r, None, length=3),
    "body of while": lambda hp: lax.while_loop(
        lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 0.5 if c[1] > 0.1 else c[1]), (0, hp.r)
    ),
    "body of fori": lambda hp: lax.fori_loop(0, 3, lambda i, c: c * 0.5 if c > 0.1 else c, hp.r),
    "result of tree.map": lambda hp: X if jax.tree.map(lambda v: v * 10, {"a": hp.r})["a"] > 1.5 else 2 * X,
    "gradient": lambda hp: X if jax.grad(lambda r: (r**2 * X).sum())(hp.r) > 1.0 else 2 * X,
    "result of jit": lambda hp: X if jax.jit(lambda a: a * 2)(hp.r) > 0.3 else 2 * X,
    "operand of switch": lambda hp: lax.switch(
        jnp.int32(1), [lambda a: a * 1, lambda a: a * 2 if a > 0.1 else a], hp.r
    ),
    "body of map": lambda hp: lax.map(lambda t: t[0] * (2 if t[1] > 0.1 else 1), (X, jnp.broadcast_to(hp.r, (4,)))),
    "stacked for vmap": lambda hp: jax.vmap(lambda t: t["a"] if t["a"] > 0.1 else 0 * t["a"])(
        jax.tree.map(lambda v: jnp.stack([v, v * 2]), {"a": hp.r})
    ),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_refused_as_plain_jax_refuses(name):
    with pytest.raises(jax.errors.TracerBoolConversionError):
        guards_of(ADVERSARIAL[name])


LEGITIMATE = {
    "tree.map, identity": (
        lambda hp: (lambda t: X * 2 if t["a"] > 0.1 else X)(jax.tree.map(lambda v: v, {"a": hp.r})),
        1,
    ),
    "tree.map of two": (lambda hp: jax.tree.map(lambda a, b: a + b, {"a": hp.r}, {"a": hp.r * 2}), 0),
    "closure of jit": (lambda hp: jax.jit(lambda v: v * hp.r if hp.r > 0.15 else v)(X), 1),
    "closure of scan": (
        lambda hp: lax.scan(lambda c, _: (c * 2 if hp.r > 0.1 else c, None), X, None, length=2)[0],
        1,
    ),
    "closure of cond": (lambda hp: lax.cond(X[0, 0] > 0, lambda: X * (1 - hp.r), lambda: X * hp.r), 0),
    "closure of checkpoint": (lambda hp: jax.checkpoint(lambda v: v * 2 if hp.r > 0.1 else v)(X), 1),
    "closure of vmap": (lambda hp: jax.vmap(lambda v: v * hp.r if hp.r > 0.15 else v)(X), 1),
    "unbatched argument of vmap": (
        lambda hp: jax.vmap(lambda v, a: v * a if a > 0.15 else v, in_axes=(0, None))(X, hp.r),
        1,
    ),
    "argument of grad": (lambda hp: jax.grad(lambda w, a: (w * a).sum() if a > 0.15 else w.sum())(X, hp.r), 1),
    "Partial": (lambda hp: jax.tree_util.Partial(lambda a, v: v * a if a > 0.1 else v, hp.r)(X), 1),
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_legitimate_use(name):
    use, count = LEGITIMATE[name]
    assert len(guards_of(use)) == count


def test_derived_scalar_of_an_inner_trace_is_an_input_of_the_program():
    def use(hp):
        kept = []

        def step(carry, _):
            kept.append(1 - hp.r)
            return carry * kept[-1], None

        return lax.scan(step, X, None, length=2)[0] * kept[0]

    assert guards_of(use) == ()


def test_tree_of_two_structures_is_an_error_of_jax():
    with pytest.raises(ValueError, match="pytree structure"):
        guards_of(lambda hp: jax.tree.map(lambda a, b: a + b, {"a": hp.r}, {"a": X}))


def test_no_tracer_outlives_the_trace():
    kept = []
    session = Session({"r": 0.2}, SPACE, spare_floats=1)
    with jax.checking_leaks():
        jax.eval_shape(
            jax.vmap(session.bind(lambda hp: [kept.append(h) or h for h in (hp.r, 1 - hp.r, hp.r * 3, hp.r > 0.5)])),
            session.abstract_columns(2),
        )
    assert len(kept) == 4
    assert all(getattr(hyper, slot) is None for hyper in kept for slot in ("_own", "_flat"))
