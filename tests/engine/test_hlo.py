"""What the compiled chunk of eight devices holds: each trains its own lanes, and none sends the others anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEVICES = 8


@pytest.fixture(scope="module")
def found() -> dict:
    flags = f"--xla_force_host_platform_device_count={DEVICES} --xla_backend_optimization_level=0"
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("devices_programs.py"))], capture_output=True, text=True,
        timeout=280, check=False, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.strip().splitlines()[-1])


PROGRAMS = ("mlp, vmapped", "mlp, one after another", "cnn, patches", "cnn, direct", "cnn of halves")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_chunk_holds_no_collective(found, program):
    assert found[program]["devices"] == DEVICES
    assert found[program]["loops"] > 0
    assert found[program]["collectives"] == []


def test_a_sum_over_lanes_would_be_found(found):
    assert found["a sum over lanes"]["collectives"] != []
