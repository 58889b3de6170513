"""Uses of optax with a hyperparameter `h` in place of a number.

The uses of the optimizers are made from their signatures: every numeric argument of every optimizer of this version.
"""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import optax
from optax import contrib
from uses import FLOATS as F
from uses import Use

STEPS = (10, 20, 30)
PARAMS = {"w": jnp.ones((8, 8)), "b": jnp.ones((8,), jnp.bfloat16)}
FLOAT32 = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PARAMS)
ONLY_FLOAT32 = ("dadapt_adamw", "mechanize", "prodigy", "sophia")
OPTIMIZERS = [
    "adabelief",
    "adadelta",
    "adan",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "adamax",
    "adamaxw",
    "amsgrad",
    "fromage",
    "lamb",
    "lars",
    "lbfgs",
    "lion",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "optimistic_gradient_descent",
    "optimistic_adam_v2",
    "polyak_sgd",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sign_sgd",
    "sm3",
    "yogi",
]
CONTRIBUTED = [
    "acprop",
    "ademamix",
    "simplified_ademamix",
    "adopt",
    "cocob",
    "dadapt_adamw",
    "dog",
    "dowg",
    "galore",
    "mechanize",
    "momo",
    "momo_adam",
    "muon",
    "prodigy",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sophia",
    "ano",
    "normalized_sgd",
    "sam",
]
NUMBERS = ("learning_rate", "init_learning_rate", "weight_decay", "momentum")
GIVEN = {"seed": 0, "key": jax.random.key(0), "rng_key": jax.random.key(0)}
REQUIRED = {
    "mechanize": {"base_optimizer": optax.sgd(0.1)},
    "noisy_sgd": {"key": jax.random.key(0)},
    "sam": {"optimizer": optax.sgd(0.1), "adv_optimizer": optax.sgd(0.05)},
}


def square(params):
    return sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in jax.tree.leaves(params))


EXTRA = {
    "lbfgs": {"value": jnp.float32(1.0), "grad": PARAMS, "value_fn": square},
    "polyak_sgd": {"value": jnp.float32(1.0)},
    "momo": {"value": jnp.float32(1.0)},
    "momo_adam": {"value": jnp.float32(1.0)},
    "sophia": {"obj_fn": square},
}


def updated(make, values=F, start=PARAMS, **extra):
    """The use: one step, and two more in a scan."""

    def use(h):
        transformation = make(h)
        state = transformation.init(start)
        _, state = transformation.update(start, state, start, **extra)

        def step(carry, _):
            params, state = carry
            updates, state = transformation.update(params, state, params, **extra)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (start, state), None, length=2)[0]

    return Use(use, values)


def _numeric(parameter):
    default, annotation = parameter.default, str(parameter.annotation).lower()
    if "mask" in parameter.name or "dimension_numbers" in parameter.name or parameter.name in GIVEN:
        return False
    number = isinstance(default, int | float) and not isinstance(default, bool)
    open_number = default in (None, inspect.Parameter.empty) and ("float" in annotation or "scalar" in annotation)
    return parameter.name in NUMBERS or number or open_number or parameter.name == "ns_steps"


def _values(parameter):
    default, annotation = parameter.default, str(parameter.annotation).lower()
    if parameter.name == "ns_steps":
        return 5, 6, 7
    if not isinstance(default, int | float):
        return F
    if isinstance(default, int) and "float" not in annotation and "numeric" not in annotation:
        return (default, default + 1, default + 2) if default else (1, 2, 3)
    return (default * 0.9, default * 0.8, default * 0.7) if default else F


def _required(name, signature, given):
    named = {
        parameter.name: GIVEN.get(parameter.name, 0.1)
        for parameter in signature.parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    }
    return {**named, **REQUIRED.get(name, {}), **given}


def _optimizers(module, names):
    uses = {}
    for name in (name for name in names if hasattr(module, name)):
        signature = inspect.signature(getattr(module, name))
        for parameter in filter(_numeric, signature.parameters.values()):

            def make(h, name=name, signature=signature, argument=parameter.name):
                return getattr(module, name)(**_required(name, signature, {argument: h}))

            start = FLOAT32 if name in ONLY_FLOAT32 else PARAMS
            uses[f"{name}, {parameter.name}"] = updated(make, _values(parameter), start, **EXTRA.get(name, {}))
    return uses


def scheduled(make, values=F):
    return updated(lambda h: optax.adam(make(h)), values)


def chained(make, values=F, **extra):
    return updated(lambda h: optax.chain(make(h), optax.sgd(0.1)), values, **extra)


def injected(make):
    """Of the state only the params: `inject_hyperparams` copies Python numbers into it, a Hyper stays outside."""
    whole = updated(make).function
    return Use(lambda h: whole(h)[0])


def plateau(values=F, **names):
    return chained(lambda h: contrib.reduce_on_plateau(**dict.fromkeys(names, h)), values, value=jnp.float32(1.0))


def lookahead(period, slow):
    transformation = optax.lookahead(optax.sgd(0.1), period, slow)
    params = optax.LookaheadParams.init_synced(PARAMS)
    return transformation.update(PARAMS, transformation.init(params), params)


SCHEDULES = {
    "constant": scheduled(optax.constant_schedule),
    "polynomial, init": scheduled(lambda h: optax.polynomial_schedule(h, 0.0, 1, 10)),
    "polynomial, power": scheduled(lambda h: optax.polynomial_schedule(0.1, 0.0, h, 10), (1, 2, 3)),
    "polynomial, steps": scheduled(lambda h: optax.polynomial_schedule(0.1, 0.0, 1, h), STEPS),
    "polynomial, begin": scheduled(lambda h: optax.polynomial_schedule(0.1, 0.0, 1, 10, h), STEPS),
    "linear": scheduled(lambda h: optax.linear_schedule(h, h * 0.1, 100)),
    "piecewise_constant, scale": scheduled(lambda h: optax.piecewise_constant_schedule(0.1, {10: h, 20: 0.1})),
    "piecewise_constant, boundary": scheduled(lambda h: optax.piecewise_constant_schedule(0.1, {h: 0.1}), STEPS),
    "exponential, init": scheduled(lambda h: optax.exponential_decay(h, 10, 0.9)),
    "exponential, steps": scheduled(lambda h: optax.exponential_decay(0.1, h, 0.9), STEPS),
    "exponential, rate": scheduled(lambda h: optax.exponential_decay(0.1, 10, h)),
    "exponential, begin": scheduled(lambda h: optax.exponential_decay(0.1, 10, 0.9, transition_begin=h), STEPS),
    "exponential, end": scheduled(lambda h: optax.exponential_decay(0.1, 10, 0.9, end_value=h), (0.01, 0.02)),
    "exponential, staircase": scheduled(lambda h: optax.exponential_decay(0.1, 10, 0.9, staircase=h), (True, False)),
    "cosine, init": scheduled(lambda h: optax.cosine_decay_schedule(h, 100)),
    "cosine, steps": scheduled(lambda h: optax.cosine_decay_schedule(0.1, h), STEPS),
    "cosine, alpha": scheduled(lambda h: optax.cosine_decay_schedule(0.1, 100, h)),
    "cosine, exponent": scheduled(lambda h: optax.cosine_decay_schedule(0.1, 100, 0.0, h), (1.0, 2.0, 3.0)),
    "warmup_cosine, peak": scheduled(lambda h: optax.warmup_cosine_decay_schedule(0.0, h, 10, 100)),
    "warmup_cosine, warmup": scheduled(lambda h: optax.warmup_cosine_decay_schedule(0.0, 0.1, h, 100), STEPS),
    "warmup_cosine, decay": scheduled(lambda h: optax.warmup_cosine_decay_schedule(0.0, 0.1, 5, h), STEPS),
    "warmup_cosine, all": scheduled(
        lambda h: optax.warmup_cosine_decay_schedule(h * 0.1, h, 10, 100, end_value=h * 0.01)
    ),
    "warmup_exponential, peak": scheduled(lambda h: optax.warmup_exponential_decay_schedule(0.0, h, 10, 20, 0.9)),
    "warmup_exponential, warmup": scheduled(
        lambda h: optax.warmup_exponential_decay_schedule(0.0, 0.1, h, 20, 0.9), STEPS
    ),
    "warmup_constant, peak": scheduled(lambda h: optax.warmup_constant_schedule(0.0, h, 10)),
    "warmup_constant, warmup": scheduled(lambda h: optax.warmup_constant_schedule(0.0, 0.1, h), STEPS),
    "cosine_onecycle, peak": scheduled(lambda h: optax.cosine_onecycle_schedule(100, h)),
    "cosine_onecycle, steps": scheduled(lambda h: optax.cosine_onecycle_schedule(h, 0.1), (100, 101, 200)),
    "cosine_onecycle, start": scheduled(lambda h: optax.cosine_onecycle_schedule(100, 0.1, h), (0.3, 0.301, 0.5)),
    "cosine_onecycle, factor": scheduled(
        lambda h: optax.cosine_onecycle_schedule(100, 0.1, 0.3, h), (20.0, 25.0, 30.0)
    ),
    "linear_onecycle, peak": scheduled(lambda h: optax.linear_onecycle_schedule(100, h)),
    "join": scheduled(lambda h: optax.join_schedules([optax.constant_schedule(0.1), optax.constant_schedule(h)], [5])),
    "join, boundary": scheduled(
        lambda h: optax.join_schedules([optax.constant_schedule(0.1), optax.constant_schedule(0.2)], [h]), STEPS
    ),
    "sgdr": scheduled(
        lambda h: optax.sgdr_schedule([{"init_value": 0.0, "peak_value": h, "decay_steps": 50, "warmup_steps": 5}] * 2)
    ),
    "piecewise_interpolate": scheduled(lambda h: optax.piecewise_interpolate_schedule("cosine", 0.1, {10: h, 20: 0.5})),
    "own": scheduled(lambda h: lambda count: h / (1 + count)),
}

TRANSFORMATIONS = {
    "clip": chained(optax.clip),
    "clip_by_global_norm": chained(optax.clip_by_global_norm),
    "clip_by_block_rms": chained(optax.clip_by_block_rms),
    "adaptive_grad_clip": chained(optax.adaptive_grad_clip),
    "ema": chained(optax.ema),
    "trace": chained(optax.trace),
    "trace, nesterov": updated(lambda h: optax.trace(0.9, nesterov=h), (True, False)),
    "add_decayed_weights": chained(optax.add_decayed_weights),
    "add_decayed_weights, zero": chained(optax.add_decayed_weights, (0.0, 0.1)),
    "add_noise": chained(lambda h: optax.add_noise(h, 0.55, jax.random.key(0))),
    "scale": updated(lambda h: optax.scale(-h)),
    "scale_by_learning_rate": updated(optax.scale_by_learning_rate),
    "scale_by_adam": updated(
        lambda h: optax.chain(optax.scale_by_adam(b1=h, b2=1 - h * 0.1, eps=h * 1e-8), optax.scale(-h))
    ),
    "centralize": updated(lambda h: optax.chain(optax.centralize(), optax.scale(h))),
    "MultiSteps, every": updated(lambda h: optax.MultiSteps(optax.sgd(0.1), h).gradient_transformation(), (2, 3, 2)),
    "MultiSteps, rate": updated(lambda h: optax.MultiSteps(optax.adam(h), 2).gradient_transformation()),
    "apply_every": updated(optax.apply_every, (2, 3)),
    "lookahead, slow": Use(lambda h: lookahead(5, h)),
    "lookahead, period": Use(lambda h: lookahead(h, 0.5), (5, 6)),
    "apply_if_finite": updated(lambda h: optax.apply_if_finite(optax.adam(h), 5)),
    "apply_if_finite, errors": updated(lambda h: optax.apply_if_finite(optax.adam(0.1), h), (5, 6)),
    "inject": injected(lambda h: optax.inject_hyperparams(optax.adam)(learning_rate=h, b1=h)),
    "inject, schedule": injected(
        lambda h: optax.inject_hyperparams(optax.adamw)(
            learning_rate=optax.cosine_decay_schedule(h, 10), weight_decay=h
        )
    ),
    "inject, read": Use(
        lambda h: optax.inject_hyperparams(optax.adam)(learning_rate=h).init(PARAMS).hyperparams["learning_rate"]
    ),
    "multi_transform": updated(
        lambda h: optax.multi_transform({"a": optax.adam(h), "b": optax.sgd(h * 0.1)}, {"w": "a", "b": "b"})
    ),
    "partition": updated(
        lambda h: optax.partition({"a": optax.adam(h), "b": optax.set_to_zero()}, {"w": "a", "b": "b"})
    ),
    "masked": updated(lambda h: optax.masked(optax.adam(h), {"w": True, "b": False})),
    "masked by it": updated(lambda h: optax.masked(optax.adam(0.1), {"w": h > 0.15, "b": False})),
    "weight decay mask": updated(
        lambda h: optax.adamw(h, weight_decay=h, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p))
    ),
    "plateau, factor": plateau(factor=...),
    "plateau, patience": plateau(STEPS, patience=...),
    "plateau, rtol": plateau(rtol=...),
    "plateau, cooldown": plateau(STEPS, cooldown=...),
    "incremental_update": Use(lambda h: optax.incremental_update(PARAMS, PARAMS, h)),
    "periodic_update": Use(lambda h: optax.periodic_update(PARAMS, PARAMS, jnp.int32(3), h), (2, 3)),
    "conditionally_transform": updated(
        lambda h: optax.conditionally_transform(optax.sgd(0.1), lambda step: step < h), STEPS
    ),
    "backtracking, slope": chained(lambda h: optax.scale_by_backtracking_linesearch(5, slope_rtol=h), **EXTRA["lbfgs"]),
    "backtracking, steps": chained(optax.scale_by_backtracking_linesearch, (5, 6), **EXTRA["lbfgs"]),
    "keep_params_nonnegative": updated(lambda h: optax.chain(optax.sgd(h), optax.keep_params_nonnegative())),
    "named_chain": updated(lambda h: optax.named_chain(("a", optax.clip(h)), ("b", optax.sgd(h)))),
    "bf16 moments": updated(lambda h: optax.adam(h, mu_dtype=jnp.bfloat16)),
    "schedule_free": updated(lambda h: contrib.schedule_free(optax.sgd(h), h)),
    "if": updated(lambda h: optax.adam(h) if h < 0.15 else optax.sgd(h)),
    "tree.add_scale": Use(lambda h: optax.tree.add_scale(PARAMS, h, PARAMS)),
    "tree.scale": Use(lambda h: optax.tree.scale(h, PARAMS)),
    "tree.update_moment": Use(lambda h: optax.tree.update_moment(PARAMS, PARAMS, h, 1)),
    "tree.bias_correction": Use(lambda h: optax.tree.bias_correction(PARAMS, h, jnp.int32(2))),
    "projection, l2 ball": Use(lambda h: optax.projections.projection_l2_ball(PARAMS["w"], h)),
    "projection, simplex": Use(lambda h: optax.projections.projection_simplex(PARAMS["w"], h)),
    "projection, l1 ball": Use(lambda h: optax.projections.projection_l1_ball(PARAMS["w"], h)),
    "projection, box": Use(lambda h: optax.projections.projection_box(PARAMS["w"], 0.0, h)),
}

X = jnp.ones((4, 8))
LABELS = jnp.array([0, 1, 2, 3])
ONE_HOT = jax.nn.one_hot(LABELS, 8)
LOSSES = {
    "huber": Use(lambda h: optax.huber_loss(X, X, delta=h)),
    "smooth_labels": Use(lambda h: optax.softmax_cross_entropy(X, optax.smooth_labels(ONE_HOT, h))),
    "focal": Use(lambda h: optax.sigmoid_focal_loss(X, X, alpha=h, gamma=h)),
    "focal, alpha": Use(lambda h: optax.sigmoid_focal_loss(X, X, alpha=h)),
    "poly": Use(lambda h: optax.losses.poly_loss_cross_entropy(X, ONE_HOT, epsilon=h)),
    "cosine_distance": Use(lambda h: optax.cosine_distance(X, X, epsilon=h)),
    "log_cosh": Use(lambda h: optax.log_cosh(X * h, X)),
    "hinge": Use(lambda h: optax.hinge_loss(X * h, X)),
    "ntxent": Use(lambda h: optax.ntxent(X, LABELS, temperature=h)),
    "triplet_margin": Use(lambda h: optax.losses.triplet_margin_loss(X, X, X, margin=h)),
    "ctc": Use(
        lambda h: optax.ctc_loss(
            jnp.ones((2, 5, 4)), jnp.zeros((2, 5)), jnp.ones((2, 3), int), jnp.zeros((2, 3)), log_epsilon=-1e5 * h
        )
    ),
    "kl": Use(lambda h: optax.kl_divergence(jax.nn.log_softmax(X / h), ONE_HOT)),
    "sparsemax": Use(lambda h: optax.losses.multiclass_sparsemax_loss(X * h, LABELS)),
    "fenchel_young": Use(lambda h: optax.losses.make_fenchel_young_loss(jax.nn.logsumexp)(X * h, X)),
    "perturbed": Use(lambda h: optax.perturbations.make_perturbed_fun(jnp.sum, 3, h)(jax.random.key(0), X)),
    "ranking": Use(lambda h: optax.losses.ranking_softmax_loss(X * h, X)),
    "l2": Use(lambda h: optax.l2_loss(X, X) * h),
    "squared_error": Use(lambda h: optax.squared_error(X, h * X)),
    "integer labels": Use(lambda h: optax.softmax_cross_entropy_with_integer_labels(X * h, LABELS)),
    "label smoothing by hand": Use(lambda h: optax.softmax_cross_entropy(X, ONE_HOT * (1 - h) + h / 8)),
    "binary": Use(lambda h: optax.sigmoid_binary_cross_entropy(X, ONE_HOT * (1 - h))),
    "convex_kl": Use(lambda h: optax.convex_kl_divergence(X * h, ONE_HOT)),
}

USES = {
    f"{group}: {name}": use
    for group, uses in {
        "optax": {**_optimizers(optax, OPTIMIZERS), **_optimizers(contrib, CONTRIBUTED)},
        "schedule": SCHEDULES,
        "transformation": TRANSFORMATIONS,
        "loss": LOSSES,
    }.items()
    for name, use in uses.items()
}
