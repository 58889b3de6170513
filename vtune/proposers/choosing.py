"""The compiled part of TPE: scores candidates against both mixtures and picks a batch that does not crowd itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp, ndtr

from vtune.proposers.parzen import Layout, Points, Widths

_OUT_OF_TURN = 1e6
"""Taken off the gain of candidates of a focus whose turn it is not, so that it picks only if the others cannot."""


class Kernels(NamedTuple):
    """Widths of the kernels of one mixture for each focus, as arrays.

    Attributes:
      lines: standard deviations of normals [focuses, lines].
      tables: log chances against the prior of the value of this row around the value of this column
        [focuses, all values of all tables, most values].
    """

    lines: np.ndarray
    tables: np.ndarray


class Chosen(NamedTuple):
    """A batch, in the order of choice.

    Attributes:
      candidate: number of the candidate, focuses and candidates in one count, int32 [n].
      gain: log of its density among the good over that among the bad and what was chosen before it, float32 [n].
      parent: number of the good row whose kernel has the largest share in its density; -1 for the prior, int32 [n].
    """

    candidate: np.ndarray
    gain: np.ndarray
    parent: np.ndarray


def kernels(layout: Layout, widths: Sequence[Widths]) -> Kernels:
    """Puts the widths of each focus side by side for `choose`."""
    counts = [len(table.centres) for table in layout.tables]
    tables = np.zeros((len(widths), sum(counts), max(counts, default=0)), dtype=np.float32)
    for focus, one in enumerate(widths):
        start = 0
        for chances in one.tables:
            count = len(chances)
            tables[focus, start : start + count, :count] = np.log(chances.T * count)
            start += count
    lines = np.stack([one.lines for one in widths]).astype(np.float32)
    return Kernels(lines, tables)


def choose(
    layout: Layout,
    candidates: Points,
    usable: np.ndarray,
    rows: Points,
    good: np.ndarray,
    bad: np.ndarray,
    prior: np.ndarray,
    good_kernels: Kernels,
    bad_kernels: Kernels,
    repulsion: np.ndarray,
    turn: int,
    n: int,
    most: int,
) -> Chosen:
    """Picks candidates one after another, each the best by good over bad density; each then counts as bad itself.

    Args:
      layout: of the space.
      candidates: [focuses, m] of them; each focus has its own kernels, and they take turns.
      usable: which candidates may be picked, bool [focuses, m].
      rows: told configurations [k], the good ones first.
      good: log weights of the first rows in the good mixture, [focuses, g], -inf for none.
      bad: log weights of rows in the bad mixture, [focuses, k].
      prior: log weights of the prior in the good and in the bad mixture, [2, focuses].
      good_kernels: kernels of the good mixture.
      bad_kernels: kernels of the bad mixture.
      repulsion: log weight of a picked candidate in the bad mixture [focuses].
      turn: number of the focus that picks first.
      n: how many to pick.
      most: length of the arrays returned, at least n.
    """
    counts = tuple(len(table.centres) for table in layout.tables)
    chosen = _choose(
        candidates, usable, rows, good, bad, prior, good_kernels, bad_kernels,
        repulsion, np.int32(turn), np.int32(n), counts=counts, most=most,
    )  # fmt: skip
    return Chosen(*(np.asarray(array)[:n] for array in chosen))


@partial(jax.jit, static_argnames=("counts", "most"))
def _choose(candidates, usable, rows, good, bad, prior, good_kernels, bad_kernels, repulsion, turn, n, *, counts, most):
    features = jax.vmap(partial(_features, counts=counts))(candidates)
    leading = Points(*(array[: good.shape[1]] for array in rows))
    ours = _densities(features, leading, good_kernels, good, counts)
    theirs = _densities(features, rows, bad_kernels, bad, counts)
    log_good = jnp.logaddexp(logsumexp(ours, axis=2), prior[0, :, None])
    log_bad = jnp.logaddexp(logsumexp(theirs, axis=2), prior[1, :, None])
    alone = jnp.where(usable, log_good, -jnp.inf)
    focuses, m = usable.shape
    own = jnp.arange(focuses)[:, None]

    def pick(i, carry):
        log_bad, usable, chosen, gains = carry
        gain = jnp.where(usable, alone - log_bad, -jnp.inf)
        best = jnp.argmax(jnp.where(own == (turn + i) % focuses, gain, gain - _OUT_OF_TURN)).astype(jnp.int32)
        point = Points(*(array.reshape(focuses * m, -1)[best][None] for array in candidates))
        near = _densities(features, point, bad_kernels, repulsion[:, None], counts)
        log_bad = jnp.logaddexp(log_bad, near[:, :, 0])
        usable = usable.at[best // m, best % m].set(False)
        return log_bad, usable, chosen.at[i].set(best), gains.at[i].set(gain.reshape(-1)[best])

    start = (log_bad, usable, jnp.zeros(most, jnp.int32), jnp.zeros(most, jnp.float32))
    _, _, chosen, gains = lax.fori_loop(0, n, pick, start)
    shares = ours.reshape(focuses * m, -1)[chosen]
    parent = jnp.where(shares.max(axis=1) > prior[0, chosen // m], shares.argmax(axis=1), -1)
    return chosen, gains, parent.astype(jnp.int32)


def _features(points, *, counts):
    """What a kernel's log density is linear in, [n, features]; all zero for what is not active."""
    active = ~jnp.isnan(points.values)
    centred = jnp.where(active, points.values - 0.5, 0.0)
    table, value = _places(counts)
    return jnp.concatenate([centred**2, centred, active, points.indices[:, table] == value], axis=1)


def _places(counts):
    """Table and value of each entry of all tables side by side."""
    table = np.repeat(np.arange(len(counts)), np.array(counts, dtype=np.int64))
    value = np.concatenate([np.arange(0), *map(np.arange, counts)])
    return table, value


def _densities(features, rows, kernels, log_weights, counts):
    """Log weighted densities of candidates under each kernel, against the prior [focuses, m, rows]."""
    coefficients = jax.vmap(partial(_coefficients, rows, counts=counts))(kernels)
    products = jnp.einsum("gmf,gkf->gmk", features, coefficients, precision=lax.Precision.HIGHEST)
    return products + log_weights[:, None, :]


def _coefficients(rows, kernels, *, counts):
    """What features are multiplied by, for each row [rows, features]."""
    active = ~jnp.isnan(rows.values)
    centre = jnp.where(active, rows.values - 0.5, 0.0)
    width = kernels.lines
    inside = ndtr((0.5 - centre) / width) - ndtr((-0.5 - centre) / width)
    constant = -0.5 * (centre / width) ** 2 - jnp.log(width * inside) - 0.5 * jnp.log(2 * jnp.pi)
    normal = jnp.concatenate([jnp.broadcast_to(-0.5 / width**2, centre.shape), centre / width**2, constant], axis=1)
    table, _ = _places(counts)
    place = rows.indices[:, table]
    looked_up = kernels.tables[jnp.arange(len(table)), jnp.maximum(place, 0)]
    return jnp.concatenate([normal * jnp.tile(active, (1, 3)), jnp.where(place >= 0, looked_up, 0.0)], axis=1)
