"""Random numbers that depend on the trial and the step alone: generators, the keys of a study, and a keyed shuffle."""

from vtune.rng.generator import implementation
from vtune.rng.keys import PURPOSES, key, purpose_key, step_key, study_key, trial_key
from vtune.rng.shuffle import permuted

__all__ = ["PURPOSES", "implementation", "key", "permuted", "purpose_key", "step_key", "study_key", "trial_key"]
