"""Keys depend on seed, trial, replica, purpose and step, on all of each, and on nothing else."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import ArgumentError
from vtune.rng import PURPOSES, key, purpose_key, step_key, study_key, trial_key

seeds = st.integers(0, 2**64 - 1)
words = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, trial=words, replica=words, purpose=st.sampled_from(PURPOSES), step=words)
def test_key_is_the_chain_of_fold_ins(seed, trial, replica, purpose, step):
    chain = study_key(seed)
    for data in (trial, replica, PURPOSES.index(purpose), step):
        chain = jax.random.fold_in(chain, np.uint32(data))
    assert key(seed, trial, purpose, step, replica) == chain
    assert step_key(trial_key(study_key(seed), trial, replica), purpose, step) == chain


@settings(max_examples=50, deadline=None)
@given(seed=seeds, bit=st.integers(0, 63), rng=st.sampled_from(["pcg", "threefry"]))
def test_every_bit_of_the_seed_counts(seed, bit, rng):
    assert study_key(seed, rng) != study_key(seed ^ 1 << bit, rng)


@pytest.mark.parametrize("rng", ["pcg", "threefry"])
def test_paths_never_share_a_key(rng):
    rows = [
        tuple(jax.random.key_data(key(seed, trial, purpose, step, replica, rng)).tolist())
        for seed, trial, replica, purpose, step in itertools.product((0, 1), range(3), range(2), PURPOSES, range(2))
    ]
    assert len(set(rows)) == len(rows)


def test_ids_may_be_traced_and_batched():
    study = study_key(2**63 + 5)
    trials = jnp.array([0, 7, 2**32 - 1], jnp.uint32)
    steps = jnp.array([3, 0, 12])

    @jax.jit
    @jax.vmap
    def lane(trial, step):
        return step_key(trial_key(study, trial, replica=2), "model", step)

    keys = lane(trials, steps)
    for i in range(3):
        assert keys[i] == key(2**63 + 5, int(trials[i]), "model", int(steps[i]), replica=2)


def test_numpy_integers_are_integers():
    assert key(np.uint64(2**64 - 1), np.int64(3), "init") == key(2**64 - 1, 3, "init")


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", None])
def test_bad_seed_is_refused(seed):
    with pytest.raises(ArgumentError, match="seed of a key"):
        study_key(seed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trial": -1}, r"trial of a key lies between 0 and 2\*\*32 - 1; -1 was given"),
        ({"trial": 2**32}, "trial"),
        ({"replica": 0.5}, "replica of a key is a whole number"),
        ({"step": -3}, "step"),
        ({"purpose": "dropout"}, "init, batch, model, evaluate; 'dropout' was given"),
        ({"rng": "mersenne"}, '"pcg" or "threefry"'),
    ],
)
def test_bad_argument_is_named(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        key(**{"seed": 0, "trial": 0, "purpose": "init", **arguments})


def test_purpose_key_comes_before_the_step():
    trial = trial_key(study_key(4), 9)
    assert jax.random.fold_in(purpose_key(trial, "evaluate"), 5) == step_key(trial, "evaluate", 5)
