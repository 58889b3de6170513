"""Each process of a JAX cluster tunes on its own devices, as the example for several hosts does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import vtune

ROOT = Path(__file__).parents[1]


def test_two_processes_of_two_devices_each_search_different_configurations(tmp_path):
    path = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    environment = {
        **os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "VTUNE_CACHE": str(tmp_path / "cache"),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }  # fmt: skip
    script = ROOT / "experiments" / "two_processes.py"
    command = [sys.executable, str(script), "--trials", "16", "--store", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    assert "4 devices in 2 processes, 2 of them in each" in result.stdout
    studies = [vtune.load(tmp_path / f"process-{number}.db", "regression") for number in range(2)]
    assert [study.state for study in studies] == ["complete", "complete"]
    assert [len(study.trials()) for study in studies] == [8, 8]
    assert all(study.record.choices["devices"] == 2 for study in studies)
    assert len({trial.config["lr"] for study in studies for trial in study.trials()}) == 16
    best = min(study.best.score for study in studies)
    assert f"best of all: {best:.6f}" in result.stdout
