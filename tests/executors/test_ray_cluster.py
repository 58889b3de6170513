"""A Ray cluster of three nodes on this machine: the same results as in one process, whoever dies and whoever comes."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from executors import far

import vtune
from vtune.errors import Interrupted, WorkerError
from vtune.executors import Ray
from vtune.resume.snapshots import Snapshots

ray = pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
HERE = Path(__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
"""Ray's nodes are forked from a process that has JAX in it, and are other programs at once."""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(HERE.parent))
    nodes = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    for _ in range(2):
        nodes.add_node(**NODE)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="error")
    yield nodes
    ray.shutdown()
    nodes.shutdown()
    patch.undo()


def study(folder, trials=40, executor="local", **options):
    return vtune.tune(far.Bowl(folder), far.SPACE, trials=trials, executor=executor, **{**far.OPTIONS, **options})


def rows(of):
    return of.curves().sort_values(["trial", "step"]).to_numpy()


def lost(of):
    return sum(event.detail["lost"] for event in of._reader.events(of.record.id) if event.kind == "workers")


def joined(of):
    return sum(event.detail["joined"] for event in of._reader.events(of.record.id) if event.kind == "workers")


def assert_each_once(of, trials):
    """Every trial is there once, with one end, and no measurement twice."""
    assert of.frame()["id"].tolist() == list(range(trials))
    assert set(of.frame()["state"]) <= {"complete", "stopped", "diverged"}
    assert not of.curves().duplicated(["trial", "step"]).any()


def assert_same(far_away, here):
    np.testing.assert_array_equal(rows(far_away), rows(here))
    assert far_away.frame().equals(here.frame())


def test_a_worker_that_dies_loses_no_trial_and_another_takes_its_place(cluster, tmp_path):
    killed = far.Watched(far.SPACE, 5, far.When(3, lambda: far.kill(tmp_path)))
    found = study(tmp_path, 60, Ray(workers=2), proposer=killed)
    assert_each_once(found, 60)
    assert_same(found, study(tmp_path, 60))
    assert lost(found) == 1


def test_copies_between_workers_and_a_death_between_two_ticks(cluster, tmp_path):
    """What is copied does not depend on lanes; the states that died with a worker are trained again."""
    options = {"scheduler": vtune.schedulers.PBT(interval=3, quantile=0.4), "lanes": 16}
    killed = far.Judged(options["scheduler"], far.When(2, lambda: far.kill(tmp_path)))
    found = study(tmp_path, 16, Ray(workers=2), **{**options, "scheduler": killed})
    assert_each_once(found, 16)
    assert_same(found, study(tmp_path, 16, **options))
    assert lost(found) == 1
    assert sum(event.kind == "copy" for event in found._reader.events(found.record.id)) > 3


def test_a_node_leaves_and_another_joins(cluster, tmp_path):
    """Decisions may then be others, but not what a trial measures."""
    node = cluster.list_all_nodes()[-1]

    def leave():
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(**NODE)

    scheduler = vtune.schedulers.ASHA(min_steps=3, reduction=2)
    found = study(tmp_path, 60, Ray(workers="auto"), scheduler=far.Judged(scheduler, far.When(4, leave)), lanes="auto")
    assert_each_once(found, 60)
    assert lost(found) == 1
    known = {(trial, step): values for trial, step, *values in rows(study(tmp_path, 60))}
    assert all(known[trial, step] == values for trial, step, *values in rows(found))


def test_ctrl_c_ends_soon_keeps_what_was_measured_and_goes_on(cluster, tmp_path):
    scheduler = vtune.schedulers.ASHA(min_steps=3, reduction=2)
    options = {"scheduler": scheduler, "store": tmp_path / "vtune.db", "name": "far"}
    pressed = far.Judged(scheduler, far.When(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(Interrupted, match="interrupted and keeps"):
        study(tmp_path, 30, Ray(workers=2), **{**options, "scheduler": pressed})
    measured = len(vtune.load(options["store"], "far").curves())
    assert measured > 0
    found = study(tmp_path, 30, Ray(workers=1), resume=True, **options)
    assert_each_once(found, 30)
    assert_same(found, study(tmp_path, 30, scheduler=scheduler))


def test_an_error_on_a_worker_shows_the_lines_of_the_task(cluster, tmp_path):
    with pytest.raises(Exception, match=r"in fall_over[\s\S]*the bowl is broken"):
        vtune.tune(far.Broken(tmp_path), far.SPACE, trials=8, executor=Ray(workers=1), **far.OPTIONS)


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_named(cluster, tmp_path):
    with pytest.raises(WorkerError, match="workers died, one after another, while they trained trials"):
        vtune.tune(far.Deadly(tmp_path), far.SPACE, trials=8, executor=Ray(workers=2), **far.OPTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "pbt", "median", "patience", "successive-halving"])
def test_every_decision_is_that_of_one_process(cluster, tmp_path, scheduler):
    options = {"scheduler": scheduler, "lanes": 12, "proposer": "tpe"}
    assert_same(study(tmp_path, 30, Ray(workers=3), **options), study(tmp_path, 30, **options))


@pytest.mark.slow
def test_trials_of_a_worker_that_died_go_on_from_the_last_snapshot(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(vtune.study, "Snapshots", functools.partial(Snapshots, seconds=0))
    options = {"scheduler": vtune.schedulers.Median(), "store": tmp_path / "vtune.db", "lanes": 8}

    def kill():
        until = time.monotonic() + 60
        while time.monotonic() < until and all("tmp" in path.name for path in tmp_path.rglob("snapshot-*")):
            time.sleep(0.02)
        far.kill(tmp_path)

    killed = far.Judged(options["scheduler"], far.When(6, kill))
    found = study(tmp_path, 8, Ray(workers=2), **{**options, "scheduler": killed, "steps": 40, "name": "far"})
    assert_each_once(found, 8)
    assert lost(found) == 1
    starts = [event for event in found._reader.events(found.record.id) if event.kind == "snapshot"]
    assert starts
    known = {(trial, step): values for trial, step, *values in rows(study(tmp_path, 8, steps=40))}
    assert all(known[trial, step] == values for trial, step, *values in rows(found))


@pytest.mark.slow
def test_a_worker_without_memory_goes_on_with_fewer_blocks(cluster, tmp_path):
    found = vtune.tune(far.Hungry(tmp_path), far.SPACE, trials=20, executor=Ray(workers=1), **far.OPTIONS)
    assert_each_once(found, 20)
    assert_same(found, study(tmp_path, 20))
    told = [event.detail["blocks"] for event in found._reader.events(found.record.id) if event.kind == "out of memory"]
    assert told == [1]
    assert lost(found) == 0


@pytest.mark.slow
def test_folds_seeds_and_fresh_seeds(cluster, tmp_path):
    options = {"seeds": 2, "rerun": 2}
    found, here = study(tmp_path, 20, Ray(workers=2), **options), study(tmp_path, 20, **options)
    assert_same(found, here)
    assert found.best.rerun == here.best.rerun


@pytest.mark.slow
def test_a_driver_that_is_killed_goes_on(cluster, tmp_path):
    """The task is defined in the script itself."""
    script = [sys.executable, str(HERE / "far_script.py"), str(tmp_path), cluster.address]
    first = subprocess.Popen(script)
    try:
        until = time.monotonic() + 120
        while first.poll() is None and time.monotonic() < until and _measured(tmp_path) < 20:
            time.sleep(0.02)
        assert first.poll() is None
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
    subprocess.run(script, check=True, timeout=200)
    subprocess.run([*script[:-1], "local"], check=True, timeout=200)
    found, here = (vtune.load(tmp_path / "vtune.db", name) for name in ("ray", "local"))
    assert_each_once(found, 40)
    assert_same(found, here)


def _measured(folder):
    try:
        return len(vtune.load(folder / "vtune.db", "ray").curves())
    except vtune.VtuneError:
        return 0
