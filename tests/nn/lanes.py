"""Runs a function of `hp` as the lanes of one packed program."""

import jax
import numpy as np

from vtune.hyper import Packing, Session
from vtune.space import Space


def in_lanes(function, space, configs, *args, packing=Packing()):
    """What function(hp, *args) gives for each config, `[lanes, ...]`, and the session that learned its guards."""
    space = space if isinstance(space, Space) else Space(**space)
    filled = space.fill(configs)
    session = Session(filled[0], space, packing=packing)
    program = jax.jit(jax.vmap(session.bind(function), in_axes=(0, *[None] * len(args))))
    compiled = program.lower(session.abstract_columns(len(filled)), *args).compile()
    return compiled(session.layout.encode(filled), *args), session


def assert_padded(padded, true, **tolerance):
    """The true array in the first corner, exactly unless a tolerance is given, and exact zeros around it."""
    padded, true = np.array(padded), np.asarray(true)
    inside = tuple(slice(0, length) for length in true.shape)
    if tolerance:
        np.testing.assert_allclose(padded[inside], true, **tolerance)
    else:
        np.testing.assert_array_equal(padded[inside], true)
    padded[inside] = 0
    assert not padded.any()
