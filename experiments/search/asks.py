"""How long an ask takes, by what was told before."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from search.peers import PEERS
from search.tasks import NETWORK, network

BATCHES, HISTORIES = (16, 256), (0, 100, 1_000, 10_000, 100_000)
PATIENCE, LESSON = 4.0, 8.0
"""Seconds an ask may take, and seconds that a history may take to learn, for a peer to be told more."""

Times = dict[str, dict[str, float]]


def timed(file: Path, peers: Sequence[str]) -> Times:
    """Times asks of peers, each the second of its kind so that nothing compiles, and writes them beside those known.

    Returns:
      What the file now holds: peer -> "batch at history" -> seconds.
    """
    for peer in peers:
        rows = {}
        for batch in BATCHES:
            try:
                for history, seconds in _asked(peer, batch):
                    rows[f"{batch} at {history}"] = seconds
            except np.linalg.LinAlgError as error:
                print(f"{peer} gave up in batches of {batch}: {error}")
        found = known(file) | {peer: rows}
        file.write_text(json.dumps(found, indent=1) + "\n")
        print(peer, rows, flush=True)
    return known(file)


def first(peer: str, history: int, batch: int = 256) -> dict[str, float]:
    """Seconds of the first ask in a fresh process, with an empty cache of compiled programs and a full one, and after.

    Returns:
      "compiling", "from the cache", and "again", an ask right after that one.
    """
    with TemporaryDirectory() as cache:
        (cold, _), (warm, after) = (_alone(peer, history, batch, cache) for _ in range(2))
    return {"compiling": cold, "from the cache": warm, "again": after}


def _alone(*arguments: Any) -> list[float]:
    """What `_two` returns in a process of its own."""
    command = [sys.executable, "-m", "search.asks", *map(str, arguments)]
    said = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, check=True)
    return json.loads(said.stdout)


def _two(peer: str, history: int, batch: int, cache: str) -> tuple[float, float]:
    """Seconds of the first and of the second ask after some trials were told."""
    import jax

    from vtune.cache import enable_compilation_cache

    enable_compilation_cache(cache)
    jax.numpy.zeros(1).block_until_ready()
    configs = NETWORK.sample(history, np.random.default_rng(0))
    searcher = PEERS[peer][1](NETWORK, 0, batch, history)
    searcher.teach(configs, np.array([network(config) for config in configs]))
    times = [time.perf_counter()]
    for _ in range(2):
        searcher.ask(batch)
        times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def known(file: Path) -> Times:
    return json.loads(file.read_text()) if file.exists() else {}


def _asked(peer: str, batch: int) -> Iterator[tuple[int, float]]:
    rng, searcher, told = np.random.default_rng(0), PEERS[peer][1](NETWORK, 0, batch, HISTORIES[-1]), 0
    for history in HISTORIES:
        lesson = 0.0
        while told < history and lesson < LESSON:
            configs = NETWORK.sample(min(history - told, 1000), rng)
            scores = np.array([network(config) for config in configs])
            told, begun = told + len(configs), time.perf_counter()
            searcher.teach(configs, scores)
            lesson += time.perf_counter() - begun
        if told < history:
            break
        for _ in range(2):
            begun = time.perf_counter()
            searcher.ask(batch)
            seconds = time.perf_counter() - begun
        yield history, float(f"{seconds:.3g}")
        if seconds > PATIENCE:
            break


def markdown(times: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of seconds; a dash where a peer took too long before.

    >>> print(markdown({"some": {"16 at 0": 0.0123}}).splitlines()[2])
    | some | 0.012 | - | - | - | - | - | - | - | - | - |
    """
    columns = [(batch, history) for batch in BATCHES for history in HISTORIES]
    heads = [f"{batch} at {history:,}" for batch, history in columns]
    lines = [f"| ask of | {' | '.join(heads)} |", "| --- |" + " ---: |" * len(columns)]
    for peer, rows in times.items():
        cells = [f"{rows[key]:.2g}" if (key := f"{batch} at {history}") in rows else "-" for batch, history in columns]
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(_two(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
