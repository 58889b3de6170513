"""How soon a search finds a good network when trials that do badly are ended early: vtune beside Optuna and Ray Tune.

Two spaces: three floats of a 2x64 network on scikit-learn's digits, 500 steps a trial, and the nine hyperparameters of
a guide. All search at random or as they do by default, compare trials at 25, 75 and 225 steps, and begin with nothing
compiled, each in a fresh process. Peers train one trial at a time (Ray Tune: two), with every structure compiled once.
Reported: seconds until a trial ended with a validation accuracy of at least each target, and how much faster ASHA is
than training the same trials in full.

usage: python experiments/bench_schedulers.py [--spaces digits nine] [--seeds 5] [--only PART ...] [--quick]
writes experiments/results/schedulers.json
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peers.rounds import console, missing, run_once, write
from peers.scheduled import Settings
from rich.table import Table

WARM = " (warm cache)"
ROWS = {
    "vtune, ASHA, 4,096 trials": ("vtune, ASHA", 4096),
    "vtune, ASHA, 1,024 trials": ("vtune, ASHA", 1024),
    f"vtune, ASHA, 1,024 trials{WARM}": ("vtune, ASHA", 1024),
    "vtune, 1,024 trials": ("vtune", 1024),
    f"vtune, 1,024 trials{WARM}": ("vtune", 1024),
    "Optuna, TPE, Hyperband": ("Optuna, TPE, Hyperband", 4096),
    "Optuna, random, Hyperband": ("Optuna, random, Hyperband", 4096),
    "Ray Tune, ASHA, 2 workers": ("Ray Tune, ASHA, 2 workers", 4096),
}
TARGETS = {"digits": (0.98, 0.983, 0.986, 0.9885), "nine": (0.97, 0.975, 0.98, 0.983)}
"""Accuracies on 360 images; each lies between two numbers of right answers."""


def seconds_to(run: Mapping[str, Any], target: float) -> float | None:
    """Seconds until a trial ended at or above the target; None if none did."""
    return next((seconds for seconds, accuracy in run["rises"] if accuracy >= target), None)


def summary(runs: Sequence[Mapping[str, Any]], targets: Sequence[float]) -> dict[str, Any]:
    """Medians over seeds, and their range; a seed that did not get there counts as never."""
    found: dict[str, Any] = {
        "seconds": statistics.median(run["seconds"] for run in runs),
        "best": [run["best_accuracy"] for run in runs],
        "trials": statistics.median(run["trials"] for run in runs),
    }
    for target in targets:
        times = sorted(float("inf") if (t := seconds_to(run, target)) is None else t for run in runs)
        middle = times[len(times) // 2]
        found[f"to {target}"] = {
            "median": None if middle == float("inf") else middle,
            "reached": sum(t < float("inf") for t in times),
            "fastest": None if times[0] == float("inf") else times[0],
            "slowest": None if times[-1] == float("inf") else times[-1],
        }
    return found


def show(space: str, found: Mapping[str, Mapping[str, Any]], seeds: int, limit: float) -> None:
    """Prints the table of a space."""
    table = Table(title=f"{space}: seconds until a target, medians of {seeds} seed(s); peers end after {limit:.0f} s")
    for heading in ("driver", *(f"{target:.2%}" for target in TARGETS[space]), "all", "trials", "best: least, most"):
        table.add_column(heading, justify="left" if heading == "driver" else "right", no_wrap=True)
    for label, row in found.items():
        cells = []
        for target in TARGETS[space]:
            cell = row[f"to {target}"]
            time = "–" if cell["median"] is None else f"{cell['median']:.1f}"
            cells.append(time if cell["reached"] == seeds else f"{time} ({cell['reached']}/{seeds})")
        best = f"{min(row['best']):.4f}, {max(row['best']):.4f}"
        table.add_row(label, *cells, f"{row['seconds']:.1f}", f"{row['trials']:,.0f}", best)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", choices=sorted(TARGETS), default=["digits", "nine"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="peers begin no trial after so long")
    parser.add_argument("--only", nargs="+", default=[], help="only rows whose name holds one of these")
    parser.add_argument("--quick", action="store_true", help="a few trials of 20 steps, one seed: whether it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "schedulers.json")
    options = parser.parse_args(arguments)
    base = Settings(seconds=options.seconds)
    if options.quick:
        base, options.seeds = replace(base, trials=12, steps=20, min_steps=5, reduction=2), 1

    results: dict[str, Any] = {}
    for space in options.spaces:
        runs: dict[str, list[dict[str, Any]]] = {}
        skipped = {}
        for seed in range(options.seeds):
            for label, (driver, trials) in ROWS.items():
                if options.only and not any(part in label for part in options.only):
                    continue
                if package := missing(driver):
                    skipped[label] = f"skipped: {package} is not installed"
                    continue
                console.print(f"{space}, seed {seed}: {label}", style="dim", highlight=False)
                sized = replace(base, space=space, seed=seed, trials=base.trials if options.quick else trials)
                measured = run_once(driver, sized, warm=label.endswith(WARM), module="peers.scheduled_measure")
                runs.setdefault(label, []).append(measured)
        found = {label: summary(each, TARGETS[space]) for label, each in runs.items()}
        show(space, found, options.seeds, options.seconds)
        for label, why in skipped.items():
            console.print(f"{label}: {why}")
        results[space] = {"summary": found, "runs": runs, "skipped": skipped}
    write(options.out, base, results)


if __name__ == "__main__":
    main()
