"""Nine hyperparameters at once, six of which change the program: vtune beside tuners that compile nearly every trial.

Random search over `guide.py`'s space of small networks on scikit-learn's digits, 500 steps a trial, all rows over the
same configurations but the expert's, who draws six of the nine once for each 32 trials. Every driver runs in a fresh
process with an empty compilation cache, and compilation counts. vtune trains every trial; peers take so long that they
train the first few only, and the table says how many.

What programs cached by structure cost a trial falls with the number of trials, as structures come back. So that row is
also *derived* for all trials: structures are counted in the whole table of configurations, and what a new structure and
what a run take is measured apart on the sample.

usage: python experiments/bench_structure.py [--trials 256 1024] [--rounds 1] [--only PART ...] [--quick]
writes experiments/results/structure.json
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peers import structure_problem
from peers.rounds import console, missing, run_rounds, write
from peers.structure_problem import Settings
from rich.table import Table

from vtune.report import Explanation

STEPS, RUNS = "Optuna, a jitted step a trial", "Optuna, whole runs by structure"
EXPERT = "by hand, 32 a structure"
SAMPLES = {STEPS: 16, RUNS: 48, EXPERT: 256, f"{EXPERT}, a thread a core": 256}
WARM = " (warm cache)"
TARGETS = {256: 6, 1024: 12}
"""Trials -> how many times faster than the faster of Optuna's rows vtune is to be, compiling included."""


def rows(trials: Sequence[int], settings: Settings, sample: int | None) -> dict[str, tuple[str, bool, Settings]]:
    """Label -> (driver, whether the compilation cache is warm, settings)."""
    found = {}
    for driver, usual in SAMPLES.items():
        sized = replace(settings, trials=min(usual if sample is None else sample, settings.trials))
        found[driver] = (driver, False, sized)
        if driver == RUNS:
            found[driver + WARM] = (driver, True, sized)
    for number in trials:
        for warm in (False, True):
            found[f"vtune, {number:,} trials{WARM * warm}"] = ("vtune", warm, replace(settings, trials=number))
    return found


def derived(run: Mapping[str, Any], trials: int) -> float | None:
    """Milliseconds a trial where new structures are as frequent as among so many trials; None where nothing is kept.

    Args:
      run: what was measured on a sample, setup and running apart.
      trials: how many configurations of the table are looked at.
    """
    if not run["setup_seconds"]:
        return None
    met = [structure_problem.structures(config) for config in structure_problem.configs(trials)]
    setup = sum(
        len({structure[kind] for structure in met}) * statistics.mean(each)
        for kind, each in run["setup_seconds"].items()
    )
    measured = sum(sum(each) for each in run["setup_seconds"].values())
    return (setup / trials + (run["seconds"] - measured) / run["trials"]) * 1e3


def at(result: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """What a row says about a sweep of so many trials: milliseconds a trial, measured, and derived if they differ."""
    runs = result["rounds"]
    found = [derived(run, trials) for run in runs] if runs[-1]["trials"] < trials else [None]
    return {
        "trials": trials,
        "measured_on": min(runs[-1]["trials"], trials),
        "ms_a_trial": result["ms_a_trial"],
        "derived_ms_a_trial": None if None in found else statistics.median(found),
    }


def cost(row: Mapping[str, Any]) -> float:
    """Milliseconds a trial that count: derived where the sample is not like the whole."""
    return row["ms_a_trial"] if row["derived_ms_a_trial"] is None else row["derived_ms_a_trial"]


def summary(results: Mapping[str, Any], trials: int) -> dict[str, dict[str, Any]]:
    """Label -> what it says about a sweep of so many trials, and how many times faster vtune is, cold beside cold."""
    own = f"vtune, {trials:,} trials"
    found = {
        label: at(result, trials)
        for label, result in results.items()
        if not label.startswith("vtune") or label.removesuffix(WARM) == own
    }
    for label, row in found.items():
        base = found.get(own + WARM * label.endswith(WARM))
        row["times_vtune"] = cost(row) / cost(base) if base else None
    return found


def show(results: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], trials: int) -> None:
    """Prints a table for so many trials, how far the target is, and what vtune says of its programs."""
    table = Table(title=f"{trials:,} trials of random search")
    table.add_column("driver", no_wrap=True)
    headings = (
        "measured on",
        "ms a trial",
        "derived",
        "times vtune's",
        "compiles",
        "accuracy: mean; best",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for label, row in found.items():
        last = results[label]["rounds"][-1]
        table.add_row(
            label,
            f"{row['measured_on']:,} of {trials:,}",
            f"{row['ms_a_trial']:,.1f}",
            "–" if row["derived_ms_a_trial"] is None else f"{row['derived_ms_a_trial']:,.1f}",
            f"{row['times_vtune']:.2f}" if row["times_vtune"] else "–",
            f"{last['compiles']:,}",
            f"{last['mean_accuracy']:.3f}; {last['best_accuracy']:.3f}",
        )
    console.print(table)
    optuna = [row["times_vtune"] for label, row in found.items() if label in (STEPS, RUNS) and row["times_vtune"]]
    if optuna:
        target = f"; the target is {TARGETS[trials]}" if trials in TARGETS else ""
        console.print(f"{trials:,} trials: {min(optuna):.1f} times faster than the faster of Optuna's rows{target}")
    for label in found:
        explained = results[label]["rounds"][-1]["facts"].get("explained")
        if explained:
            console.print(f"\n{label}:", highlight=False)
            console.print(repr(Explanation.from_json(explained)), highlight=False, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--sample", type=int, default=None, help="trials that each peer trains; 16, 48 and 256 if left out"
    )
    parser.add_argument("--only", nargs="+", default=[], help="only rows whose name holds one of these")
    parser.add_argument("--quick", action="store_true", help="4 trials of 10 steps, peers 2: whether it runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "structure.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.trials, options.steps, options.rounds, options.sample = [4], 10, 1, 2
    settings = Settings(trials=max(options.trials), steps=options.steps)

    wanted, skipped = {}, {}
    for label, row in rows(options.trials, settings, options.sample).items():
        if options.only and not any(part in label for part in options.only):
            continue
        if package := missing(row[0]):
            skipped[label] = f"skipped: {package} is not installed"
        else:
            wanted[label] = row
    results = run_rounds(wanted, options.rounds, (), "peers.structure_measure")
    summaries = {trials: summary(results, trials) for trials in options.trials}
    for trials, found in summaries.items():
        show(results, found, trials)
    for label, why in skipped.items():
        console.print(f"{label}: {why}")
    write(options.out, settings, results, skipped=skipped, summary=summaries)


if __name__ == "__main__":
    main()
