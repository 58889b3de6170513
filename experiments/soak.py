"""100,000 trials of a tiny task in one process: does memory stay flat, and how large does the store become?

    python experiments/soak.py                          # about five minutes on two cores; writes results/soak.json
    python experiments/soak.py --trials 10000           # a look

Each trial is measured ten times: a million rows. Resident memory is noted every second; its slope is fitted over the
trials after the first fifth, when programs are compiled and buffers have their size.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import tempfile
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vtune
from vtune.store import open_reader

RESULTS = Path(__file__).parent / "results" / "soak.json"
WARM = 0.2


class Tiny:
    """Eight numbers that are drawn to zero."""

    name, data = "tiny", None

    def init(self, hp, data, key):
        return jax.random.normal(key, (8,))

    def step(self, hp, state, data, key):
        return state - hp.lr * state, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state).mean()}


class Watch(threading.Thread):
    """Notes (seconds, trials that are over, resident bytes) every second until it is told to stop."""

    def __init__(self, store: Path, name: str):
        super().__init__(daemon=True)
        self.rows: list[tuple[float, int, int]] = []
        self._store, self._name, self._done = store, name, threading.Event()

    def run(self) -> None:
        began = time.monotonic()
        with open_reader(self._store) as reader:
            study = reader.study(self._name).id
            while not self._done.wait(1.0):
                counts = reader.counts(study)
                self.rows.append((time.monotonic() - began, counts.get("complete", 0), resident()))

    def stop(self) -> None:
        self._done.set()
        self.join()


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--trials", type=int, default=100_000)
    given.add_argument("--measurements", type=int, default=10, help="of each trial")
    trials, measurements = (options := given.parse_args()).trials, options.measurements
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "soak.db"
        space = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), decay=vtune.Float(0.0, 1.0), width=vtune.Int(1, 8))
        study = vtune.Study(
            Tiny(), space, trials=trials, steps=2 * measurements, eval_every=2, keep=0, store=store, name="soak",
            progress="lines",
        )  # fmt: skip
        watch = Watch(store, "soak")
        watch.start()
        began = time.monotonic()
        study.run()
        seconds = time.monotonic() - began
        watch.stop()
        counts = study._reader.counts(study.record.id)
        rows = len(study.curves())
        study.close()
        size = sum(path.stat().st_size for path in Path(folder).iterdir() if path.is_file())
    told = summary(watch.rows, trials)
    told |= {"trials": counts, "measurements": rows, "seconds": round(seconds, 1), "store_bytes": size}
    told |= {"store_bytes_a_trial": round(size / trials), "trials_per_second": round(trials / seconds)}
    told |= {"date": f"{datetime.date.today()}", "jax": jax.__version__, "machine": platform.machine()}
    text = json.dumps(told, indent=2)
    print(text)
    if trials == 100_000:
        RESULTS.write_text(text + "\n")


def summary(rows: list[tuple[float, int, int]], trials: int) -> dict[str, float]:
    """The slope of resident memory over trials after the warm-up, and where it began and ended."""
    _, ended, held = np.array(rows, np.float64).T
    steady = ended >= WARM * trials
    slope = np.polyfit(ended[steady], held[steady], 1)[0] if steady.sum() > 2 else float("nan")
    mib = held / 2**20
    return {
        "bytes_a_trial": round(float(slope), 1),
        "resident_mib_after_a_fifth": round(float(mib[steady][0]), 1) if steady.any() else float("nan"),
        "resident_mib_at_the_end": round(float(mib[-1]), 1),
        "resident_mib_at_most": round(float(mib.max()), 1),
    }


if __name__ == "__main__":
    main()
