"""Workers that only pretend to train: they take trials, need some time of a clock of their own, and answer with curves.

They stand where the executor of a study stands (see `vtune.executors.local`), so that the loop, its proposer, its
scheduler and its store do all that they do in a study, and nothing else takes time.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from vtune.engine.lanes import Chunk, State
from vtune.executors.arrangement import Arrangement
from vtune.executors.messages import Copy, Work
from vtune.executors.pool import Seat
from vtune.tasks.budget import Length


@dataclass(slots=True)
class Trial:
    """A trial that waits, trains or is paused: its next mark, who trains it, and when that will be measured."""

    id: int
    config: Mapping[str, Any]
    at: int = 0
    worker: int = -1
    due: float = math.inf


class Workers:
    """Workers that train a trial each, some faster than others.

    Args:
      count: how many there are.
      answers: a tick waits until so many of them have measured.
      length: of every trial.
      seed: of their paces.
    """

    free = False
    replicas = 1

    def __init__(self, count: int, answers: int, length: Length, seed: int = 0):
        regular = np.ceil(np.arange(1, math.ceil(length.steps / length.every)) * length.every).astype(int).tolist()
        self._marks = sorted({*regular, *length.also, length.steps})
        self._length, self._answers, self.seats = length, answers, count
        self._pace = np.random.default_rng(seed).lognormal(0.0, 0.3, count).tolist()
        self._idle = list(reversed(range(count)))
        self._waiting: deque[Trial] = deque()
        self._training: dict[int, Trial] = {}
        self._paused: dict[int, Trial] = {}
        self._due: list[tuple[float, int]] = []
        self._now = 0.0
        self.planner = SimpleNamespace(traced=[], compiled={})
        self.ticks = self.answered = 0

    @property
    def live(self) -> int:
        return len(self._training)

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def parked(self) -> tuple[int, ...]:
        return tuple(self._paused)

    @property
    def ending(self) -> int:
        """Trials that are likely to end in the next tick."""
        last = len(self._marks) - 1
        nearly = sum(trial.at == last for trial in self._training.values())
        return nearly * self._answers // max(1, self.live)

    @property
    def arrangement(self) -> Arrangement:
        def done(trials: Sequence[Trial]) -> dict[int, int]:
            return {trial.id: self._done(trial) for trial in trials}

        waiting, paused = done(list(self._waiting)), done(list(self._paused.values()))
        return Arrangement(self.ticks, ((0, done(list(self._training.values()))),), {0: waiting}, {0: paused})

    def length(self, config: Mapping[str, Any]) -> Length:
        return self._length

    def submit(self, trials: Sequence[int], configs: Sequence[Mapping[str, Any]], first: bool = False) -> None:
        new = [Trial(*each) for each in zip(trials, configs, strict=True)]
        if first:
            self._waiting.extendleft(reversed(new))
        else:
            self._waiting.extend(new)

    def states(self, trials: Sequence[int]) -> list[State]:
        return [[np.zeros((1, 1), np.float32)] for _ in trials]

    def tick(self) -> Work:
        """Gives idle workers a trial each, and waits for the next answers."""
        self.ticks += 1
        seats = [self._seat(self._waiting.popleft()) for _ in range(min(len(self._idle), len(self._waiting)))]
        answers: list[Trial] = []
        while self._due and len(answers) < self._answers:
            due, number = heapq.heappop(self._due)
            trial = self._training.get(number)
            if trial is not None and trial.due == due:
                self._now = due
                answers.append(trial)
        self.answered += len(answers)
        return Work(tuple(seats), ((0, self._measured(answers)),))

    def retire(self, trials: Any) -> None:
        for number in trials:
            self._paused.pop(number, None)
            trial = self._training.pop(number, None)
            if trial is not None:
                self._idle.append(trial.worker)

    def park(self, trials: Any) -> None:
        for number in np.asarray(trials).tolist():
            trial = self._paused[number] = self._training.pop(number)
            self._idle.append(trial.worker)

    def recall(self, trials: Any) -> None:
        self._waiting.extendleft(self._paused.pop(number) for number in reversed(np.asarray(trials).tolist()))

    def copy(self, copies: Sequence[Copy]) -> None:
        everyone = {**self._training, **self._paused}
        standing = [everyone[copy.source].at for copy in copies]
        for copy, at in zip(copies, standing, strict=True):
            everyone[copy.trial].at, everyone[copy.trial].config = at, copy.config
        self.recall([copy.trial for copy in copies if copy.trial in self._paused])

    def _seat(self, trial: Trial) -> Seat:
        trial.worker = self._idle.pop()
        self._training[trial.id] = trial
        self._begin(trial, self._now)
        return Seat(trial.id, 0, trial.worker, 0, self._length.steps)

    def _begin(self, trial: Trial, since: float) -> None:
        steps = self._marks[trial.at] - self._done(trial)
        trial.due = since + steps * self._pace[trial.worker]
        heapq.heappush(self._due, (trial.due, trial.id))

    def _done(self, trial: Trial) -> int:
        return self._marks[trial.at - 1] if trial.at else 0

    def _measured(self, answers: Sequence[Trial]) -> Chunk:
        for trial in answers:
            trial.at += 1
            if trial.at < len(self._marks):
                self._begin(trial, trial.due)
        n, step = len(answers), np.array([self._done(trial) for trial in answers], np.int64)
        losses = np.array([loss(trial.id, trial.config, self._done(trial)) for trial in answers])
        return Chunk(
            trial=np.array([trial.id for trial in answers], np.int64), replica=np.zeros(n, np.int64),
            lane=np.zeros(n, np.int64), step=step, values=np.stack([losses, 1.0 - losses / 2.5], 1),
            finite=np.isfinite(losses), share=step / self._length.steps, steps=1, live=self.live, width=self.seats,
            seconds=0.0,
        )  # fmt: skip


def loss(trial: int, config: Mapping[str, Any], step: int) -> float:
    """A learning curve: falls faster with a higher rate, to a floor that depends on the configuration, or diverges.

    >>> loss(0, {"lr": 1e-2, "dropout": 0.1, "width": 64}, 9) < loss(0, {"lr": 1e-4, "dropout": 0.1, "width": 64}, 9)
    True
    """
    if config["lr"] > 0.5:
        return math.nan
    off = math.log10(config["lr"]) + 2
    floor = 0.1 + 0.1 * off**2 + 0.3 * abs(config["dropout"] - 0.2) + 2 / config["width"]
    return floor + 2.3 * math.exp(-step * 20 * config["lr"]) + 0.02 * math.sin(12.9898 * trial + 78.233 * step)
