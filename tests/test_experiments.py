"""The experiments run, and the peers in the benchmark are what they are said to be."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("optuna")

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

import bench_reach  # noqa: E402
import bench_structure  # noqa: E402
import guide  # noqa: E402
import guide_searches  # noqa: E402
from peers import by_hand, measure, problem, rounds, structure_measure, structure_problem, with_optuna  # noqa: E402
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


def plain_hp(config):
    """A configuration as plain attributes, momentum included where the optimizer has none."""
    return SimpleNamespace(**{"momentum": 0.0, **config})


def test_the_guides_space_is_that_of_the_peers():
    for name, values in structure_problem.CHOICES.items():
        parameter = guide.SPACE[name]
        given = getattr(parameter, "values", None)
        assert values == (given if given is not None else tuple(range(parameter.low, parameter.high + 1)))
    for name, (low, high, scale) in structure_problem.BOUNDS.items():
        parameter = guide.SPACE[name]
        assert (parameter.low, parameter.high, parameter.log) == (low, high, scale == "log")
    for config in structure_problem.configs(256):
        assert guide.SPACE.validate(config) == config


def test_more_configurations_of_the_structure_benchmark_begin_alike():
    assert structure_problem.configs(64)[:16] == structure_problem.configs(16)


@pytest.mark.parametrize("number", range(2))
def test_the_guides_network_is_that_of_the_peers(number):
    config = structure_problem.configs(4)[number]
    x = np.random.default_rng(0).uniform(size=(5, 64)).astype(np.float32)
    theirs = structure_problem.network(config, 0.0)
    params = structure_problem.initial(config, jax.random.key(0))
    names = [f"hidden_{i}" for i in range(config["layers"])] + ["out"]
    ours = {name: params[f"Dense_{i}"] for i, name in enumerate(names)}
    made = guide.model(plain_hp(config))
    assert jax.tree.map(jnp.shape, made.init(jax.random.key(1), x)["params"]) == jax.tree.map(jnp.shape, ours)
    expected = theirs.apply({"params": params}, x, False)
    np.testing.assert_allclose(made.apply({"params": ours}, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", structure_problem.CHOICES["optimizer"])
def test_the_guides_optimizers_are_those_of_the_peers(name):
    params, gradients = {"w": jnp.arange(3.0)}, {"w": jnp.array([0.3, -2.0, 0.1])}
    ours = guide.optimizer(SimpleNamespace(optimizer=name, lr=0.2, momentum=0.7))
    theirs = structure_problem.optimizer(name, 0.2, 0.7)
    for _ in range(2):
        (one, _), (other, _) = (tx.update(gradients, tx.init(params), params) for tx in (ours, theirs))
        np.testing.assert_array_equal(one["w"], other["w"])


def test_a_whole_run_of_one_structure_learns(data):
    config = {**structure_problem.configs(1)[0], "layers": 1, "width": 32, "activation": "relu", "optimizer": "adam"}
    run = jax.jit(structure_problem.whole_run({**config, "batch": 64}, 60))
    params, hp = structure_problem.initial(config, jax.random.key(0)), structure_problem.values({**config, "lr": 0.01})
    valid, seen = run(hp, params, jax.random.key(1), *data)
    assert valid > 0.5
    assert seen > 0.5


def test_a_diverged_network_has_no_accuracy(data):
    config = structure_problem.configs(1)[0]
    params = jax.tree.map(lambda leaf: leaf * jnp.nan, structure_problem.initial(config, jax.random.key(0)))
    assert np.isnan(structure_problem.accuracy(structure_problem.network(config, 0.0), params, data[1]))


def sampled(trials: int, setup: float, running: float) -> dict:
    """A run of the structure benchmark in which every new structure and every trial took the same time."""
    met = [structure_problem.structures(config) for config in structure_problem.configs(trials)]
    each = {kind: [setup] * len({structure[kind] for structure in met}) for kind in ("run", "init")}
    seconds = setup * sum(map(len, each.values())) + running * trials
    return {"trials": trials, "seconds": seconds, "setup_seconds": each, "running_seconds": [running] * trials}


def test_what_is_derived_for_the_sample_is_what_was_measured():
    run = sampled(48, 2.0, 0.1)
    assert bench_structure.derived(run, 48) == pytest.approx(run["seconds"] / 48 * 1e3)


def test_structures_that_come_back_make_more_trials_cheaper():
    run = sampled(48, 2.0, 0.1)
    few, many, all_met = (bench_structure.derived(run, trials) for trials in (256, 1024, 20_000))
    assert few > many > all_met > 100.0
    assert all_met == pytest.approx(100.0 + 2.0 * (1280 + 16) / 20, rel=1e-6)


def test_figures_are_derived_only_where_the_sample_is_smaller():
    run = sampled(8, 2.0, 0.1)
    result = {"ms_a_trial": run["seconds"] / 8 * 1e3, "rounds": [run]}
    assert bench_structure.at(result, 8)["derived_ms_a_trial"] is None
    assert bench_structure.at(result, 256)["derived_ms_a_trial"] is not None
    assert bench_structure.at(result, 256)["measured_on"] == 8


def test_every_row_of_the_structure_benchmark_names_a_driver():
    rows = bench_structure.rows([4, 8], structure_problem.Settings(trials=8), sample=2)
    assert {settings.trials for driver, _, settings in rows.values() if driver != "vtune"} == {2}
    for driver, _, _ in rows.values():
        assert callable(structure_measure.find(driver))


@pytest.mark.slow
def test_the_structure_benchmark_compares_vtune_with_whole_runs(tmp_path):
    out = tmp_path / "out.json"
    arguments = ("--quick", "--only", "vtune", "whole runs", "by hand, 32 a structure", "--out", str(out))
    printed = run_script("bench_structure.py", *arguments, folder=tmp_path)
    report = json.loads(out.read_text())
    assert "2 of 4" in printed
    assert "times faster than the faster of Optuna's rows" in printed
    assert all(row["times_vtune"] > 0 for row in report["summary"]["4"].values())
    explained = report["results"]["vtune, 4 trials"]["rounds"][-1]["facts"]["explained"]
    assert 1 <= len(explained["programs"]) <= 12


def test_search_by_hand_changes_one_hyperparameter_at_a_time_and_never_runs_out():
    search, seen = guide_searches.ByHand(guide.SPACE), []
    for _ in range(14):
        configs = search.ask(4)
        assert [guide.SPACE.validate(config) for config in configs] == configs
        search.tell(configs, [abs(c["lr"] - 0.3) + (c["optimizer"] != "adam") + c["dropout"] for c in configs])
        seen += configs
    assert len(seen) == 56
    assert len({repr(config) for config in seen[:20]}) == 20
    best = min(seen, key=lambda c: abs(c["lr"] - 0.3) + (c["optimizer"] != "adam") + c["dropout"])
    assert (best["lr"], best["optimizer"], best["dropout"]) == (0.3, "adam", 0.0)


def test_a_comparison_of_searches_is_paired_and_has_intervals():
    def done(*values):
        return {str(seed): {"valid": value, "test": value - 0.1} for seed, value in enumerate(values)}

    found = guide_searches.summary({"random": done(0.8, 0.9, 0.7), "Bayesian": done(0.9, 1.0, 0.8)})
    assert found["Bayesian"]["test, beyond random"] == pytest.approx([0.1, 0.1, 0.1])
    mean, low, high = found["random"]["valid"]
    assert mean == pytest.approx(0.8)
    assert low < mean < high
    assert "+0.1000" in guide_searches.table({"summary": found})


def test_a_target_is_reached_by_the_first_trial_that_is_as_good():
    found = [(40, 0.9), (64, 0.5), (200, 0.4)]
    assert [bench_reach.reached(found, loss) for loss in (1.0, 0.5, 0.45, 0.1)] == [40, 64, 200, None]
    higher = [(begun, -score) for begun, score in found]
    assert [bench_reach.reached(higher, -loss, -1) for loss in (1.0, 0.5, 0.45, 0.1)] == [40, 64, 200, None]


@pytest.mark.slow
def test_the_guide_compares_searches(tmp_path):
    out = tmp_path / "guide.json"
    arguments = ("--compare", "1", "--trials", "8", "--epochs", "0.5", "--out", str(out))
    printed = run_script("guide.py", *arguments, folder=tmp_path)
    assert all(kind in printed for kind in ("manual", "grid", "random", "Bayesian"))
    report = json.loads(out.read_text())
    assert {done["0"]["trials"] for done in report["searches"].values()} == {8}
    assert all(0 < done["0"]["test"] <= 1 for done in report["searches"].values())


@pytest.mark.slow
@pytest.mark.parametrize("metric", bench_reach.METRICS)
def test_reaching_random_search_is_measured(tmp_path, metric):
    out = tmp_path / "reach.json"
    sizes = ("--trials", "32", "--steps", "20", "--lanes", "8", "--again", "4")
    arguments = ("--metric", metric, *sizes, "--seeds", "0", "--out", str(out))
    assert "of 1 searches" in run_script("bench_reach.py", *arguments, folder=tmp_path)
    searches = json.loads(out.read_text())["searches"]["0"]
    assert searches["random"]["trials"] == 4 * searches["bayes and asha"]["trials"] == 32
    for found in searches.values():
        assert found["improvements"][-1][1] == found[metric]


@pytest.mark.slow
def test_the_guide_prints_the_plan_the_best_five_and_what_mattered(tmp_path):
    store = tmp_path / "vtune.db"
    arguments = ("--trials", "16", "--epochs", "0.5", "--store", str(store), "--name", "guide")
    printed = run_script("guide.py", *arguments, folder=tmp_path)
    best = printed.split("The best five:")[1].split("What mattered")[0].strip().splitlines()
    assert len(best) == 6
    mattered = printed.split("What mattered")[1].split("Where to look next")[0]
    assert all(name in mattered for name in guide.SPACE)
    assert store.exists()


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
