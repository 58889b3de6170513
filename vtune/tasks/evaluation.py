"""Runs a model over whole data sets in batches of bounded size, and adds up what the metrics need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vtune.tasks.data import rows

MAX_ROWS = 512
"""Most rows that are evaluated at once."""


def batch_rows(total: int, most: int = MAX_ROWS) -> int:
    """The size of equal batches for `total` rows: all; else the largest divisor above half of `most`; else `most`.

    >>> batch_rows(360), batch_rows(2000), batch_rows(1009)
    (360, 500, 512)
    """
    if total <= most:
        return total
    return next((size for size in range(most, most // 2, -1) if total % size == 0), most)


def totals(sums: Callable[[Any, Any], Any], sets: Sequence[Any], key: Any, most: int = MAX_ROWS) -> list[Any]:
    """Adds `sums(batch, key)` over each data set.

    Rows that do not fill a batch form one more batch of their own size: nothing is padded, so the totals are right for
    any model. Data sets of equal length run through one traced loop.

    Args:
      sums: (batch, key) -> pytree of arrays; every batch gets a key of its own.
      sets: data sets, pytrees of arrays `[rows, ...]` of one structure.
      key: PRNG key.
      most: rows evaluated at once, at most.

    Returns:
      One pytree of totals for each data set.
    """
    if len({rows(each) for each in sets}) > 1:
        return [totals(sums, [each], jax.random.fold_in(key, place), most)[0] for place, each in enumerate(sets)]
    total = rows(sets[0])
    size = batch_rows(total, most)
    whole = total // size * size
    added = _loop(
        sums, [jax.tree.map(lambda leaf: leaf[:whole], each) for each in sets], size, jax.random.fold_in(key, 0)
    )
    if whole < total:
        tails = [jax.tree.map(lambda leaf: leaf[whole:], each) for each in sets]
        rest = _loop(sums, tails, total - whole, jax.random.fold_in(key, 1))
        added = jax.tree.map(jnp.add, added, rest)
    return [jax.tree.map(lambda leaf: leaf[place], added) for place in range(len(sets))]  # noqa: B023


def _loop(sums: Callable[[Any, Any], Any], sets: Sequence[Any], size: int, key: Any) -> Any:
    """Totals `[sets, ...]` over sets whose length is a multiple of `size`."""
    batches = jax.tree.map(
        lambda *leaves: jnp.concatenate([leaf.reshape(-1, size, *leaf.shape[1:]) for leaf in leaves]), *sets
    )
    count = rows(batches)

    def one(_: None, item: tuple[Any, Any]) -> tuple[None, Any]:
        batch, place = item
        return None, sums(batch, jax.random.fold_in(key, place))

    _, each = jax.lax.scan(one, None, (batches, jnp.arange(count)))
    return jax.tree.map(lambda leaf: leaf.reshape(len(sets), -1, *leaf.shape[1:]).sum(1), each)
