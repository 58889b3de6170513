"""A small CNN: vtune beside loops over single trials, which is how convolutions are fastest by hand on a CPU.

A vmapped convolution is a grouped one, and slow inside a scan on CPUs, so the peer is the faster of two loops that
compile once and take the hyperparameters as arguments: a step called from the host, and the whole run as one scan.

usage: python experiments/bench_cnn.py [--batch-norm] [--rounds 3] [--trials 16] [--steps 200] [--quick]
writes experiments/results/cnn.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from peers.problem import Settings
from peers.rounds import console, run_rounds, write
from rich.table import Table

LOOPS = ("a loop over jitted steps", "a loop over jitted runs")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-norm", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--quick", action="store_true", help="4 trials of 10 steps, one round: whether it runs, not how fast"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "cnn.json")
    options = parser.parse_args(arguments)
    if options.quick:
        options.trials, options.steps, options.rounds = 4, 10, 1
    network = "cnn_bn" if options.batch_norm else "cnn"
    settings = Settings(network, options.trials, options.steps, options.steps)

    drivers = (*LOOPS, "vtune, one thread", "vtune")
    results = run_rounds({driver: (driver, False, settings) for driver in drivers}, options.rounds, LOOPS)
    table = Table(
        title=f"{network}: {settings.trials} trials of {settings.steps} steps, medians of {options.rounds} round(s)"
    )
    table.add_column("driver", no_wrap=True)
    for heading in ("ms a trial", "ms a step, not compiling", "times the faster loop", "best accuracy"):
        table.add_column(heading, justify="right")
    for driver, row in results.items():
        table.add_row(
            driver,
            f"{row['ms_a_trial']:.0f}",
            f"{row['ms_a_trial_without_compile'] / settings.steps:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['rounds'][-1]['best_accuracy']:.3f}",
        )
    console.print(table)
    write(options.out, settings, results)


if __name__ == "__main__":
    main()
