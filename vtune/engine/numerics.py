"""JAX's own settings that decide how numbers are computed: what held where a study was made holds where it trains."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax

_SETTINGS = ("default_matmul_precision", "enable_x64", "numpy_dtype_promotion", "numpy_rank_promotion", "debug_nans")
"""Those that a `with` statement may change in one thread, and that change what is traced."""


def numerics() -> dict[str, Any]:
    """The settings of this thread, by name.

    >>> with jax.default_matmul_precision("highest"):
    ...     numerics()["default_matmul_precision"]
    'highest'
    """
    return {name: getattr(jax.config, f"jax_{name}") for name in _SETTINGS}


@contextlib.contextmanager
def under(settings: Mapping[str, Any]) -> Iterator[None]:
    """Gives this thread JAX's settings of another time or thread, by name.

    >>> with under({"default_matmul_precision": "highest"}):
    ...     jax.config.jax_default_matmul_precision
    'highest'
    """
    with contextlib.ExitStack() as stack:
        for name, value in settings.items():
            stack.enter_context(getattr(jax, name)(value))
        yield


def precision(settings: Mapping[str, Any]) -> str | None:
    """What of the settings the results depend on, in words; None for JAX's defaults.

    >>> precision({"default_matmul_precision": "highest", "enable_x64": True})
    'matrix products highest, 64 bits'
    >>> precision({"default_matmul_precision": None, "enable_x64": False}) is None
    True
    """
    products = settings["default_matmul_precision"]
    parts = [f"matrix products {products}"] * (products is not None) + ["64 bits"] * bool(settings["enable_x64"])
    return ", ".join(parts) or None
