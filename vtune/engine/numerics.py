"""JAX's own settings that decide how numbers are computed: what held where a study was made holds where it trains."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax


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
