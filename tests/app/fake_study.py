"""Studies that look like real ones, written with the real Writer: for the app's tests, screenshots and benchmark.

`python tests/app/fake_study.py STORE NAME SECONDS` writes a running study chunk by chunk, as another process would.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vtune.report import Explanation, GuardReport, ProgramReport
from vtune.space import Choice, Float, Int, Space
from vtune.store import Commit, Event, Measurements, NewTrial, StudyRecord, TrialUpdates, Writer, open_writer

METRICS = ("loss", "train_loss", "accuracy", "train_accuracy", "grad_norm", "n_params")
SPACE = Space(
    lr=Float(1e-5, 1e-1, log=True),
    dropout=Float(0.0, 0.5),
    width=Int(16, 256, log=True),
    activation=Choice("relu", "gelu", "tanh"),
    optimizer=Choice("momentum", "adam"),
    momentum=Float(0.5, 0.99, when={"optimizer": "momentum"}),
)
ONE = (("accuracy", "max"),)
TWO = (("accuracy", "max"), ("n_params", "min"))
LANES, BLOCK = 16, 8
MEASURED_EVERY = 100


@dataclass(frozen=True)
class Simulated:
    """What a sweep of a small classifier could have measured: configs [trials], values [trials, evals, metrics]."""

    configs: list[dict]
    steps: np.ndarray
    values: np.ndarray
    diverged: np.ndarray


def simulate(trials: int, *, evals: int = 20, seed: int = 0) -> Simulated:
    rng = np.random.default_rng(seed)
    configs = SPACE.sample(trials, rng)
    steps = MEASURED_EVERY * np.arange(1, evals + 1)
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
    sizes = np.broadcast_to(64.0 * width[:, None] + width[:, None] ** 2 + 10.0 * width[:, None], train.shape)
    values = np.stack([valid, train, accuracy, train_accuracy, grad, sizes], axis=-1)
    return Simulated(configs, steps, values, (away > 1.35) & (rng.random(trials) < 0.8))


def report(trials: int) -> dict:
    """What `explain()` would have told."""
    asked = GuardReport("hp.optimizer == 'momentum'", "True", "train.py:31", ("optimizer",))
    other = GuardReport("hp.optimizer == 'momentum'", "False", "train.py:31", ("optimizer",))
    size = GuardReport("hp.width <= 256", "True", "train.py:18", ("width",))
    programs = [
        ProgramReport((asked, size), BLOCK, trials // 2, 0.41, 1.52, 3.1e-3, 183_000),
        ProgramReport((other, size), BLOCK, trials - trials // 2, 0.38, 1.44, 3.4e-3, 271_000),
    ]
    kinds = {"lr": "traced", "dropout": "traced", "width": "packed", "activation": "packed"}
    return Explanation(
        kinds={**kinds, "optimizer": "guarded", "momentum": "traced"},
        programs=tuple(programs),
        possible=2,
        compiles=2,
        lanes=LANES,
        block=BLOCK,
        strategy="vmapped in a scan",
        threads=2,
        trials=trials,
        occupancy=0.934,
        evaluation_share=0.08,
        seconds={"trace": 0.8, "compile": 3.0, "device": 21.4, "store": 0.3, "total": 26.1},
        memory_bytes=5_400_000,
        buckets={"width": (64, 256)},
        padded_share=0.21,
    ).to_json()


def record(name: str, trials: int, *, evals: int = 20, objectives: tuple = ONE) -> StudyRecord:
    return StudyRecord(
        name=name,
        space=SPACE.to_json(),
        objectives=objectives,
        metrics=METRICS,
        trials=trials,
        steps=evals * MEASURED_EVERY,
        eval_every=MEASURED_EVERY,
        rng="pcg",
        proposer="gp",
        task="digits",
        choices={"block": BLOCK, "blocks": LANES // BLOCK, "kind": "scan", "threads": 2, "jax": "0.10.2"},
    )


class Pretender:
    """Writes a simulated study, so many trials a time, as `study.run` would."""

    def __init__(
        self, writer: Writer, name: str, trials: int, *, seed: int = 0, evals: int = 20, objectives: tuple = ONE
    ) -> None:
        self.writer, self.trials = writer, trials
        self.simulated = simulate(trials, evals=evals, seed=seed)
        self.study = writer.create(record(name, trials, evals=evals, objectives=objectives))
        self.clock = self.done = 0
        self.origin = "gp"
        self.began = time.time() - 30.0
        writer.update(self.study.id, state="running", started=self.began)

    def finish(self, count: int) -> None:
        """Trains `count` further trials to their end and commits them."""
        simulated, ids = self.simulated, np.arange(self.done, min(self.done + count, self.trials))
        if not len(ids):
            return
        evals, diverged = len(simulated.steps), simulated.diverged[ids]
        lasted = np.where(diverged, max(1, evals // 4), evals)
        trial = np.repeat(ids, lasted)
        index = np.arange(len(trial)) - np.repeat(np.cumsum(lasted) - lasted, lasted)
        self._commit(
            ids,
            state=np.where(diverged, "diverged", "complete"),
            step=simulated.steps[lasted - 1],
            score=np.where(diverged, np.nan, simulated.values[ids, lasted - 1, 2]),
            finished=self._started(ids) + 1.6,
            measurements=Measurements(trial, simulated.steps[index], simulated.values[trial, index]),
        )

    def begin(self, count: int) -> None:
        """Admits `count` trials that have done half of their steps."""
        simulated, ids = self.simulated, np.arange(self.done, min(self.done + count, self.trials))
        half = len(simulated.steps) // 2
        trial, index = np.repeat(ids, half), np.tile(np.arange(half), len(ids))
        self._commit(
            ids,
            state=["running"] * len(ids),
            step=np.full(len(ids), simulated.steps[half - 1]),
            score=simulated.values[ids, half - 1, 2],
            finished=np.full(len(ids), np.nan),
            measurements=Measurements(trial, simulated.steps[index], simulated.values[trial, index]),
        )

    def wishes(self, count: int) -> None:
        """Finishes `count` trials that came from the queue."""
        self.origin = "enqueued"
        self.finish(count)
        self.origin = "gp"

    def end(self, state: str = "complete", error: str | None = None) -> None:
        """Closes the study."""
        self.writer.update(self.study.id, state=state, error=error, report=report(self.done))

    def _admitted(self, ids: np.ndarray) -> list[NewTrial]:
        queued = self.origin == "enqueued"
        return [NewTrial(int(i), self.simulated.configs[i], self.origin, int(i) + 1 if queued else None) for i in ids]

    def _started(self, ids: np.ndarray) -> np.ndarray:
        return self.began + 2.0 + 1.7 * (ids // LANES) + 0.01 * (ids % LANES)

    def _origins(self, ids: Sequence[int]) -> list[Event]:
        """Every trial after the first 16 has come from a model that expected something of it."""
        final = self.simulated.values[:, -1, 2]
        details = [
            {"trial": int(i), "model": "prior"}
            if i < 16
            else {
                "trial": int(i),
                "model": "gp",
                "mean": float(-final[i] + 0.02 * np.sin(i)),
                "deviation": 0.03,
                "gain": float(0.05 / (1 + i / 20)),
                "parents": [int(i) // 2],
            }
            for i in ids
        ]
        return [Event(time.time(), "proposed", detail) for detail in details]

    def _commit(self, ids: np.ndarray, measurements: Measurements, **updates: object) -> None:
        self.clock += 1
        small = len(ids) <= 1000
        self.writer.commit(
            self.study.id,
            Commit(
                clock=self.clock,
                new_trials=self._admitted(ids),
                trial_updates=TrialUpdates(
                    id=ids,
                    program=ids % 2,
                    block=ids % LANES // BLOCK,
                    lane=ids % BLOCK,
                    started=self._started(ids),
                    **updates,
                ),
                measurements=measurements,
                events=self._origins(ids) if small and self.origin == "gp" else [],
            ),
        )
        self.done += len(ids)


def finished(writer: Writer, name: str, trials: int = 40, seed: int = 0, objectives: tuple = ONE) -> StudyRecord:
    study = Pretender(writer, name, trials, seed=seed, objectives=objectives)
    study.finish(trials)
    study.end()
    return study.study


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
