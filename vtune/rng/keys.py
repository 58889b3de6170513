"""The random key of any trial, replica, purpose and step of a study: never of the lane, the block or the clock.

study key -> fold_in trial -> fold_in replica -> fold_in purpose -> fold_in step. Trials, replicas and steps may be
traced, so that one program draws for any of them under `vmap`.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from vtune.errors import ArgumentError
from vtune.rng.generator import implementation

PURPOSES = ("init", "batch", "model", "evaluate")
"""What a trial draws random numbers for; each has keys of its own."""


def study_key(seed: SupportsIndex, rng: str = "pcg") -> jax.Array:
    """Returns the key that all keys of a study come from.

    Args:
      seed: a whole number from 0 to 2**64 - 1; all of its bits count, whether or not JAX runs in 64-bit mode.
      rng: the generator, "pcg" or "threefry"; see `implementation`.

    Returns:
      A typed key, [].

    Raises:
      ArgumentError: the seed is out of range or no whole number, or there is no such generator.

    Example:
      >>> import jax
      >>> jax.random.uniform(study_key(0)) == jax.random.uniform(study_key(2**32))
      Array(False, dtype=bool)
    """
    return study_key_of(seed_words(seed), rng)


def seed_words(seed: SupportsIndex) -> np.ndarray:
    """Returns a seed as an array that programs take as an argument: its low and its high 32 bits, uint32[2].

    Raises:
      ArgumentError: the seed is out of range or no whole number.

    Example:
      >>> seed_words(2**32 + 7).tolist()
      [7, 1]
    """
    number = _whole(seed, "seed", 64)
    return np.array([number % 2**32, number >> 32], np.uint32)


def study_key_of(words: jax.typing.ArrayLike, rng: str = "pcg") -> jax.Array:
    """Returns `study_key` of a seed that may be traced.

    Args:
      words: from `seed_words`, uint32[2].
      rng: the generator, "pcg" or "threefry".

    Example:
      >>> bool(study_key_of(seed_words(5)) == study_key(5))
      True
    """
    return _made(jnp.asarray(words), implementation(rng))


@functools.partial(jax.jit, static_argnums=1)
def _made(words: jax.Array, generator: Any) -> jax.Array:
    """In one program: one by one its dozens of small operations take longer to compile than a study to begin."""
    return jax.random.fold_in(jax.random.key(words[0], impl=generator), words[1])


def trial_key(
    study_key: jax.Array, trial: SupportsIndex | jax.Array, replica: SupportsIndex | jax.Array = 0
) -> jax.Array:
    """Returns the key that all keys of one trial come from.

    Args:
      study_key: from `study_key`, [].
      trial: the trial's id, below 2**32; may be traced, [].
      replica: which of the trial's folds and seeds, below 2**32; may be traced, [].

    Returns:
      A typed key, [].

    Raises:
      ArgumentError: an id that is not traced is negative, too large or no whole number.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> study = study_key(0)
      >>> lanes = jax.vmap(lambda trial: trial_key(study, trial))(jnp.arange(4))
      >>> lanes.shape, bool((lanes[2] == trial_key(study, 2)).all())
      ((4,), True)
    """
    return jax.random.fold_in(jax.random.fold_in(study_key, _word(trial, "trial")), _word(replica, "replica"))


def purpose_key(trial_key: jax.Array, purpose: str) -> jax.Array:
    """Returns the key of a trial for one purpose; `fold_in` of the step gives the key that is used.

    Args:
      trial_key: from `trial_key`, [].
      purpose: one of `PURPOSES`.

    Returns:
      A typed key, [].

    Raises:
      ArgumentError: there is no such purpose.

    Example:
      >>> import jax
      >>> bool(jax.random.fold_in(purpose_key(trial_key(study_key(0), 7), "model"), 3) == key(0, 7, "model", step=3))
      True
    """
    if purpose not in PURPOSES:
        raise ArgumentError(f"The purpose of a key is one of {', '.join(PURPOSES)}; {purpose!r} was given.")
    return jax.random.fold_in(trial_key, PURPOSES.index(purpose))


def step_key(trial_key: jax.Array, purpose: str, step: SupportsIndex | jax.Array = 0) -> jax.Array:
    """Returns the key that a trial is handed for one purpose at one step.

    Args:
      trial_key: from `trial_key`, [].
      purpose: one of `PURPOSES`.
      step: the steps done before, below 2**32; may be traced, []. `init` has step 0.

    Returns:
      A typed key, [].

    Raises:
      ArgumentError: there is no such purpose, or a step that is not traced is out of range.

    Example:
      >>> bool(step_key(trial_key(study_key(0), 7), "init") == key(0, 7, "init"))
      True
    """
    return jax.random.fold_in(purpose_key(trial_key, purpose), _word(step, "step"))


def key(
    seed: SupportsIndex,
    trial: SupportsIndex | jax.Array,
    purpose: str,
    step: SupportsIndex | jax.Array = 0,
    replica: SupportsIndex | jax.Array = 0,
    rng: str = "pcg",
) -> jax.Array:
    """Returns the very key that a study hands to a task, so that a trial can be trained again by hand.

    Args:
      seed: the study's seed, from 0 to 2**64 - 1.
      trial: the trial's id.
      purpose: one of `PURPOSES`: "init" for `Task.init`, "model" for `Task.step`, "evaluate" for `Task.evaluate`,
        "batch" for the order of the data.
      step: optimizer steps done before the call.
      replica: which of the trial's folds and seeds.
      rng: the study's generator, "pcg" or "threefry".

    Returns:
      A typed key, [].

    Raises:
      ArgumentError: an argument is out of its range.

    Example:
      >>> import jax
      >>> mask = jax.random.bernoulli(key(0, trial=12, purpose="model", step=100), 0.9, (64, 128))
    """
    return step_key(trial_key(study_key(seed, rng), trial, replica), purpose, step)


def _word(value: SupportsIndex | jax.Array, what: str) -> np.uint32 | jax.Array:
    return value if isinstance(value, jax.Array) else np.uint32(_whole(value, what, 32))


def _whole(value: SupportsIndex, what: str, bits: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"The {what} of a key is a whole number; {value!r} was given.") from None
    if not 0 <= number < 2**bits:
        raise ArgumentError(f"The {what} of a key lies between 0 and 2**{bits} - 1; {number} was given.")
    return number
