"""What Python, math and NumPy may do with a hyperparameter, and what a guard then says."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import uses_python

from vtune.errors import GuardError
from vtune.hyper import PlainHP, Session, StaleHyperError, matches, trace_with_ladder
from vtune.space import Choice, Float, Int, Space

SPACE = Space(r=Float(0.0, 1.0, step=0.05), n=Int(1, 9), m=Int(1, 9), b=Choice(True, False))
CONTINUOUS = Space(r=Float(0.0, 1.0), n=Int(1, 9), m=Int(1, 9), b=Choice(True, False))
CASES = {
    **{name: (use, set()) for name, use in uses_python.TRACED.items()},
    **uses_python.GUARDED,
    **{name: (use, {"exact", "bool"}) for name, use in uses_python.EXACT.items()},
}


def lowered(use, config=uses_python.CONFIG, space=SPACE, lanes=4):
    def attempt(session):
        return jax.jit(jax.vmap(session.bind(use))).lower(session.abstract_columns(lanes))

    return trace_with_ladder(attempt, config, space)


def trace(use, config=uses_python.CONFIG, space=SPACE):
    return trace_with_ladder(
        lambda session: jax.eval_shape(jax.vmap(session.bind(use)), session.abstract_columns(1)), config, space
    )


@pytest.mark.parametrize("name", CASES)
def test_python_use(name):
    use, kinds = CASES[name]
    session, shapes = trace(use)
    assert {guard.kind for guard in session.guards} <= kinds
    assert bool(session.guards) == bool(kinds)
    assert not session.demotion

    plain = jax.eval_shape(lambda: use(PlainHP(uses_python.CONFIG)))
    assert [(leaf.shape[1:], leaf.dtype) for leaf in jax.tree.leaves(shapes)] == [
        (leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(plain)
    ]
    assert pickle.loads(pickle.dumps(session.guards)) == session.guards


@pytest.mark.parametrize("name", CASES)
def test_lanes_agree_with_plain_python(name):
    use, _ = CASES[name]
    session, program = lowered(use)
    configs = [uses_python.CONFIG, *uses_python.OTHERS]
    configs = [config for config, served in zip(configs, matches(session.guards, configs), strict=True) if served]
    assert configs[0] == uses_python.CONFIG
    batch = program.compile()(session.layout.encode((configs * 4)[:4]))
    for lane, config in enumerate(configs[:4]):
        with np.errstate(divide="ignore"):
            alone = use(PlainHP(config))
        for ours, plain in zip(jax.tree.leaves(batch), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(
                np.asarray(ours[lane], complex), np.asarray(plain, complex), rtol=1e-2 if "bf16" in name else 1e-6
            )


@pytest.mark.parametrize("name", [name for name in uses_python.EXACT if "hp.n" not in name])
def test_exact_use_of_a_continuous_hyperparameter_is_refused(name):
    use = uses_python.EXACT[name]
    session, _ = trace(use)
    if not any("r" in guard.names for guard in session.guards):
        pytest.skip("asks only for an integer")
    with pytest.raises(GuardError, match=r"hp\.r is continuous.*uses_python\.py:\d+.*jnp\..*step="):
        trace(use, space=CONTINUOUS)


def test_value_of_a_truth_value_is_no_pin():
    session, _ = trace(lambda hp: jnp.ones(3) * float(hp.r > 0.2), space=CONTINUOUS)
    assert [guard.question for guard in session.guards] == ["hp.r > 0.2"]


NEEDS_PLAIN_VALUES = {
    "pickle": lambda hp: jnp.ones(3) * len(pickle.dumps(hp.r)),
    "ufunc of Python": lambda hp: jnp.ones(3) * np.frompyfunc(lambda v: v, 1, 1)(hp.r),
    "in place": lambda hp: jnp.asarray(np.multiply(np.ones(3), hp.r, out=np.ones(3))),
}


@pytest.mark.parametrize("name", NEEDS_PLAIN_VALUES)
def test_what_needs_plain_values_is_demoted_on_a_grid_and_refused_on_a_range(name):
    use = NEEDS_PLAIN_VALUES[name]
    session, _ = trace(use)
    assert session.demotion.plain == {"r"}
    assert session.kinds()["r"] == "guarded"
    with pytest.raises(GuardError, match=r"only with hp\.r as a plain Python number, at .*test_hyper_python\.py:\d+"):
        trace(use, space=CONTINUOUS)


def test_item_is_exact():
    with pytest.raises(GuardError, match=r"exact value of hp\.r"):
        trace(lambda hp: jnp.ones(3) * hp.r.item(), space=CONTINUOUS)


def test_writing_is_refused():
    def assign(hp):
        hp.r = 0.5

    def assign_inside(hp):
        hp.r.value = 0.5

    with pytest.raises(AttributeError, match="cannot be changed; tried to set 'r'"):
        trace(assign)
    session = Session(uses_python.CONFIG, SPACE)
    with pytest.raises(AttributeError, match=r"Hyper\(hp\.r\) cannot be changed"):
        jax.eval_shape(session.bind(assign_inside), session.abstract_columns(None))


def test_use_after_the_trace_is_an_error():
    kept = []
    trace(lambda hp: (kept.append(hp.r), kept.append(hp.r * 2), hp.r)[-1])
    for hyper in kept:
        with pytest.raises(StaleHyperError, match="after the trace"):
            hyper + 1
        with pytest.raises(StaleHyperError):
            bool(hyper)
        assert hyper == hyper
        assert hyper != 0.3
        assert kept[0] != kept[1]
        assert isinstance(hash(hyper), int)


def test_private_attributes_are_refused():
    with pytest.raises(AttributeError):
        trace(lambda hp: hp.r._value)
