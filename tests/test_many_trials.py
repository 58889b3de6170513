"""Ten thousand trials of a tiny model: exact counts, flat memory, little cost of vtune's own."""

from __future__ import annotations

import resource

import jax
import jax.numpy as jnp

import vtune


class Tiny:
    data = None

    def init(self, hp, data, key):
        return jax.random.normal(key, (8,))

    def step(self, hp, state, data, key):
        return state - hp.lr * state, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state).mean()}


def test_ten_thousand_trials_are_counted_exactly_in_flat_memory(tmp_path):
    space = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), momentum=vtune.Float(0, 1), width=vtune.Int(1, 8))
    options = {"steps": 20, "eval_every": 20, "progress": "off", "cache": False, "store": tmp_path / "s.db"}
    vtune.tune(Tiny(), space, trials=2_000, name="warm", **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    study = vtune.tune(Tiny(), space, trials=10_000, name="many", **options)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert study.record.trials == 10_000
    counts = study._reader.counts(study.record.id)
    assert counts["complete"] == 10_000
    assert sum(counts.values()) == 10_000
    assert len(study.curves()) == 10_000
    assert grown < 64, f"{grown:.0f} MiB more for 10,000 trials than for 2,000"
