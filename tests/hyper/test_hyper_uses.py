"""Uses of jax, flax.linen, flax.nnx and optax that are right with Python numbers are right with hyperparameters."""

import functools

import jax
import jax.numpy as jnp
import pytest
import uses_jax
import uses_linen
import uses_nnx
import uses_optax
from uses import Use, judge, trace

from vtune.errors import GuardError
from vtune.hyper import trace_with_ladder
from vtune.space import Float, Space

USES = {**uses_jax.USES, **uses_linen.USES, **uses_nnx.USES, **uses_optax.USES}
RARE_ARGUMENTS = {name for name in uses_optax.USES if name.startswith("optax:") and not name.endswith("learning_rate")}
LONG_TO_TRACE = {
    "optax: lbfgs, learning_rate",
    "optax: adafactor, learning_rate",
    "linen: OptimizedLSTM",
    "linen: GRU",
    "linen: MGU",
    "linen: ConvLSTM",
    "linen: carry",
    "linen: remat_scan",
    "nnx: LSTM",
    "nnx: GRU",
}
QUICK = sorted(set(USES) - RARE_ARGUMENTS - LONG_TO_TRACE)

KINDS = {
    "traced": [
        "optax: adam, learning_rate",
        "optax: adamw, weight_decay",
        "optax: adam, b2",
        "optax: rmsprop, decay",
        "schedule: cosine, init",
        "optax: sgd, momentum",
        "transformation: clip_by_global_norm",
        "transformation: multi_transform",
        "loss: smooth_labels",
        "loss: huber",
        "linen: BatchNorm, momentum",
        "linen: LayerNorm",
        "linen: Dense, kernel_init",
        "linen: TrainState",
        "nnx: BatchNorm, momentum",
        "nnx: Optimizer",
        "random: bernoulli",
        "control: scan, closure",
        "control: cond, operand",
        "nn: leaky_relu",
        "init: variance_scaling, bfloat16",
        "random: fold_in",
    ],
    "guarded": [
        "linen: Dropout",
        "linen: Dense",
        "linen: setup, depth",
        "linen: compact, zero",
        "nnx: Dropout",
        "nnx: Linear",
        "schedule: warmup_cosine, warmup",
        "schedule: cosine, steps",
        "schedule: warmup_cosine, peak",
        "transformation: if",
        "transform: vmap, if",
    ],
    "exact": [
        "linen: attention, heads",
        "linen: name",
        "linen: jit",
        "linen: jit, static module",
        "transform: jit, static",
        "nnx: hash of the graph",
        "schedule: piecewise_constant, boundary",
    ],
    "plain": ["linen: Conv, stride", "linen: GroupNorm, groups", "numpy: pad", "transformation: MultiSteps, every"],
    "raw": ["control: clamp", "numpy: index", "control: dynamic_slice, start", "transformation: inject, read"],
}


@functools.cache
def verdict(name):
    return judge(USES[name])


@pytest.mark.parametrize("name", QUICK)
def test_use(name):
    assert verdict(name).served


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RARE_ARGUMENTS | LONG_TO_TRACE))
def test_use_that_takes_long_or_is_rare(name):
    assert verdict(name).served


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_lanes_compute_what_plain_python_computes(name):
    judge(USES[name], run=True)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names])
def test_kind(kind, name):
    assert verdict(name).kind == kind


@pytest.mark.parametrize(
    ("name", "values", "served"),
    [
        ("linen: Dropout, zero", (0.0, 0.2, 1.0), (0.0,)),
        ("linen: Dropout", (0.1, 0.2, 0.3), (0.1, 0.2, 0.3)),
        ("linen: setup, depth", (2, 3, 2), (2, 2)),
        ("schedule: warmup_cosine, warmup", (10, 20, 30), (10, 20, 30)),
        ("transformation: if", (0.1, 0.2, 0.3), (0.1,)),
        ("schedule: exponential, staircase", (True, False), (True,)),
    ],
)
def test_which_values_a_program_serves(name, values, served):
    assert tuple(USES[name].values) == values
    assert verdict(name).served == served


def test_one_program_for_dropout_and_schedule():
    """The promise of the product: `nn.Dropout(hp.dropout)` and a warmup-cosine schedule leave only trivial guards."""
    dropout = judge(Use(USES["linen: Dropout"].function, (0.05, 0.2, 0.5)))
    assert dropout.served == (0.05, 0.2, 0.5)
    assert {guard.question for guard in dropout.session.guards} == {"hp.v == 0.0", "hp.v == 1.0"}
    assert all("test" not in (guard.via or "") and "flax" in guard.via for guard in dropout.session.guards)


REFUSED = {
    "linen: jit": "Python asked for the exact value of hp.v",
    "linen: jit decorator": "Python asked for the exact value of hp.v",
    "transform: jit, static": "Python asked for the exact value of hp.v",
    "numpy: norm, real order": "Python asked for the exact value of hp.v",
    "transform: custom_vjp, nondiff": "the code runs only with hp.v as a plain Python number",
    "transform: closure_convert": "the code runs only with hp.v as a plain Python number",
    "transformation: masked by it": "the code runs only with hp.v as a plain Python number",
}


@pytest.mark.parametrize("name", REFUSED)
def test_pins_of_a_continuous_hyperparameter_are_refused(name):
    use = USES[name]

    def attempt(session):
        return jax.jit(jax.vmap(session.bind(lambda hp: use.function(hp.v)))).trace(session.abstract_columns(2))

    with pytest.raises(GuardError, match=rf"hp\.v is continuous, but {REFUSED[name]}.*\.py:\d+"):
        trace_with_ladder(attempt, {"v": use.values[0]}, Space(v=Float(0.0, 5.0)))


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda h: jnp.ones(3) if jax.jit(lambda a: a > 0)(h) else jnp.zeros(3), jax.errors.TracerBoolConversionError),
        (lambda h: jax.jit(lambda a: jnp.ones(3) if a > 0 else jnp.zeros(3))(h), jax.errors.TracerBoolConversionError),
        (lambda h: jnp.ones(3) @ h, ValueError),
        (lambda h: h + "a", TypeError),
        (lambda h: h[0], TypeError),
    ],
)
def test_what_fails_with_python_numbers_fails_alike(function, error):
    with pytest.raises(error) as caught:
        trace(Use(function), 0.1, lower=False)
    assert any("{'v': 0.1} as plain" in note or "config is {'v': 0.1}" in note for note in caught.value.__notes__)
