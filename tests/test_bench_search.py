"""The benchmark of search: its problems are what they are said to be, it goes on where it stopped, it counts right."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("optuna")

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

import bench_search  # noqa: E402
from search import asks, tables, trained  # noqa: E402
from search.figures import common, markdown, regrets, scale, table  # noqa: E402
from search.peers import PEERS, VARIANTS, active, lacking  # noqa: E402
from search.runs import Run, append, play, read  # noqa: E402
from search.tasks import BRANCHES, NETWORK, PROBLEMS, Problem  # noqa: E402

from vtune.space import Float, Space  # noqa: E402

EVERY = (*PROBLEMS, *tables.problems())
LINE = Problem("line", Space(x=Float(0.0, 1.0)), lambda config: config["x"], 0.0)


@pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.name)
def test_no_config_is_better_than_the_best_score_of_a_problem(problem):
    scores = [problem.score(config) for config in problem.space.sample(300, np.random.default_rng(1))]
    assert np.isfinite(scores).all()
    assert min(scores) >= problem.best - 1e-9
    assert scale(problem) > 0.0


@pytest.mark.parametrize("problem", [p for p in EVERY if p.told], ids=lambda problem: problem.name)
def test_what_is_told_of_a_noisy_problem_is_its_score_on_the_average(problem):
    rng = np.random.default_rng(2)
    config = problem.space.sample(1, rng)[0]
    told = [problem.told(config, rng) for _ in range(400)]
    assert abs(np.mean(told) - problem.score(config)) <= 4 * np.std(told) / 20 + 1e-9


@pytest.mark.parametrize(("problem", "grid"), [("svm", trained.SVM_GRID), ("boosting", trained.BOOSTING_GRID)])
def test_a_trained_problem_has_the_trained_scores_at_the_corners_of_its_grid(problem, grid):
    parent = {"svm": "kernel", "boosting": "loss"}[problem]
    for branch, axes in grid.items():
        axes = (*axes, trained._TREES) if problem == "boosting" else axes
        stored = trained.corners(problem, branch)
        places = list(product(*(range(len(axis.values)) for axis in axes)))
        for place in places[:: max(1, len(places) // 20)]:
            config = {axis.name: axis.values[k] for axis, k in zip(axes, place, strict=True)} | {parent: branch}
            assert getattr(trained, problem)(config) == pytest.approx(stored[place])


def test_between_corners_a_score_lies_halfway():
    axis = trained.Axis("x", (1.0, 100.0), log=True)
    assert trained.interpolated(np.array([3.0, 5.0]), [axis], {"x": 10.0}) == pytest.approx(4.0)


def test_a_flat_peer_loses_what_is_not_active():
    filled = {"branch": "count", "a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": -1.0, "k": 7, "s": 0.5}
    assert active(BRANCHES, filled) == {"branch": "count", "k": 7, "s": 0.5}


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer not in ("hebo", "turbo", "bayes", *VARIANTS)])
def test_a_peer_proposes_configs_of_the_space_and_learns(peer):
    if package := lacking(peer):
        pytest.skip(f"{package} is not installed")
    searcher = PEERS[peer][1](NETWORK, 0, 4, 64)
    searcher.teach(NETWORK.sample(8, np.random.default_rng(0)), np.arange(8.0))
    for _ in range(2):
        configs = searcher.ask(4)
        assert [NETWORK.validate(config) for config in configs] == configs
        searcher.tell(configs, np.arange(4.0))


def test_the_lowest_score_so_far_is_noted_at_each_mark():
    run = play(LINE, "random", 16, 3, (64, 128))
    asked = PEERS["random"][1](LINE.space, 3, 16, 128)
    drawn = [config["x"] for _ in range(8) for config in asked.ask(16)]
    assert run.best == (min(drawn[:64]), min(drawn))


def test_a_stopped_benchmark_goes_on_and_a_torn_line_is_searched_anew(tmp_path, monkeypatch):
    file = tmp_path / "search.jsonl"
    arguments = [
        "bench_search.py",
        "run",
        "random",
        "--problems",
        "branin",
        "svm",
        "--batches",
        "16",
        "--seeds",
        "1",
        "2",
    ]
    arguments += ["--evaluations", "64", "--file", str(file)]
    monkeypatch.setattr(sys, "argv", arguments)
    bench_search.main()
    whole = file.read_bytes()
    assert len(read(file)) == 4
    bench_search.main()
    assert file.read_bytes() == whole
    file.write_bytes(whole[:-20])
    bench_search.main()
    runs = read(file)
    assert len(runs) == 4
    again = play(next(problem for problem in PROBLEMS if problem.name == "svm"), "random", 16, 2, (64,))
    assert runs[again.key].best == pytest.approx(again.best, rel=1e-6)


def test_of_a_search_made_twice_the_longer_counts(tmp_path):
    file = tmp_path / "search.jsonl"
    for best in ((0.5, 0.25), (0.5,)):
        append(file, Run("line", "random", 16, 0, best, 0.1))
    assert read(file)["line", "random", 16, 0].best == (0.5, 0.25)


def test_first_asks_are_timed_in_processes_of_their_own():
    seconds = asks.first("tpe", 20, 4)
    assert list(seconds) == ["compiling", "from the cache", "again"]
    assert min(seconds.values()) > 0


def test_figures_name_the_better_peer_and_who_is_worse_than_random():
    rng = np.random.default_rng(0)
    runs = {}
    for peer, level in (("bayes", 0.01), ("random", 0.05), ("tpe", 0.09)):
        for seed in range(12):
            run = Run("line", peer, 16, seed, (level * rng.uniform(0.8, 1.2),), 0.0)
            runs[run.key] = run
    runs["line", "bayes", 16, 12] = Run("line", "bayes", 16, 12, (0.01,), 0.0)
    peers = ["bayes", "random", "tpe"]
    seeds = common(runs, [LINE], peers, 16, 64)
    assert seeds == list(range(12))
    good, random, bad = table(regrets(runs, [LINE], peers, 16, 64, seeds), peers, [LINE])
    assert good.regret[0] < random.regret[0] < bad.regret[0]
    assert (good.rank[0], random.rank[0], bad.rank[0]) == (1.0, 2.0, 3.0)
    assert good.regret[1] < good.regret[0] < good.regret[2]
    assert random.behind[1] > 0.0
    assert (good.worse, bad.worse) == ((), ("line",))
    lines = markdown("line", (64,), [[good, random, bad]]).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:4]] == ["**bayes**", "random"]
