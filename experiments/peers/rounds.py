"""Alternating rounds of drivers, each in a process of its own; medians, and a JSON file that says where and when."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from peers.problem import Settings
from rich.console import Console

EXPERIMENTS = Path(__file__).parent.parent
PACKAGES = ("jax", "jaxlib", "flax", "optax", "optuna", "hyperoptax", "ray", "vtune")
NEEDS = {"Optuna": "optuna", "hyperoptax": "hyperoptax", "Ray": "ray"}

console = Console(width=None if sys.stdout.isatty() else 120)


def missing(driver: str) -> str | None:
    """The package that a driver needs and that is not installed."""
    package = next((package for word, package in NEEDS.items() if driver.startswith(word)), None)
    return package if package is not None and importlib.util.find_spec(package) is None else None


def run_once(driver: str, settings: Any, *, warm: bool = False, module: str = "peers.measure") -> dict[str, Any]:
    """One run in a fresh process. Cold: JAX's defaults, and nothing on disk. Warm: the run before filled the cache.

    vtune keeps compiled programs on disk by default, so a cold run of it pays for writing them.

    Args:
      driver: by its name in a table.
      settings: a dataclass that the module understands.
      warm: whether to run twice, and report the second run.
      module: what measures in the other process.
    """
    request = json.dumps({"driver": driver, "settings": asdict(settings)})
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        paths = [str(EXPERIMENTS), str(EXPERIMENTS.parent)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": folder,
            "VTUNE_CACHE": f"{folder}/vtune",
        }
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        if warm:
            environment |= {
                "JAX_COMPILATION_CACHE_DIR": f"{folder}/jax",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        for _ in range(1 + warm):
            command = [sys.executable, "-m", module, request]
            result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
            if result.returncode:
                raise RuntimeError(f"driver {driver!r} failed:\n{result.stderr[-4000:]}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def run_rounds(
    rows: Mapping[str, tuple[str, bool, Any]], rounds: int, reference: Sequence[str], module: str = "peers.measure"
) -> dict[str, dict[str, Any]]:
    """Runs every row once a round, in turn, so that a machine's slow minutes fall on all alike.

    Args:
      rows: label -> (driver, whether the compilation cache is warm, settings).
      rounds: how often each is run.
      reference: labels of the rows that others are compared with; the fastest of them each round counts.
      module: what measures a run in its own process.

    Returns:
      Label -> medians over the rounds: milliseconds a trial with and without compilation, the ratio to the reference
      within the round (below 1 is faster), and every round's raw figures.
    """
    raw: dict[str, list[dict[str, Any]]] = {label: [] for label in rows}
    for number in range(1, rounds + 1):
        for label, (driver, warm, settings) in rows.items():
            console.print(f"round {number} of {rounds}: {label}", style="dim", highlight=False)
            measured = run_once(driver, settings, warm=warm, module=module)
            measured["ms"] = measured["seconds"] / measured["trials"] * 1e3
            measured["ms_run"] = (measured["seconds"] - measured["compile_seconds"]) / measured["trials"] * 1e3
            raw[label].append(measured)
    peers = [raw[label] for label in reference if label in raw]
    base = [min(run["ms"] for run in runs) for runs in zip(*peers, strict=True)] if peers else None
    return {
        label: {
            "ms_a_trial": statistics.median(run["ms"] for run in runs),
            "ms_a_trial_without_compile": statistics.median(run["ms_run"] for run in runs),
            "ratio": statistics.median(run["ms"] / b for run, b in zip(runs, base, strict=True)) if base else None,
            "rounds": runs,
        }
        for label, runs in raw.items()
    }


def write(path: Path, settings: Any, results: Mapping[str, Any], **more: Any) -> None:
    """Writes results with what they were measured on."""
    installed = {name: importlib.metadata.version(name) for name in PACKAGES if importlib.util.find_spec(name)}
    report = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "packages": installed,
        "settings": asdict(settings),
        "results": dict(results),
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    console.print(f"written to {path}", style="dim", highlight=False)


def fewer(settings: Settings, trials: int) -> Settings:
    """The same with at most so many trials."""
    return replace(settings, trials=min(trials, settings.trials))
