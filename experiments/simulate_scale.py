"""A million trials on a thousand workers that only pretend to train: what does vtune itself take, and where?

    python experiments/simulate_scale.py --trials 20000        # a look
    python experiments/simulate_scale.py                       # a million trials; writes results/scale.json

The loop, the proposer, the scheduler and the store are those of every study; workers answer at once, with curves out
of a formula (`simulation/workers.py`). Told are proposals, decisions and rows a second, the shares of the time by
rooms, the slope of memory over trials, and the size of the store.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from simulation.rooms import Watch
from simulation.workers import Workers
from soak import summary

import vtune
from vtune import proposers, schedulers
from vtune.display.progress import Display
from vtune.driver.interrupts import Interrupts
from vtune.driver.judge import study_info
from vtune.driver.kept import Kept
from vtune.driver.loop import Loop
from vtune.resume.snapshots import Snapshots
from vtune.settings import settings
from vtune.store import Queue, StudyRecord, open_writer
from vtune.tasks.base import Run
from vtune.tasks.budget import Length, clock

RESULTS = Path(__file__).parent / "results" / "scale.json"
METRICS = ("loss", "accuracy")
SPACE = vtune.Space(
    lr=vtune.Float(1e-5, 1.0, log=True),
    dropout=vtune.Float(0.0, 0.5),
    width=vtune.Int(8, 512, log=True),
    optimizer=vtune.Choice("adam", "sgd"),
    momentum=vtune.Float(0.5, 0.99, when={"optimizer": "sgd"}),
)
WISHES = 100
"""One trial in so many is put in the queue by hand."""


def simulate(
    store: Path,
    *,
    trials: int,
    workers: int,
    answers: int,
    scheduler: str | None,
    proposer: str = "random",
    steps: int = 27,
) -> dict[str, Any]:
    """Drives a study of simulated trials to its end.

    Args:
      store: where it is kept.
      trials: how many.
      workers: that train at the same time.
      answers: of workers that the loop waits for before it decides, writes and refills.
      scheduler: name of the scheduler; None trains every trial in full.
      proposer: name of the proposer.
      steps: of a full trial, measured nine times.

    Returns:
      What was measured, as JSON values.
    """
    run = Run(steps, max(1, steps // 9))
    asked = settings(metric="loss", mode="min", trials=trials, run=run, steps=steps, seed=0, rng="pcg", keep=0)
    rules = schedulers.prepared(schedulers.make(scheduler), study_info(asked, SPACE, METRICS))
    times = clock(run, steps, schedulers.marks(rules))
    pool = Workers(workers, answers, Length(steps, times.every, times.marks_of(steps)))
    suggests = proposers.make(proposer, SPACE, 0)
    with open_writer(store) as writer, Queue(store) as queue, Interrupts() as interrupts:
        record = writer.create(
            StudyRecord(
                "scale", space=SPACE.to_json(), objectives=(("loss", "min"),), metrics=METRICS, trials=trials,
                steps=steps, eval_every=run.eval_every, proposer=suggests.name, scheduler=scheduler, task="simulated",
            )
        )  # fmt: skip
        queue.put("scale", proposers.make("random", SPACE, 1).ask(trials // WISHES))
        loop = Loop(
            study=record.id, settings=asked, space=SPACE, metrics=METRICS, proposer=suggests, scheduler=rules,
            executor=pool, writer=writer, take=lambda: queue.take("scale"), mark=queue.mark,
            display=Display("scale", "loss", "off"), check=interrupts.check, check_torn=interrupts.check_torn,
            report=lambda tally: {}, kept=Kept(0), snapshots=Snapshots(None), choices={},
        )  # fmt: skip
        watch = Watch(lambda: loop.tally.ended)
        watch.start()
        began, worked = time.monotonic(), time.process_time()
        loop.run()
        loop.save(state="complete")
        seconds, cpu = time.monotonic() - began, time.process_time() - worked
        watch.stop()
        counts = writer.reader().counts(record.id)
    size = sum(path.stat().st_size for path in store.parent.iterdir() if path.is_file())
    decisions, per_second = pool.answered, lambda count: round(count / seconds, 1)
    return {
        "trials": trials,
        "workers": workers,
        "answers_a_tick": answers,
        "scheduler": scheduler,
        "proposer": proposer,
        "ended": counts,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "a_second": {
            "proposals": per_second(trials),
            "decisions": per_second(decisions),
            "rows_written": per_second(2 * trials + decisions),
            "transactions": per_second(pool.ticks),
            "trials_by_fifths_of_the_study": fifths(watch.memory, trials),
        },
        "saturated_if_a_worker_measures_every_seconds": round(workers * seconds / decisions, 3),
        "shares": {room: round(share, 3) for room, share in watch.shares().items()},
        "places": {place: round(count / sum(watch.places.values()), 3) for place, count in watch.places.most_common(8)},
        "memory": summary(watch.memory, trials),
        "store_bytes": size,
        "store_bytes_a_trial": round(size / trials),
    }


def fifths(rows: list[tuple[float, int, int]], trials: int) -> list[int]:
    """Trials that were over a second, in each fifth of the trials: does it get slower as the study grows?"""
    seconds, ended, _ = np.array(rows, np.float64).T
    times = np.interp(np.linspace(0, trials, 6), [0.0, *ended], [0.0, *seconds])
    return [round(trials / 5 / step) if step else 0 for step in np.diff(times)]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--trials", type=int, default=1_000_000)
    given.add_argument("--workers", type=int, default=1_000)
    given.add_argument("--answers", type=int, default=250, help="workers that measure before the loop looks again")
    given.add_argument("--scheduler", default="asha", help="'none' trains every trial in full")
    given.add_argument("--proposer", default="random")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = simulate(
            Path(folder) / "scale.db", trials=options.trials, workers=options.workers, answers=options.answers,
            scheduler=None if options.scheduler == "none" else options.scheduler, proposer=options.proposer,
        )  # fmt: skip
    told |= {"date": f"{datetime.date.today()}", "machine": platform.machine(), "cores": os.cpu_count()}
    text = json.dumps(told, indent=2)
    print(text)
    if options.trials == 1_000_000:
        RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
