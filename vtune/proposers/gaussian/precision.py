"""Where the linear algebra runs: in double precision, on the CPU if JAX has one, whatever the program's settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def double() -> Iterator[None]:
    """Within, JAX computes in float64 on the CPU; the accelerator stays with the trials and no setting changes."""
    try:
        device = jax.devices("cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        device = jax.devices()[0]
    with jax.enable_x64(True), jax.default_device(device):
        yield
