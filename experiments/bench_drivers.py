"""Drivers of the same sweep, measured in one run: tutorials, experts, other tuners and vtune with its store on.

256 configurations of (learning rate, weight decay, dropout) for a 2x64 network with dropout on scikit-learn's digits,
500 steps of AdamW each. Every driver runs in a fresh process and includes compilation; rounds alternate, and medians
are shown. "By hand" is an expert's own vmap with a cheap generator: the faster of its two widths is what others are
compared with; the one with a thread a core is vtune's own trick without vtune.

usage: python experiments/bench_drivers.py [--rounds 3] [--only PART ...] [--eval-every 500] [--warm] [--quick]
writes experiments/results/drivers.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from peers.problem import Settings
from peers.rounds import console, fewer, missing, run_rounds, write
from rich.table import Table

LIMIT = "bare matrix products"
EXPERT = ("by hand, vmap over 32", "by hand, vmap over 64")
SLOW = {"Optuna, a tutorial's loop": 8, "Ray Tune, 2 workers": 24}
DRIVERS = (
    "Optuna, a tutorial's loop",
    "Ray Tune, 2 workers",
    "Optuna, jitted once",
    "Optuna, jitted once, SQLite",
    "hyperoptax over 64",
    "Optuna and vmap over 32",
    "Optuna and vmap over 64",
    "Optuna and vmap over 256",
    "Optuna and vmap over 32, SQLite",
    "Optuna and vmap over 64, SQLite",
    "Optuna and vmap over 256, SQLite",
    *EXPERT,
    "by hand, vmap over 16, a thread a core",
    "vtune, threefry, one thread",
    "vtune, one thread",
    "vtune, threefry",
    "vtune",
    LIMIT,
)
WARM = ("vtune", "vtune, threefry")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[], help="only rows whose name holds one of these")
    parser.add_argument("--trials", type=int, default=256)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument(
        "--eval-every", type=int, default=None, help="steps between evaluations; once at the end if left out"
    )
    parser.add_argument(
        "--warm", action="store_true", help="a warm compilation cache for every driver, not for vtune alone"
    )
    parser.add_argument(
        "--quick", action="store_true", help="8 trials of 20 steps, one round: whether it runs, not how fast"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "drivers.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.trials, options.steps, options.rounds = 8, 20, 1
    eval_every = options.eval_every or options.steps
    if options.steps % eval_every:
        parser.error(f"--eval-every must divide --steps; {options.steps} is not a multiple of {eval_every}")
    settings = Settings(trials=options.trials, steps=options.steps, eval_every=eval_every)

    rows, skipped = {}, {}
    for driver in DRIVERS:
        sized = fewer(settings, SLOW.get(driver, settings.trials))
        labels = {driver: False}
        if driver != LIMIT and (options.warm or driver in WARM):
            labels[f"{driver} (warm cache)"] = True
        for label, warm in labels.items():
            if options.only and not any(part in label for part in options.only):
                continue
            if package := missing(driver):
                skipped[label] = f"skipped: {package} is not installed"
            else:
                rows[label] = (driver, warm, sized)

    results = run_rounds(rows, options.rounds, EXPERT)
    table = Table(title=f"{settings.trials} trials of {settings.steps} steps, medians of {options.rounds} round(s)")
    table.add_column("driver", no_wrap=True)
    for heading in ("ms a trial", "without compiling", "times the expert's", "compiles", "best accuracy"):
        table.add_column(heading, justify="right")
    for label, row in results.items():
        last = row["rounds"][-1]
        table.add_row(
            label,
            f"{row['ms_a_trial']:.1f}",
            f"{row['ms_a_trial_without_compile']:.1f}",
            f"{row['ratio']:.2f}" if row["ratio"] else "–",
            str(last.get("compiles", "–")),
            f"{last['best_accuracy']:.3f}" if "best_accuracy" in last else "–",
        )
    for label, why in skipped.items():
        table.add_row(label, why)
    console.print(table)
    write(options.out, settings, results, skipped=skipped)


if __name__ == "__main__":
    main()
