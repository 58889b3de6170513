"""Contracts 5 and 6 under SIGKILL: whatever is killed and when, the study that goes on ends as if nothing had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faults.kills import KINDS

HARNESS = Path(__file__).with_name("kills.py")


def killed(folder, kills, seed, *arguments, **environment):
    """Runs the harness; returns what it told of each scenario."""
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, HARNESS, folder, str(kills), str(seed), *arguments],
        capture_output=True, text=True, env={**os.environ, **paths, **environment}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def checked(told, kills, record_fault):
    tried = sum(one[kind] for one in told for kind in KINDS)
    lost = {one["scenario"]: one["difference"] for one in told if one["difference"] is not None}
    record_fault("kill", tried, len(lost))
    assert not lost
    assert tried == kills


@pytest.mark.timeout(900)
def test_fifty_kills(tmp_path, record_fault):
    checked(killed(tmp_path, 50, 1), 50, record_fault)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_kills(tmp_path, record_fault):
    checked(killed(tmp_path, 1000, 2, "all"), 1000, record_fault)


def test_kills_at_system_calls(tmp_path, dying, record_fault):
    checked(killed(tmp_path, 12, 3, "--writes", "tpe, pbt", **dying), 12, record_fault)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_kills_at_system_calls(tmp_path, dying, record_fault):
    checked(killed(tmp_path, 200, 4, "--writes", **dying), 200, record_fault)
