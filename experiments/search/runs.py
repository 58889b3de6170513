"""One search after another, each appended to a file as a line of JSON, so that a stopped benchmark goes on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from search.peers import PEERS
from search.tasks import Problem

MARKS = (64, 128, 256, 1024)
"""Evaluations after which the best score is noted."""


@dataclass(frozen=True)
class Run:
    """A search.

    Attributes:
      task, peer: names.
      batch: configurations asked for at once.
      seed: of the peer and of the noise.
      best: the lowest score, without noise, of what was tried up to each of the first marks.
      ask: processor seconds of an ask and its tell, on the average.
    """

    task: str
    peer: str
    batch: int
    seed: int
    best: tuple[float, ...]
    ask: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.task, self.peer, self.batch, self.seed


def read(file: Path) -> dict[tuple[str, str, int, int], Run]:
    """The searches in a file; of those made twice the longer. A torn last line is left out."""
    runs: dict[tuple[str, str, int, int], Run] = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            known = json.loads(line)
        except ValueError:
            continue
        run = Run(**known | {"best": tuple(known["best"])})
        if len(run.best) >= len(runs[run.key].best if run.key in runs else ()):
            runs[run.key] = run
    return runs


def append(file: Path, run: Run) -> None:
    """Writes one search at the end of a file; several processes may do so at once."""
    record = asdict(run) | {"best": [float(f"{value:.7g}") for value in run.best], "ask": float(f"{run.ask:.3g}")}
    file.parent.mkdir(exist_ok=True)
    torn = file.exists() and not file.read_bytes().endswith(b"\n")
    line = "\n" * torn + json.dumps(record, separators=(",", ":")) + "\n"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def play(problem: Problem, peer: str, batch: int, seed: int, marks: Sequence[int]) -> Run:
    """Searches until the last mark."""
    searcher = PEERS[peer][1](problem.space, seed, batch, marks[-1])
    noise = np.random.default_rng(10_000 + seed)
    lowest, seconds, best, tried = np.inf, 0.0, [], 0
    while tried < marks[-1]:
        started = time.process_time()
        configs = searcher.ask(min(batch, marks[-1] - tried))
        seconds += time.process_time() - started
        scores = [problem.score(config) for config in configs]
        told = [problem.told(config, noise) for config in configs] if problem.told else scores
        lowest, tried = min(lowest, *map(float, scores)), tried + len(configs)
        started = time.process_time()
        searcher.tell(configs, np.array(told))
        seconds += time.process_time() - started
        best += [lowest] * (sum(mark <= tried for mark in marks) - len(best))
    return Run(problem.name, peer, batch, seed, tuple(best), seconds / (tried / batch))
