"""Uses of jax, jax.numpy, jax.nn and jax.random with a hyperparameter `h` in place of a number."""

from __future__ import annotations

import functools

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jax import lax, nn, random
from uses import Use

I = (3, 4, 3)  # noqa: E741
KEY = random.key(0)
X = jnp.ones((4, 8))


@jax.custom_vjp
def scaled(x, s):
    return x * s


scaled.defvjp(lambda x, s: (x * s, (x, s)), lambda kept, g: (g * kept[1], (g * kept[0]).sum()))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def scaled_fixed(x, s):
    return x * s


scaled_fixed.defvjp(lambda x, s: (x * s, None), lambda s, kept, g: (g * s,))


@jax.custom_jvp
def scaled_forward(x, s):
    return x * s


scaled_forward.defjvp(lambda primals, tangents: (primals[0] * primals[1], tangents[0] * primals[1]))


@functools.partial(jax.jit, static_argnames="s")
def scaled_static(x, s):
    return x * s


RANDOM = {
    "bernoulli": Use(lambda h: random.bernoulli(KEY, h, (3,))),
    "bernoulli of the rest": Use(lambda h: random.bernoulli(KEY, 1 - h, (3,))),
    "uniform": Use(lambda h: random.uniform(KEY, (3,), minval=-h, maxval=h)),
    "normal": Use(lambda h: random.normal(KEY, (3,)) * h),
    "truncated_normal": Use(lambda h: random.truncated_normal(KEY, -h, h, (3,))),
    "dirichlet": Use(lambda h: random.dirichlet(KEY, jnp.full(3, h))),
    "dirichlet, shaped": Use(lambda h: random.dirichlet(KEY, jnp.ones(3) * h, (2,))),
    "beta": Use(lambda h: random.beta(KEY, h, h)),
    "gamma": Use(lambda h: random.gamma(KEY, h, (2,))),
    "loggamma": Use(lambda h: random.loggamma(KEY, h)),
    "poisson": Use(lambda h: random.poisson(random.key(0, impl="threefry2x32"), h, (2,))),
    "exponential": Use(lambda h: random.exponential(KEY) * h),
    "laplace": Use(lambda h: random.laplace(KEY) * h),
    "gumbel": Use(lambda h: random.gumbel(KEY, (3,)) * h),
    "categorical": Use(lambda h: random.categorical(KEY, X / h)),
    "t": Use(lambda h: random.t(KEY, h, (2,))),
    "binomial": Use(lambda h: random.binomial(KEY, 10, h, (2,))),
    "geometric": Use(lambda h: random.geometric(KEY, h, (2,))),
    "multivariate_normal": Use(lambda h: random.multivariate_normal(KEY, jnp.zeros(2), jnp.eye(2) * h)),
    "pareto": Use(lambda h: random.pareto(KEY, h, (2,))),
    "weibull_min": Use(lambda h: random.weibull_min(KEY, h, h, (2,))),
    "chisquare": Use(lambda h: random.chisquare(KEY, h, shape=(2,))),
    "lognormal": Use(lambda h: random.lognormal(KEY, h)),
    "triangular": Use(lambda h: random.triangular(KEY, 0.0, h, 1.0)),
    "rayleigh": Use(lambda h: random.rayleigh(KEY, h)),
    "wald": Use(lambda h: random.wald(KEY, h)),
    "double_sided_maxwell": Use(lambda h: random.double_sided_maxwell(KEY, 0.0, h, (2,))),
    "generalized_normal": Use(lambda h: random.generalized_normal(KEY, h, (2,))),
    "multinomial": Use(lambda h: random.multinomial(KEY, h, jnp.ones(3) / 3)),
    "randint": Use(lambda h: random.randint(KEY, (2,), 0, h), I),
    "choice, shape": Use(lambda h: random.choice(KEY, 10, (h,)), I),
    "choice, of n": Use(lambda h: random.choice(KEY, h, (2,)), I),
    "split": Use(lambda h: random.split(KEY, h), I),
    "fold_in": Use(lambda h: random.fold_in(KEY, h), I),
    "key": Use(lambda h: random.normal(random.key(h)), I),
    "PRNGKey": Use(lambda h: random.normal(random.PRNGKey(h)), I),
    "permutation": Use(lambda h: random.permutation(KEY, h), I),
    "rademacher": Use(lambda h: random.rademacher(KEY, (h,)), I),
}

CONTROL = {
    "cond, predicate": Use(lambda h: lax.cond(h > 0.15, lambda: X, lambda: X * 2)),
    "cond, operand": Use(lambda h: lax.cond(X[0, 0] > 0, lambda a: X * a, lambda a: X, h)),
    "cond, result": Use(lambda h: lax.cond(X[0, 0] > 0, lambda: h, lambda: h * 2)),
    "cond, one result": Use(lambda h: lax.cond(X[0, 0] > 0, lambda: h * 1.0, lambda: 0.0)),
    "cond, closure": Use(lambda h: lax.cond(X[0, 0] > 0, lambda: X * h, lambda: X)),
    "cond, if inside": Use(lambda h: lax.cond(X[0, 0] > 0, lambda: X if h > 0.15 else 2 * X, lambda: X)),
    "switch, index": Use(lambda h: lax.switch(h, [lambda: X, lambda: 2 * X, lambda: 3 * X, lambda: 4 * X]), I),
    "switch, operand": Use(lambda h: lax.switch(jnp.int32(1), [lambda a: X * a, lambda a: X], h)),
    "list index": Use(lambda h: [lambda k=k: k * X for k in range(5)][h](), I),
    "while, closure": Use(lambda h: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * h), (0, X))),
    "while, condition": Use(lambda h: lax.while_loop(lambda c: c < h, lambda c: c + 1, 0), I),
    "while, carry": Use(lambda h: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1]), (0, h))),
    "while, carry changes": Use(
        lambda h: lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 0.5), (0, h)),
    ),
    "fori, upper": Use(lambda h: lax.fori_loop(0, h, lambda i, a: a + 1, 0.0), I),
    "fori, upper, grad": Use(lambda h: jax.grad(lambda w: lax.fori_loop(0, h, lambda i, a: a * w, 1.0))(2.0), I),
    "fori, lower": Use(lambda h: lax.fori_loop(h, 10, lambda i, a: a + 1, 0.0), I),
    "fori, carry changes": Use(lambda h: lax.fori_loop(0, 3, lambda i, a: a * 0.5, h)),
    "fori, unroll": Use(lambda h: lax.fori_loop(0, 4, lambda i, a: a + 1, 0.0, unroll=h), I),
    "scan, closure": Use(lambda h: lax.scan(lambda c, _: (c * h, None), X, None, length=3)),
    "scan, length": Use(lambda h: lax.scan(lambda c, _: (c * 2, None), X, None, length=h), I),
    "scan, carry": Use(lambda h: lax.scan(lambda c, _: ((c[0] * c[1], c[1]), None), (X, h), None, length=3)),
    "scan, carry changes": Use(
        lambda h: lax.scan(lambda c, _: ((c[0] * c[1], c[1] * 0.9), None), (X, h), None, length=3)
    ),
    "scan, output": Use(lambda h: lax.scan(lambda c, _: (c, h), X, None, length=3)),
    "scan, unroll": Use(lambda h: lax.scan(lambda c, _: (c * 2, None), X, None, length=4, unroll=h), (2, 4)),
    "map": Use(lambda h: lax.map(lambda v: v * h, X)),
    "associative_scan": Use(lambda h: lax.associative_scan(lambda a, b: a * h + b, X)),
    "select": Use(lambda h: lax.select(h < X, X, X * h)),
    "clamp": Use(lambda h: lax.clamp(-h, X, h)),
    "dynamic_slice, start": Use(lambda h: lax.dynamic_slice(jnp.ones(9), (h,), (2,)), I),
    "dynamic_slice, size": Use(lambda h: lax.dynamic_slice(jnp.ones(9), (0,), (h,)), I),
    "top_k": Use(lambda h: lax.top_k(X, h), I),
    "stop_gradient": Use(lambda h: lax.stop_gradient(h) * X),
    "iota": Use(lambda h: lax.iota(jnp.float32, h), I),
    "full": Use(lambda h: lax.full((2,), h)),
    "conv, kernel": Use(
        lambda h: lax.conv_general_dilated(
            jnp.ones((1, 8, 8, 1)),
            jnp.ones((h, h, 1, 2)),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ),
        I,
    ),
    "broadcast": Use(lambda h: lax.broadcast(X, (h,)), I),
}

NUMPY = {
    "where": Use(lambda h: jnp.where(h < X, X, h)),
    "where, condition": Use(lambda h: jnp.where(h > 0.15, X, 0.0)),
    "array": Use(lambda h: jnp.array([h, 1.0])),
    "quantile": Use(lambda h: jnp.quantile(X, h)),
    "pad": Use(lambda h: jnp.pad(X, h), I),
    "pad, value": Use(lambda h: jnp.pad(X, 1, constant_values=h)),
    "roll": Use(lambda h: jnp.roll(X, h), I),
    "repeat": Use(lambda h: jnp.repeat(X, h), I),
    "tile": Use(lambda h: jnp.tile(X, h), I),
    "eye": Use(lambda h: jnp.eye(h), I),
    "axis": Use(lambda h: X.sum(axis=h), (0, 1)),
    "arange, step": Use(lambda h: jnp.arange(0.0, 1.0, h), (0.1, 0.2)),
    "index": Use(lambda h: jnp.arange(9)[h], I),
    "slice": Use(lambda h: jnp.arange(9)[:h], I),
    "at, value": Use(lambda h: X.at[0].mul(h)),
    "einsum": Use(lambda h: jnp.einsum("ij,ij->i", X, X * h)),
    "tril": Use(lambda h: jnp.tril(X, h), I),
    "interp": Use(lambda h: jnp.interp(h, jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0]))),
    "polyval": Use(lambda h: jnp.polyval(jnp.array([h, 1.0]), X)),
    "norm, order": Use(lambda h: jnp.linalg.norm(X, ord=h), (1, 2)),
    "norm, real order": Use(lambda h: jnp.linalg.norm(X.ravel(), ord=h), (1.5, 2.5)),
    "power": Use(lambda h: X**h),
    "power of": Use(lambda h: h**X),
    "integer power": Use(lambda h: X**h, (2, 3, 4)),
    "one_hot": Use(lambda h: nn.one_hot(jnp.array([1]), h), I),
    "bf16": Use(lambda h: jnp.astype(X, jnp.bfloat16) * h),
    "reshape": Use(lambda h: X.reshape(h, -1), (2, 4)),
    "isclose": Use(lambda h: jnp.isclose(X, X, atol=h)),
    "nan_to_num": Use(lambda h: jnp.nan_to_num(X, nan=h)),
    "cumprod": Use(lambda h: jnp.cumprod(jnp.full(5, h))),
    "geomspace": Use(lambda h: jnp.geomspace(h, 1.0, 4)),
    "histogram": Use(lambda h: jnp.histogram(X, bins=h), I),
    "bincount": Use(lambda h: jnp.bincount(jnp.array([1]), length=h), I),
    "segment_sum": Use(lambda h: jax.ops.segment_sum(X, jnp.array([0, 1, 1, 0]), num_segments=h), I),
    "betainc": Use(lambda h: jax.scipy.special.betainc(h, h, 0.5)),
    "logpdf": Use(lambda h: jax.scipy.stats.norm.logpdf(X, scale=h)),
    "resize": Use(lambda h: jax.image.resize(X, (h, 8), "linear"), I),
}

ACTIVATIONS = {
    "relu": Use(lambda h: nn.relu(X * h)),
    "leaky_relu": Use(lambda h: nn.leaky_relu(X, h)),
    "elu": Use(lambda h: nn.elu(X, h)),
    "celu": Use(lambda h: nn.celu(X, h)),
    "gelu": Use(lambda h: nn.gelu(X * h)),
    "softplus": Use(lambda h: nn.softplus(X * h) / h),
    "silu": Use(lambda h: nn.silu(h * X)),
    "hard_tanh": Use(lambda h: nn.hard_tanh(X * h)),
    "logsumexp": Use(lambda h: nn.logsumexp(X, b=h)),
    "squareplus": Use(lambda h: nn.squareplus(X, h)),
    "standardize": Use(lambda h: nn.standardize(X, epsilon=h)),
    "softmax": Use(lambda h: nn.softmax(X / h)),
    "attention": Use(lambda h: nn.dot_product_attention(*[jnp.ones((1, 2, 2, 4))] * 3, scale=h)),
    "glu": Use(lambda h: nn.glu(X * h)),
    "relu of it": Use(lambda h: nn.relu(h) * X),
    "sigmoid of it": Use(lambda h: nn.sigmoid(h) * X),
    "softplus of it": Use(lambda h: nn.softplus(h) * X),
    "gelu of it": Use(lambda h: nn.gelu(h) * X),
}

TRANSFORMS = {
    "checkpoint, closure": Use(lambda h: jax.grad(lambda w: jax.checkpoint(lambda v: (X * v * h).sum())(w))(1.0)),
    "checkpoint, argument": Use(
        lambda h: jax.grad(lambda w: jax.checkpoint(lambda v, a: (X * v * a).sum())(w, h))(1.0)
    ),
    "custom_vjp": Use(lambda h: jax.grad(lambda w: scaled(w, h).sum())(X)),
    "custom_vjp, nondiff": Use(lambda h: jax.grad(lambda w: scaled_fixed(w, h).sum())(X)),
    "custom_jvp": Use(lambda h: jax.grad(lambda w: scaled_forward(w, h).sum())(X)),
    "grad, closure": Use(lambda h: jax.grad(lambda w: (w * h).sum())(X)),
    "grad, if": Use(lambda h: jax.grad(lambda w: (w * h).sum() if h > 0.15 else w.sum())(X)),
    "grad of it": Use(lambda h: jax.grad(lambda a: (X * a).sum())(h)),
    "hessian": Use(lambda h: jax.hessian(lambda w: (w**2 * h).sum())(jnp.ones(3))),
    "jvp": Use(lambda h: jax.jvp(lambda w: w * h, (X,), (X,))),
    "jvp of it": Use(lambda h: jax.jvp(lambda a: X * a, (h,), (1.0,))),
    "vjp": Use(lambda h: jax.vjp(lambda w: w * h, X)[1](X)),
    "linearize": Use(lambda h: jax.linearize(lambda w: w * h, X)[1](X)),
    "value_and_grad, aux": Use(
        lambda h: jax.value_and_grad(lambda w: ((w * h).sum(), {"h": h * 1.0}), has_aux=True)(X)
    ),
    "vmap, closure": Use(lambda h: jax.vmap(lambda v: v * h)(X)),
    "vmap, None": Use(lambda h: jax.vmap(lambda v, a: v * a, in_axes=(0, None))(X, h)),
    "vmap, if": Use(lambda h: jax.vmap(lambda v: v * h if h > 0.15 else v)(X)),
    "vmap of grad, if": Use(lambda h: jax.vmap(jax.grad(lambda v: (v * h if h > 0.15 else v).sum()))(X)),
    "jit, closure": Use(lambda h: jax.jit(lambda v: v * h)(X)),
    "jit, argument": Use(lambda h: jax.jit(lambda v, a: v * a)(X, h)),
    "jit, static": Use(lambda h: scaled_static(X, s=h)),
    "jit, result": Use(lambda h: jax.jit(lambda a: a * 2)(h) * X),
    "jit, tree": Use(lambda h: jax.jit(lambda t: jax.tree.map(lambda v: v * 2, t))({"a": h})["a"] * X),
    "eval_shape": Use(lambda h: jnp.zeros(jax.eval_shape(lambda a: X * a, h).shape)),
    "pure_callback": Use(
        lambda h: jax.pure_callback(
            lambda a: np.float32(a), jax.ShapeDtypeStruct((), jnp.float32), h, vmap_method="sequential"
        )
    ),
    "named_call": Use(lambda h: jax.named_call(lambda v: v * h)(X)),
    "tree.reduce": Use(lambda h: jax.tree.reduce(lambda a, b: a + b, {"a": h, "b": h})),
    "ravel_pytree": Use(lambda h: jax.flatten_util.ravel_pytree({"a": h, "w": X})[0]),
    "stack": Use(lambda h: jax.vmap(lambda a: a * 2)(jnp.stack([h, h]))),
    "closure_convert": Use(lambda h: jax.closure_convert(lambda v: v * h, X)[0](X)),
    "donate": Use(lambda h: jax.jit(lambda v, a: v * a)(X + 0, h)),
    "lru_cache": Use(lambda h: functools.lru_cache(lambda a: X * 2)(h)),
    "Partial": Use(lambda h: jax.tree_util.Partial(lambda a, v: v * a, h)(X)),
    "Partial through jit": Use(lambda h: jax.jit(lambda f, v: f(v))(jax.tree_util.Partial(lambda a, v: v * a, h), X)),
    "debug.print": Use(lambda h: (jax.debug.callback(lambda a: None, h), X * h)[1]),
}

_INITIALIZERS = {
    "variance_scaling": lambda h: nn.initializers.variance_scaling(h, "fan_in", "normal"),
    "variance_scaling, truncated": lambda h: nn.initializers.variance_scaling(h, "fan_in", "truncated_normal"),
    "variance_scaling, uniform": lambda h: nn.initializers.variance_scaling(h, "fan_avg", "uniform"),
    "normal": nn.initializers.normal,
    "uniform": nn.initializers.uniform,
    "constant": nn.initializers.constant,
    "truncated_normal": nn.initializers.truncated_normal,
    "truncated_normal, bounds": lambda h: nn.initializers.truncated_normal(0.1, lower=-h, upper=h),
    "orthogonal": nn.initializers.orthogonal,
}
INITIALIZERS = {
    f"{name}, {dtype.__name__}": Use(lambda h, make=make, dtype=dtype: make(h)(KEY, (8, 8), dtype))
    for name, make in _INITIALIZERS.items()
    for dtype in (jnp.float32, jnp.bfloat16)
    if (name, dtype) != ("orthogonal", jnp.bfloat16)  # LAPACK has no bfloat16
} | {
    "delta_orthogonal": Use(lambda h: nn.initializers.delta_orthogonal(h)(KEY, (3, 8, 8))),
    "glorot_normal, axis": Use(lambda h: nn.initializers.glorot_normal(in_axis=h)(KEY, (8, 8)), (-2, -1)),
    "constant, array": Use(lambda h: nn.initializers.constant(h)(KEY, ())),
}

USES = {
    f"{group}: {name}": use
    for group, uses in {
        "random": RANDOM,
        "control": CONTROL,
        "numpy": NUMPY,
        "nn": ACTIVATIONS,
        "transform": TRANSFORMS,
        "init": INITIALIZERS,
    }.items()
    for name, use in uses.items()
}
