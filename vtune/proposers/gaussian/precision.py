"""How the linear algebra runs: in double precision, on the CPU if JAX has one, and always in the same order of sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from threadpoolctl import threadpool_limits


@contextmanager
def double() -> Iterator[None]:
    """Within, JAX computes in float64 on the CPU; the accelerator stays with the trials and no setting changes.

    The BLAS that JAX calls for factorisations takes one thread: its results would depend on the number of threads, and
    at these sizes several are slower, since they wait for one another and for those of XLA.
    """
    try:
        device = jax.devices("cpu")[0]
    except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
        device = jax.devices()[0]
    with jax.enable_x64(True), jax.default_device(device), threadpool_limits(1, user_api="blas"):
        yield
