"""What must hold for every task: DESIGN's contracts 1 to 5, against training written without vtune."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from contracts.cases import CASES, SEED, SPACE

import vtune
from vtune.engine import program

STEPS, EVERY = 20, 10
TOLERANCE = {"momentum": 2e-4, "adamw": 2e-3, "adadelta": 2e-3}
"""Relative; adaptive optimizers divide by gradients that may be near zero, which enlarges the last bits."""
OPTIONS = {
    "metric": "loss", "steps": STEPS, "eval_every": EVERY, "seed": SEED, "progress": "off", "cache": False, "keep": 3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


@functools.cache
def study_of(name):
    """One study a task, shared by the tests of this file: 24 trials, some 8 of each optimizer."""
    make, _ = CASES[name]
    with jax.default_matmul_precision("highest"):
        return vtune.tune(make(), SPACE, trials=24, block=8, **OPTIONS)


def curves_of(study, trials):
    curves = study.curves()
    return curves[curves["trial"].isin(trials)].sort_values(["trial", "step"]).reset_index(drop=True)


def columns(study):
    return [name for name in study.curves().columns if name not in ("trial", "step")]


@pytest.mark.parametrize("name", CASES)
def test_a_trial_in_a_batch_is_the_trial_alone(name):
    study = study_of(name)
    frame = study.frame()
    for optimizer in ("momentum", "adamw", "adadelta"):
        trial = int(frame[frame["optimizer"] == optimizer]["id"].iloc[-1])
        config = dict(study.trial(trial).config)
        by_hand, _ = CASES[name][1](study.task, config, trial, STEPS, EVERY)
        mine = curves_of(study, [trial]).set_index("step")
        for step, metrics in by_hand.items():
            for metric, value in metrics.items():
                where = f"{name}, trial {trial}, {config}, {metric} at step {step}"
                np.testing.assert_allclose(
                    mine.loc[step, metric], value, rtol=TOLERANCE[optimizer], atol=2e-6, err_msg=where
                )


@pytest.mark.parametrize("name", CASES)
def test_one_program_an_optimizer(name):
    """Optax asks whether rates and lengths are zero or less; no trial of the space answers differently."""
    explained = study_of(name).explain()
    assert len(explained.programs) == explained.compiles == explained.possible == 3
    assert explained.kinds["optimizer"] == "guarded"
    assert explained.kinds["decay"] == "traced"
    assert sum(program.trials for program in explained.programs) == 24


@pytest.mark.parametrize("name", CASES)
def test_best_params_are_the_trained_params_of_the_best_trial(name):
    study = study_of(name)
    best = study.best
    _, state = CASES[name][1](study.task, dict(best.config), best.id, STEPS, EVERY)
    mine = study.best_params()
    for path, value in jax.tree_util.tree_flatten_with_path(state)[0]:
        found = functools.reduce(lambda tree, key: tree[getattr(key, "key", key)], path, mine)
        np.testing.assert_allclose(found, value, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_lane_block_and_thread_do_not_matter(name):
    """The same trials in other lanes, beside other trials, in another order: bit for bit the same curves."""
    study = study_of(name)
    configs = [dict(study.trial(i).config) for i in range(24)]
    make, _ = CASES[name]
    one_thread = vtune.tune(make(), SPACE, trials=24, block=8, threads=1, lanes=8, enqueue=configs, **OPTIONS)
    np.testing.assert_array_equal(curves_of(one_thread, range(24)).to_numpy(), curves_of(study, range(24)).to_numpy())
    seats = study._reader.placement(study.record.id).merge(one_thread._reader.placement(one_thread.record.id), on="id")
    assert ((seats["lane_x"] != seats["lane_y"]) | (seats["block_x"] != seats["block_y"])).any()


@pytest.mark.parametrize("name", ["linen mlp", "own task"])
def test_another_block_width_agrees_within_tolerance(name):
    study = study_of(name)
    make, _ = CASES[name]
    wide = vtune.tune(make(), SPACE, trials=24, block=16, **OPTIONS)
    for metric in columns(study):
        np.testing.assert_allclose(wide.curves()[metric], study.curves()[metric], rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_chunk_lengths_do_not_matter(name, monkeypatch):
    from vtune.executors import advancing

    monkeypatch.setattr(advancing, "FIRST_STEPS", 3)
    monkeypatch.setattr(advancing, "CHUNK_SECONDS", 0.0)
    make, _ = CASES[name]
    stepped = vtune.tune(make(), SPACE, trials=24, block=8, **OPTIONS)
    np.testing.assert_array_equal(stepped.curves().to_numpy(), study_of(name).curves().to_numpy())


class Fragile:
    """Diverges in trials whose `bad` is 1, at a step of its own; the others must not notice."""

    data = None

    def init(self, hp, data, key):
        return {"x": jax.random.normal(key, (4,)), "t": jax.numpy.zeros((), "int32")}

    def step(self, hp, state, data, key):
        x = state["x"] * 0.9 + 0.1 * jax.random.normal(key, (4,))
        x = jax.numpy.where((hp.bad == 1) & (state["t"] >= hp.when), jax.numpy.nan, x)
        return {"x": x, "t": state["t"] + 1}, {"size": jax.numpy.abs(x).sum()}

    def evaluate(self, hp, state, data, key):
        return {"loss": jax.numpy.square(state["x"]).sum()}


FRAGILE = vtune.Space(bad=vtune.Int(0, 1), when=vtune.Int(0, 40))


def test_a_lane_fails_alone():
    base = [{"bad": 0, "when": 15} for _ in range(16)]
    mixed = [{**config, "bad": int(i % 3 == 1)} for i, config in enumerate(base)]
    options = {**OPTIONS, "steps": 30, "trials": 16, "block": 8}
    calm = vtune.tune(Fragile(), FRAGILE, enqueue=base, **options)
    study = vtune.tune(Fragile(), FRAGILE, enqueue=mixed, **options)
    failed = [i for i in range(16) if i % 3 == 1]
    states = study.frame().set_index("id")["state"]
    assert states[failed].eq("diverged").all()
    assert states.drop(failed).eq("complete").all()
    healthy = [i for i in range(16) if i not in failed]
    np.testing.assert_array_equal(curves_of(study, healthy).to_numpy(), curves_of(calm, healthy).to_numpy())
    for trial in failed:
        last = curves_of(study, [trial])
        assert last["step"].tolist() == [10]
        assert study.trial(trial).step == 10
        assert study.trial(trial).score == last["loss"].iloc[-1]
    assert study.best.id in healthy


def test_programs_are_traced_and_compiled_once(monkeypatch):
    traces = []
    real = program._lower
    monkeypatch.setattr(program, "_lower", lambda *a: traces.append(1) or real(*a))
    study = vtune.tune(CASES["own task"][0](), SPACE, trials=200, block=8, lanes=32, **OPTIONS)
    assert len(traces) == study.explain().compiles == 3


@pytest.mark.parametrize(("trials", "block", "lanes"), [(1, 4, 4), (7, 4, 8), (37, 8, 16), (100, 16, 64)])
def test_every_trial_is_trained_once(trials, block, lanes):
    study = vtune.tune(CASES["own task"][0](), SPACE, trials=trials, block=block, lanes=lanes, **OPTIONS)
    frame = study.frame()
    assert frame["id"].tolist() == list(range(trials))
    assert frame["state"].isin(["complete", "diverged"]).all()
    assert study.curves().groupby("trial")["step"].apply(list).map(tuple).isin([(10, 20)]).all()


def test_steps_that_are_no_multiple_of_the_interval_end_with_a_measurement():
    study = vtune.tune(CASES["own task"][0](), SPACE, trials=9, block=4, **{**OPTIONS, "steps": 25})
    assert set(study.curves().groupby("trial")["step"].apply(tuple)) == {(10, 20, 25)}


@pytest.mark.parametrize(
    ("dropout", "programs"),
    [(vtune.Float(0.05, 0.5), 1), (vtune.Choice(0.0, 0.1, 0.5), 2)],
    ids=["on", "or off"],
)
def test_dropout_and_a_schedule_share_a_program_unless_dropout_can_be_off(dropout, programs):
    space = vtune.Space(
        lr=vtune.Float(1e-4, 1e-1, log=True), decay=vtune.Float(1e-6, 1e-2, log=True), warmup=vtune.Int(1, 8),
        optimizer=vtune.Choice("adamw"), dropout=dropout,
    )  # fmt: skip
    planned = vtune.plan(CASES["linen mlp"][0](), space, trials=64, steps=STEPS)
    assert len(planned.programs) == planned.possible == programs
    assert planned.kinds["decay"] == "traced"
