"""Scripts of this folder in a process of their own, which has as many (simulated) devices as it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def answered(script: str, devices: int) -> dict:
    """What a script prints as JSON in its last line."""
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    result = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))], capture_output=True, text=True, timeout=280,
        check=False, env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.strip().splitlines()[-1])
