"""Random numbers that depend on the trial and the step alone: generators, the keys of a study, and a keyed shuffle."""

from vtune.rng.bits import bits_at, keys_at
from vtune.rng.generator import implementation
from vtune.rng.keys import PURPOSES, key, purpose_key, seed_words, step_key, study_key, study_key_of, trial_key
from vtune.rng.shuffle import permuted

__all__ = [
    "PURPOSES",
    "bits_at",
    "implementation",
    "key",
    "keys_at",
    "permuted",
    "purpose_key",
    "seed_words",
    "step_key",
    "study_key",
    "study_key_of",
    "trial_key",
]
