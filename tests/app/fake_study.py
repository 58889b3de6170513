"""Studies that look like real ones, written with the real Writer: for the app's tests and its screenshots.

`python tests/app/fake_study.py STORE NAME SECONDS` writes a running study chunk by chunk, as another process would.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np

from vtune.space import Choice, Float, Int, Space
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, Writer, open_writer

METRICS = ("loss", "train_loss", "accuracy", "train_accuracy", "grad_norm", "learning_rate")
SPACE = Space(
    lr=Float(1e-5, 1e-1, log=True),
    dropout=Float(0.0, 0.5),
    width=Int(16, 256, log=True),
    activation=Choice("relu", "gelu", "tanh"),
    optimizer=Choice("momentum", "adam"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
)


@dataclass(frozen=True)
class Simulated:
    """What a sweep of a small classifier could have measured: configs [trials], values [trials, evals, metrics]."""

    configs: list[dict]
    steps: np.ndarray
    values: np.ndarray
    diverged: np.ndarray


def simulate(trials: int, *, evals: int = 20, eval_every: int = 100, seed: int = 0) -> Simulated:
    rng = np.random.default_rng(seed)
    configs = SPACE.sample(trials, rng)
    steps = eval_every * np.arange(1, evals + 1)
    lr = np.array([config["lr"] for config in configs])
    dropout = np.array([config["dropout"] for config in configs])
    width = np.array([config["width"] for config in configs])
    adam = np.array([config["optimizer"] == "adam" for config in configs])
    away = np.log10(lr) - np.where(adam, -2.7, -1.6)
    rate = 0.004 * 10 ** (-0.7 * np.abs(away)) * (0.7 + 0.3 * np.log2(width) / 8)
    learned = 1 - np.exp(-rate[:, None] * steps)
    noise = 0.01 * rng.standard_normal((trials, evals))
    train = 2.3 - 2.27 * learned + np.abs(noise) * 0.5
    capacity = np.log2(width)[:, None] / 8 * (0.6 - dropout[:, None])
    gap = 0.03 + 0.5 * capacity * np.clip(steps / steps[-1] - 0.35, 0, None) * learned**2
    valid = train + gap + noise
    accuracy = np.clip(1.0 - 0.39 * valid + 0.02 * noise, 0.08, 0.995)
    train_accuracy = np.clip(1.0 - 0.39 * train, 0.08, 1.0)
    grad = 0.1 + 2.0 * (1 - learned) + np.abs(noise)
    schedule = lr[:, None] * 0.5 * (1 + np.cos(np.pi * steps / steps[-1]))
    values = np.stack([valid, train, accuracy, train_accuracy, grad, schedule], axis=-1)
    return Simulated(configs, steps, values, (away > 1.35) & (rng.random(trials) < 0.8))


def record(name: str, trials: int, *, evals: int = 20, eval_every: int = 100) -> StudyRecord:
    return StudyRecord(
        name=name,
        space=SPACE.to_json(),
        objectives=(("accuracy", "max"),),
        metrics=METRICS,
        trials=trials,
        steps=evals * eval_every,
        eval_every=eval_every,
        rng="pcg",
        proposer="random",
        task="digits",
        choices={"lanes": 64, "block": 32, "strategy": "scan"},
        report={
            "kinds": {"lr": "traced", "dropout": "traced", "width": "guarded", "activation": "guarded"},
            "compiles": 3,
            "occupancy": 0.93,
        },
    )


class Pretender:
    """Writes a simulated study, so many trials a time, as `study.run` would."""

    def __init__(self, writer: Writer, name: str, trials: int, *, seed: int = 0, evals: int = 20) -> None:
        self.writer, self.trials = writer, trials
        self.simulated = simulate(trials, evals=evals, seed=seed)
        self.study = writer.create(record(name, trials, evals=evals))
        self.clock = self.done = 0
        writer.update(self.study.id, state="running", started=time.time())

    def finish(self, count: int) -> None:
        """Trains `count` further trials to their end and commits them."""
        simulated, ids = self.simulated, np.arange(self.done, min(self.done + count, self.trials))
        if not len(ids):
            return
        evals = len(simulated.steps)
        lasted = np.where(simulated.diverged[ids], evals // 4, evals)
        rows = [(trial, index) for trial, last in zip(ids, lasted, strict=True) for index in range(last)]
        trial, index = np.array(rows).T
        self._commit(
            new_trials=[NewTrial(int(i), simulated.configs[i], "random") for i in ids],
            trial_updates=TrialUpdates(
                id=ids,
                state=np.where(simulated.diverged[ids], "diverged", "complete"),
                step=simulated.steps[lasted - 1],
                score=np.where(simulated.diverged[ids], np.nan, simulated.values[ids, lasted - 1, 2]),
                started=np.full(len(ids), time.time() - 1.0),
                finished=np.full(len(ids), time.time()),
            ),
            measurements=Measurements(trial, simulated.steps[index], simulated.values[trial, index]),
        )
        self.done += len(ids)

    def begin(self, count: int) -> None:
        """Admits `count` trials that have done half of their steps."""
        simulated, ids = self.simulated, np.arange(self.done, min(self.done + count, self.trials))
        half = len(simulated.steps) // 2
        trial, index = np.repeat(ids, half), np.tile(np.arange(half), len(ids))
        self._commit(
            new_trials=[NewTrial(int(i), simulated.configs[i], "random") for i in ids],
            trial_updates=TrialUpdates(
                id=ids,
                state=["running"] * len(ids),
                step=np.full(len(ids), simulated.steps[half - 1]),
                score=simulated.values[ids, half - 1, 2],
                started=np.full(len(ids), time.time()),
            ),
            measurements=Measurements(trial, simulated.steps[index], simulated.values[trial, index]),
        )
        self.done += len(ids)

    def end(self, state: str = "complete", error: str | None = None) -> None:
        """Closes the study."""
        self.writer.update(self.study.id, state=state, error=error)

    def _commit(self, **content: object) -> None:
        self.clock += 1
        events = [Event(time.time(), "chunk", {"done": self.done})]
        self.writer.commit(self.study.id, Commit(clock=self.clock, events=events, **content))


def finished(writer: Writer, name: str, trials: int = 40, seed: int = 0) -> None:
    study = Pretender(writer, name, trials, seed=seed)
    study.finish(trials)
    study.end()


def main(store: str, name: str, seconds: str) -> None:
    """Eight trials at once, then one every fifth of a second; the study is complete after about `seconds`."""
    trials = 8 + int(5 * float(seconds))
    with open_writer(store) as writer:
        study = Pretender(writer, name, trials)
        study.finish(8)
        while study.done < trials:
            time.sleep(0.2)
            study.finish(1)
        study.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
