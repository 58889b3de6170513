"""A Ray cluster of three nodes on this machine: the same results as in one process, whoever dies and whoever comes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from executors import far

import vtune
from vtune.executors import Ray

ray = pytest.importorskip("ray")
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
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


def news(of):
    return [event.detail for event in of._reader.events(of.record.id) if event.kind == "workers"]


def assert_each_once(of, trials):
    """Every trial is there once, with one end, and no measurement twice."""
    assert of.frame()["id"].tolist() == list(range(trials))
    assert sum(of.counts().values()) == trials
    assert set(of.frame()["state"]) <= {"complete", "stopped", "diverged"}
    assert not of.curves().duplicated(["trial", "step"]).any()


def assert_same(far_away, here):
    np.testing.assert_array_equal(rows(far_away), rows(here))
    assert far_away.frame().equals(here.frame())


def test_a_worker_that_dies_loses_no_trial_and_another_takes_its_place(cluster, tmp_path):
    killed = far.Watched(far.SPACE, 5, far.When(3, lambda: far.kill(tmp_path)))
    found = study(tmp_path, 60, Ray(workers=2), proposer=killed)
    assert_each_once(found, 60)
    np.testing.assert_array_equal(rows(found), rows(study(tmp_path, 60)))
    assert news(found)[0]["lost"] == 1
