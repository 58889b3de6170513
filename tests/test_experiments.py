"""The experiments run, and the peers in the benchmark are what they are said to be."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("optuna")

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

from peers import by_hand, measure, problem, rounds, with_optuna  # noqa: E402
from peers.generator import PCG  # noqa: E402
from peers.problem import Settings  # noqa: E402

TINY = Settings(trials=3, steps=4, eval_every=2, batch=8)


@pytest.fixture(scope="module")
def data():
    return problem.load()


def run_script(script: str, *arguments: str, folder: Path) -> str:
    """What a script prints when it is started as a user would start it."""
    environment = {**os.environ, "PYTHONPATH": str(EXPERIMENTS.parent), "VTUNE_CACHE": str(folder / "cache")}
    command = [sys.executable, str(EXPERIMENTS / script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout


def test_training_and_validation_examples_do_not_overlap(data):
    (x, y), (x_valid, y_valid) = data
    assert len(x) == len(y) == 1797 - problem.VALID
    assert len(x_valid) == len(y_valid) == problem.VALID
    everything, counts = np.unique(np.concatenate([x, x_valid]), axis=0, return_counts=True)
    assert len(everything) == 1797
    assert (counts == 1).all()


def test_configurations_are_the_same_for_all_and_lie_in_their_bounds():
    table = problem.configs(64)
    assert table == problem.configs(64)
    for name, (low, high, _) in problem.BOUNDS.items():
        values = [config[name] for config in table]
        assert low <= min(values) < max(values) <= high
        assert len(set(values)) == 64


def test_traced_dropout_is_the_dropout_of_flax():
    x, key = jnp.ones((16, 8)), jax.random.key(3)
    ours = problem.TracedDropout(0.3, deterministic=False).apply({}, x, rngs={"dropout": key})
    theirs = nn.Dropout(0.3, deterministic=False).apply({}, x, rngs={"dropout": key})
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert 0 < (ours == 0).mean() < 1


def test_the_experts_generator_draws_the_same_under_vmap_and_differs_between_keys():
    keys = jax.vmap(lambda i: jax.random.key(i, impl=PCG))(jnp.arange(4))
    together = jax.vmap(lambda key: jax.random.uniform(key, (4096,)))(keys)
    alone = jnp.stack([jax.random.uniform(key, (4096,)) for key in keys])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(together.mean(1), 0.5, atol=0.02)
    assert np.abs(np.corrcoef(together) - np.eye(4)).max() < 0.08


@pytest.mark.parametrize("network", ["mlp", pytest.param("cnn_bn", marks=pytest.mark.slow)])
def test_a_vmapped_run_is_the_run_alone(data, network):
    settings = replace(TINY, network=network)
    run, table = problem.whole_run(settings), problem.configs(3)
    keys = jax.vmap(jax.random.key)(np.arange(3))
    together = jax.jit(jax.vmap(run, in_axes=(0, 0, None, None)))(problem.stack(table), keys, *data)
    assert together.shape == (3, 2, 4)
    alone = jax.jit(run)(problem.stack(table[1:2]) | {n: np.float32(v) for n, v in table[1].items()}, keys[1], *data)
    np.testing.assert_allclose(together[1], alone, rtol=2e-3, atol=2e-3)


def test_a_loop_over_steps_and_a_loop_over_runs_both_learn(data):
    settings = replace(TINY, trials=1, steps=60, eval_every=60, batch=64)
    for loop in (by_hand.loop_of_steps, by_hand.loop_of_runs):
        assert loop(settings, *data)[0] > 0.5


def test_blocks_of_the_expert_cover_every_trial_whatever_their_width(data):
    whole = by_hand.expert(TINY, *data, lanes=3)
    parts = by_hand.expert(TINY, *data, lanes=2, threads=2)
    assert len(whole) == len(parts) == 3
    np.testing.assert_allclose(whole, parts, atol=0.02)


def test_optuna_drivers_try_the_given_configurations(data):
    study = with_optuna.new_study(TINY, sqlite=False)
    tried = [with_optuna.suggest(study.ask()) for _ in range(3)]
    assert tried == problem.configs(3)
    assert len(with_optuna.vmapped(replace(TINY, trials=2), *data, lanes=2, sqlite=True)) == 2


def test_a_run_in_a_fresh_process_reports_its_time_and_scores():
    result = rounds.run_once("by hand, vmap over 32", TINY)
    assert result["trials"] == 3
    assert 0 < result["compile_seconds"] < result["seconds"]
    assert 0 <= result["median_accuracy"] <= result["best_accuracy"] <= 1


def test_a_failing_driver_shows_its_error():
    with pytest.raises(RuntimeError, match="no such driver"):
        rounds.run_once("no such driver", TINY)


def test_every_row_of_the_benchmarks_names_a_driver():
    import bench_cnn
    import bench_drivers

    for name in {*bench_drivers.DRIVERS, *bench_cnn.LOOPS, *bench_drivers.WARM} - {measure.LIMIT}:
        if rounds.missing(name) is None:
            assert callable(measure.find(name))


def test_bare_matrix_products_take_time_for_each_trial():
    result = measure.measure(measure.LIMIT, Settings(trials=2, steps=10))
    assert 0 < result["seconds"] < math.inf


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "row"),
    [
        ("bench_drivers.py", ("--only", "vtune", "Optuna", "hyperoptax", "by hand", "bare"), "vtune (warm cache)"),
        ("bench_cnn.py", (), "vtune"),
    ],
)
def test_benchmarks_write_every_row(tmp_path, script, arguments, row):
    out = tmp_path / "out.json"
    run_script(script, "--quick", "--out", str(out), *arguments, folder=tmp_path)
    report = json.loads(out.read_text())
    assert report["cpus"] >= 1
    assert report["packages"]["jax"]
    assert report["results"][row]["ms_a_trial"] > 0
    assert all(math.isfinite(result["ms_a_trial"]) for result in report["results"].values())


@pytest.mark.slow
def test_the_main_job_prints_the_plan_the_best_five_and_where_to_look(tmp_path):
    store = tmp_path / "vtune.db"
    arguments = ("--trials", "16", "--steps", "40", "--store", str(store), "--name", "digits")
    printed = run_script("digits.py", *arguments, folder=tmp_path)
    assert "program" in printed.split("The best five")[0]
    best = printed.split("The best five:")[1].split("Where to look next:")[0].strip().splitlines()
    assert len(best) == 6
    assert all(name in printed.split("Where to look next:")[1] for name in ("lr", "dropout", "width", "activation"))
    assert store.exists()
