"""Uses of plain Python, math and NumPy with hyperparameters in place of numbers.

`hp.r` is a float (0.3), `hp.n` and `hp.m` are integers (4 and 7), `hp.b` is a truth value.
Each use comes with what it must be: "traced", or the kinds of the guards that it may leave.
"""

from __future__ import annotations

import copy
import decimal
import fractions
import math
import numbers

import jax
import jax.numpy as jnp
import numpy as np

CONFIG = {"r": 0.3, "n": 4, "m": 7, "b": True}
OTHERS = (
    {"r": 0.35, "n": 4, "m": 7, "b": True},
    {"r": 0.3, "n": 5, "m": 7, "b": True},
    {"r": 0.0, "n": 4, "m": 3, "b": False},
    {"r": 0.9, "n": 1, "m": 2, "b": True},
)
X = jnp.ones((3,))
HALF = jnp.ones((3,), jnp.bfloat16)

TRACED = {
    "NumPy sqrt": lambda hp: X * np.sqrt(hp.r),
    "NumPy log10": lambda hp: X * np.log10(hp.r),
    "NumPy maximum": lambda hp: X * np.maximum(hp.r, 0.1),
    "NumPy clip": lambda hp: X * np.clip(hp.r, 0, 1),
    "NumPy where": lambda hp: X * np.where(hp.r > 0.1, hp.r, 1.0),
    "NumPy scalar": lambda hp: np.float32(2) * hp.r * X,
    "NumPy array times it": lambda hp: np.ones(3, np.float32) * hp.r,
    "it times NumPy array": lambda hp: hp.r * np.ones(3, np.float32),
    "NumPy double and bf16": lambda hp: np.float64(2) * hp.r * HALF,
    "NumPy divmod": lambda hp: X * np.divmod(hp.m, 2)[0],
    "round to digits": lambda hp: X * round(hp.r, 2),
    "abs": lambda hp: X * abs(-hp.r),
    "sum": lambda hp: X * sum([hp.r, hp.r]),
    "arithmetic": lambda hp: X * (hp.r**2 + 2 * hp.r - 1 / (hp.r + 1) + hp.m // 2 + hp.m % 3 + (+hp.r)),
    "power of a constant": lambda hp: X * 0.9**hp.r * 0.9**hp.n,
    "divmod": lambda hp: divmod(hp.m, 2)[0] * X + divmod(9, hp.n)[1],
    "bits": lambda hp: X * ((hp.n | 1) + (hp.n & 6) + (hp.n ^ 3) + (hp.n << 1) + (hp.m >> 1) + (~hp.n)),
    "truth value in arithmetic": lambda hp: X * ((hp.r > 0.1) + 1) * (hp.r > 0.1),
    "truth values combined": lambda hp: jnp.where((hp.r > 0.1) & (hp.r < 0.8) | (hp.n > 9), X, 0.0),
    "comparison with an array": lambda hp: jnp.where(hp.r < X, 1.0, hp.r) + jnp.where(hp.r < X, 1.0, 0.0),
    "complex": lambda hp: X * hp.r * 1j,
    "copy": lambda hp: X * copy.copy(hp.r) * copy.deepcopy([hp.r])[0] * copy.deepcopy({"a": hp.r})["a"],
    "jnp.array": lambda hp: jnp.array([hp.r, 1.0]),
    "jnp.asarray": lambda hp: jnp.asarray(hp.r) * X,
    "jnp.stack": lambda hp: jnp.stack([hp.r, hp.r * 2]),
    "jnp functions": lambda hp: jnp.exp(hp.r) + jnp.power(hp.r, 2) + jnp.clip(X, 0, hp.r) + jnp.full((3,), hp.r),
    "jnp.linspace": lambda hp: jnp.linspace(0, hp.r, 3) + jnp.minimum(hp.r, 1.0),
    "jnp.float32": lambda hp: jnp.float32(hp.r) * X,
    "lax.exp": lambda hp: jax.lax.exp(jnp.asarray(hp.r)) * X,
    "bf16": lambda hp: HALF * hp.r + HALF * (hp.r * 2 + 1) + HALF * hp.n + HALF * jnp.sqrt(hp.r),
    "bf16 and NumPy": lambda hp: HALF * np.sqrt(hp.r),
    "bf16 where": lambda hp: jnp.where(hp.r < HALF, HALF, hp.r),
    "grad of it": lambda hp: jax.grad(lambda r: (r * X).sum())(hp.r),
    "tree.map": lambda hp: jax.tree.map(lambda v: v * 2, {"a": hp.r})["a"] * X,
    "kinds of number": lambda hp: X * [isinstance(hp.r, numbers.Number), np.isscalar(hp.r)].count(True),
    "not a string": lambda hp: 2 * X if hp.r == "auto" or hp.r is None or hp.r in (None, "x") else X,
    "equal to itself": lambda hp: X if hp.r == hp.r and (hp.r != hp.r) is False else 2 * X,
    "conjugate": lambda hp: X * hp.r.conjugate() * hp.r.real + hp.r.imag,
}

GUARDED = {
    "== ": (lambda hp: X if hp.r == 0.0 else X * hp.r, {"bool"}),
    "truth": (lambda hp: X * hp.r if hp.r else X, {"bool"}),
    "and, not": (lambda hp: X if (hp.r > 0.1 and not hp.n > 5) else 2 * X, {"bool"}),
    "chained": (lambda hp: X if 0 < hp.r < 1 else 2 * X, {"bool"}),
    "NumPy comparison": (lambda hp: X if np.exp(hp.r) > 1 else X * 2, {"bool"}),
    "in a tuple": (lambda hp: X if hp.n in (1, 2, 4) else X * 2, {"bool"}),
    "two of them": (lambda hp: X if hp.n < hp.m else 2 * X, {"bool"}),
    "min, max": (lambda hp: X * min(hp.r, 0.5) * max(hp.n, hp.m), {"bool"}),
    "sorted": (lambda hp: X * sorted([hp.m, hp.n])[0], {"bool"}),
    "is_integer": (lambda hp: X if (hp.r * 10).is_integer() else 2 * X, {"bool"}),
    "enumerate": (lambda hp: [X for i, _ in enumerate("abcdef") if i < hp.n], {"bool"}),
    "plain truth value": (lambda hp: X if hp.b else 2 * X, {"equal"}),
    "negative power": (lambda hp: X * 2.0 ** (-hp.n) * 2**hp.n, {"bool"}),
    "int": (lambda hp: jnp.ones(int(hp.n)), {"int"}),
    "int of a float": (lambda hp: jnp.ones(int(hp.r * 10)), {"int"}),
    "trunc": (lambda hp: jnp.ones(math.trunc(hp.r * 10)), {"int"}),
    "floor": (lambda hp: jnp.ones(math.floor(hp.r * 10)), {"floor"}),
    "ceil": (lambda hp: jnp.ones(math.ceil(hp.r * 10)), {"ceil"}),
    "round": (lambda hp: jnp.ones(round(hp.r * 10)), {"round"}),
    "range": (lambda hp: sum(X * i for i in range(hp.n)), {"int"}),
    "shape": (lambda hp: jnp.ones((hp.n, 2)), {"int"}),
    "half a shape": (lambda hp: jnp.ones(hp.m // 2), {"int"}),
    "reshape": (lambda hp: jnp.ones(20).reshape(hp.n, -1), {"int"}),
    "list times": (lambda hp: jnp.array([1.0] * hp.n), {"int"}),
    "slice": (lambda hp: jnp.ones(9)[: hp.n], {"int"}),
    "jnp.arange": (lambda hp: jnp.arange(hp.n), {"int"}),
    "jnp.linspace, count": (lambda hp: jnp.linspace(0, 1, hp.n), {"int"}),
    "power of two": (lambda hp: jnp.ones(2**hp.n), {"int", "bool"}),
    "next power of two": (lambda hp: jnp.ones(1 << (hp.m - 1).bit_length()), {"int"}),
    "rounded up": (lambda hp: jnp.ones((hp.m + 1) // 2 * 2), {"int"}),
    "pow with modulo": (lambda hp: X * pow(hp.n, 2, 7), {"int"}),
    "string": (lambda hp: {f"l{hp.n}": X}, {"str"}),
    "formatted": (lambda hp: {f"{hp.r:.1f}": X}, {"str"}),
}

EXACT = {
    "float": lambda hp: X * float(hp.r),
    "complex()": lambda hp: X * complex(hp.r),
    "math.sqrt": lambda hp: X * math.sqrt(hp.r),
    "math.log2": lambda hp: jnp.ones(round(math.log2(hp.n))),
    "math.isclose": lambda hp: X if math.isclose(hp.r, 0.3) else 2 * X,
    "ratio": lambda hp: X * (hp.r.as_integer_ratio()[0] % 7),
    "dict key": lambda hp: X * {4: 1.0, 8: 2.0, 5: 3.0, 1: 4.0}[hp.n],
    "dict.get": lambda hp: X * {0.3: 1.0}.get(hp.r, 5.0),
    "set": lambda hp: X if hp.n in {1, 2, 4} else 2 * X,
    "np.array": lambda hp: jnp.asarray(np.array([hp.r, hp.r])),
    "np.float32": lambda hp: np.float32(hp.r) * X,
    "Decimal": lambda hp: X * float(decimal.Decimal(float(hp.r))),
    "Fraction": lambda hp: X * (hp.r * fractions.Fraction(1, 2)),
}
