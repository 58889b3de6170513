"""How many lanes pay on one accelerator: training steps a second of all lanes together, from 1 to 16,384 of them.

Five small networks: a tiny MLP, 2x64, 2x512, a CNN and a transformer. vtune beside an expert's own vmap with the same
cheap generator and with threefry, beside trials one by one that are compiled once, and beside nothing but the matrix
products of the same shapes, which is the limit. Memory as the device tells it beside what was foreseen, and how full
lanes stay under ASHA. Every driver of every network runs in a process of its own.

A point is a line of JSON that names the device, the date and the versions. What is there is not measured again, so a
run that was cut short, or that came to --minutes, goes on with the same command.

usage: python experiments/bench_accelerator.py [--minutes 9] [--networks ...] [--drivers ...] [--lanes ...]
                                               [--dtype float32] [--flags] [--small]
writes experiments/results/accelerator-DEVICE.jsonl and .html (with --small: in build/)
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from accelerator import results
from peers.rounds import console

from vtune.display.pictures import write_pictures
from vtune.errors import VtuneError

HERE = Path(__file__).parent
NETWORKS = ("2x64", "tiny", "2x512", "cnn", "transformer")
LANES = (1, 16, 64, 256, 1024, 4096, 16384)
FEW = (256, 4096)
"""Lanes of the drivers that are there for a comparison only."""
VTUNE, ASHA = "vtune", "vtune under ASHA"
THREEFRY, ALONE = "by hand, threefry", "one by one, jitted once"
DRIVERS = (VTUNE, "by hand, cheap generator", "matrix products alone", ALONE, THREEFRY, ASHA)
FLAGS = (
    "--xla_gpu_autotune_level=0",
    "--xla_gpu_exhaustive_tiling_search=true",
    "--xla_gpu_enable_triton_gemm=false",
    "--xla_gpu_enable_command_buffer=",
    "--xla_gpu_enable_latency_hiding_scheduler=true",
    "--xla_gpu_enable_while_loop_double_buffering=true",
)
"""One at a time beside the defaults: autotuning, Triton, CUDA graphs, scheduling."""
FLAG_NETWORKS, FLAG_LANES = ("2x64", "transformer"), 1024
PACKAGES = ("jax", "jaxlib", "flax", "optax", "vtune")
ASK = "import jax, json; d = jax.local_devices()[0]; print(json.dumps([d.platform, d.device_kind]))"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="after so long no further point is begun")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a measurement lasts")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--drivers", nargs="+", choices=DRIVERS, default=DRIVERS)
    parser.add_argument("--lanes", nargs="+", type=int, default=LANES)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the computation")
    parser.add_argument("--flags", action="store_true", help="compare XLA flags, and nothing else")
    parser.add_argument("--small", action="store_true", help="few lanes, short: whether it runs, not how fast")
    parser.add_argument("--out", type=Path, help="the results file")
    options = parser.parse_args(arguments)
    few = FEW
    if options.small:
        options.seconds, few = min(options.seconds, 0.05), (4,)
        options.lanes = options.lanes if options.lanes != LANES else (1, 4)

    made = provenance(options)
    out = options.out or default_file(made)
    known = {results.key_of(point) for point in results.read(out)}
    deadline = time.monotonic() + 60 * options.minutes
    console.print(f"{made['device']} ({made['platform']}), jax {made['jax']}: {out}", highlight=False)
    left = 0
    for network, driver, lanes, flags in plan(options, few):
        same = {**made, "network": network, "driver": driver, "flags": flags}
        lanes = [each for each in lanes if results.key_of({**same, "asked_lanes": each}) not in known]
        if not lanes or time.monotonic() > deadline:
            left += len(lanes)
            continue
        console.print(f"{network}: {driver} {flags}", style="dim", highlight=False)
        request = {**same, "lanes": lanes, "seconds": options.seconds}
        for point in measured(request, deadline):
            results.append(out, {**same, "date": now(), **point})
            lanes = [each for each in lanes if each != point["asked_lanes"]]
        left += len(lanes)

    here = ("device", "jax", "dtype", "small", "xla_flags", "matmul_precision")
    title = f"{made['device']}, {made['dtype']}, jax {made['jax']}" + (", SMALL: not a measurement" * options.small)
    shown = [point for point in results.read(out) if all(point.get(part) == made[part] for part in here)]
    console.print(results.table(shown, title))
    drawing = results.figure(shown, title)
    drawing.write_html(out.with_suffix(".html"), include_plotlyjs="cdn")
    try:
        write_pictures({out.stem: drawing}, out.parent)
    except VtuneError as error:
        console.print(f"no PNG: {error}", style="dim", highlight=False)
    if left:
        console.print(f"{left} points are left: run the same command again", style="bold")


def plan(options: Any, few: Sequence[int]) -> Iterator[tuple[str, str, list[Any], str]]:
    """(network, driver, lanes from few to many, XLA flags) of each process, what matters most first."""
    if options.flags:
        for network in (each for each in options.networks if each in FLAG_NETWORKS):
            for flags in ("", *FLAGS):
                yield network, VTUNE, [few[0] if options.small else FLAG_LANES], flags
        return
    for network in options.networks:
        for driver in options.drivers:
            if driver == VTUNE:
                yield network, driver, sorted(options.lanes), ""
                if not options.small:
                    yield network, driver, ["auto"], ""
            elif driver == ALONE:
                yield network, driver, [1], ""
            elif driver == THREEFRY or (driver == ASHA and network == NETWORKS[0]):
                yield network, driver, list(few), ""
            elif driver != ASHA:
                yield network, driver, sorted(options.lanes), ""


def measured(request: dict[str, Any], deadline: float) -> Iterator[dict[str, Any]]:
    """The points of one process as they come; if it dies, the point that it died at is one that failed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {request['flags']}".strip(),
            "VTUNE_CACHE": folder,
        }
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        command = [sys.executable, "-m", "accelerator.measure", json.dumps(request)]
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
            cut_short = threading.Event()
            late = threading.Timer(max(1.0, deadline - time.monotonic()), lambda: (cut_short.set(), child.kill()))
            late.start()
            waiting = list(request["lanes"])
            full = False
            for line in child.stdout:
                point = json.loads(line)
                waiting.remove(point["asked_lanes"])
                full = point["status"] == "out of memory"
                yield point
            died = child.wait() != 0
            late.cancel()
            if cut_short.is_set():
                return
            if died:
                errors.seek(0)
                message = f"the process ended with {child.returncode}: {errors.read()[-300:]}"
                yield {"asked_lanes": waiting[0], "lanes": waiting[0], "status": "failed", "error": message}
            elif full:
                for lanes in waiting:
                    yield {"asked_lanes": lanes, "lanes": lanes, "status": "out of memory", "error": "with fewer lanes"}


def provenance(options: Any) -> dict[str, Any]:
    """What every line says of where it was measured."""
    asked = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    platform_name, device = json.loads(asked.splitlines()[-1])
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "device": device,
        "platform": platform_name,
        "python": platform.python_version(),
        **versions,
        "dtype": options.dtype,
        "small": options.small,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul_precision": os.environ.get("JAX_DEFAULT_MATMUL_PRECISION", "default"),
    }


def default_file(made: dict[str, Any]) -> Path:
    name = "-".join("".join(c if c.isalnum() else " " for c in made["device"].lower()).split())
    folder = HERE.parent / "build" if made["small"] else HERE / "results"
    return folder / f"accelerator-{name}{'-small' * made['small']}.jsonl"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
