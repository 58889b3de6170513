"""Kills a study again and again, goes on with it each time, and compares the end with that of one that was left alone.

Run as a script, in a process of its own: it imports vtune once and forks a child for every run, before JAX has started.
A child is killed at a random time, or at the n-th of the moments at which it changes a file: an SQL statement that
writes, a commit, an opened, renamed or removed file; now and then it is interrupted instead, once or twice. With
`--writes` and `dying.c` preloaded it is killed at the n-th system call that changes a file: a write, whole or cut in
half, an fsync, a rename, ...
`python tests/faults/kills.py [--writes] FOLDER KILLS SEED [SCENARIO...]` prints one JSON object a scenario: those of
`FAST` if none is named, all of them for "all".
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
from sqlalchemy.event import listen
from sqlalchemy.pool import Pool

import vtune
import vtune.study
from vtune import schedulers
from vtune.resume.snapshots import Snapshots

TRIALS, STEPS, PER_CHAIN = 14, 6, 5
KINDS = {"at a moment": 5, "at a time": 3, "Ctrl-C": 1, "Ctrl-C twice": 1, "at a write": 0}
"""Kinds of kills -> how many of ten."""
WRITES = {**dict.fromkeys(KINDS, 0), "at a write": 10}
PROCESS = ctypes.CDLL(None)
COUNTED = hasattr(PROCESS, "die_at")
INTERRUPTED = 130
BEFORE_THE_FORK = ("orbax.checkpoint", "scipy.stats", "scipy.optimize", "optuna", "pandas")
SPACE = vtune.Space(
    lr=vtune.Float(1e-3, 1.0, log=True), shape=vtune.Choice("round", "long"), noise=vtune.Float(0.0, 0.1)
)
GRID = vtune.Space(
    lr=vtune.Float(0.1, 0.9, step=0.2), shape=vtune.Choice("round", "long"), noise=vtune.Choice(0.0, 0.1)
)


class Wandering:
    """Walks downhill with noise from the step's own key; some trials run away. Its shape makes two programs."""

    name, data = "wandering", None

    def init(self, hp, data, key):
        return jax.random.normal(key, (3,)) * (3.0 if hp.shape == "long" else 1.0)

    def step(self, hp, state, data, key):
        now = state * (1 - hp.lr) + hp.noise * jax.random.normal(key, state.shape)
        return jnp.where((hp.noise > 0.09) & (jnp.abs(now).sum() > 2.0), jnp.inf, now), {"size": jnp.abs(now).sum()}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state).sum() + 0.01 * jax.random.normal(key)}


def _scheduler(name):
    given = {
        "asha": schedulers.ASHA(min_steps=1, reduction=2),
        "asha, promoting": schedulers.ASHA(min_steps=1, reduction=2, variant="promoting"),
        "hyperband": schedulers.Hyperband(reduction=2),
        "patience": schedulers.Patience(patience=1),
        "pbt": schedulers.PBT(interval=2, quantile=0.4),
        "successive-halving": schedulers.SuccessiveHalving(min_steps=2, reduction=2),
        "threshold": schedulers.Threshold("loss", upper=2.0, step=2),
    }
    return given.get(name, name)


FAST = {
    "random": {"proposer": "random"},
    "tpe": {"proposer": "tpe"},
    "sobol, successive-halving": {"proposer": "sobol", "scheduler": "successive-halving"},
    "grid, asha out of step": {"proposer": "grid", "scheduler": "asha", "eval_every": 4},
    "tpe, pbt": {"proposer": "tpe", "scheduler": "pbt"},
    "tpe, hyperband, seeds": {"proposer": "tpe", "scheduler": "hyperband", "seeds": 2},
    "bayes, median": {"proposer": "bayes", "scheduler": "median"},
    "cmaes, patience": {"proposer": "cmaes", "scheduler": "patience"},
    "optuna, threshold": {"proposer": "optuna", "scheduler": "threshold"},
    "gp, asha promoting": {"proposer": "gp", "scheduler": "asha, promoting"},
}
"""Every proposer and every scheduler once."""
SCENARIOS = FAST | {
    f"{proposer}, {scheduler}": {"proposer": proposer, "scheduler": scheduler}
    for proposer in vtune.proposers.names()
    for scheduler in [None, *schedulers.names(), "asha, promoting"]
}
"""Every pair of them besides."""


def study(scenario, store, snapshots=False):
    """Runs a scenario's study in a store, or goes on with it; with snapshots as often as can be."""
    if snapshots:
        vtune.study.Snapshots = functools.partial(Snapshots, seconds=0.0)
    options = {"steps": STEPS, "eval_every": 2, **SCENARIOS[scenario]}
    options["scheduler"] = _scheduler(options.get("scheduler"))
    return vtune.tune(
        Wandering(), GRID if options.get("proposer") == "grid" else SPACE, trials=TRIALS, block=4, lanes=8, seed=7,
        threads=1, name="killed", store=store, resume=True, progress="off", enqueue=[_first(options)], **options,
    )  # fmt: skip


def _first(options):
    return {"lr": 0.5, "shape": "long", "noise": 0.0}


def outcome(found):
    """All that must be the same, bit for bit, as JSON values."""
    curves = found.curves()
    trials = [[t.id, str(t.state), t.step, t.score, t.origin, dict(t.config)] for t in found._reader.trials(1)]
    return {
        "state": found.state,
        "trials": trials,
        "curves": [[int(t), int(s), *map(float.hex, row)] for t, s, *row in curves.to_numpy().tolist()],
        "metrics": list(curves.columns),
    }


class Moments:
    """Counts the moments at which this process changes files below a folder, and kills it at the n-th."""

    def __init__(self, folder, last=None):
        self.count, self._folder, self._last = 0, f"{folder}/s.db", last
        sys.addaudithook(self._on_event)
        listen(Pool, "connect", lambda connection, record: connection.set_trace_callback(self._on_statement))

    def _on_statement(self, text):
        if text.lstrip("( ").split(" ", 1)[0].upper().rstrip(";") not in ("SELECT", "PRAGMA"):
            self._tick()

    def _on_event(self, event, args):
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(args[0]).startswith(
            self._folder
        ):
            self._tick()

    def _tick(self):
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def run(scenario, folder, result=None, moment=None, write=(-1, 0), seconds=None, interrupts=(), snapshots=False):
    """Runs a study in a child that may be killed.

    Returns:
      How it ended: "killed", "done" or "failed"; with `result` what it found is in that file.
    """
    child = os.fork()
    if child == 0:
        try:
            moments = Moments(folder, moment)
            if COUNTED:
                PROCESS.die_at(f"{folder}/s.db".encode(), *map(ctypes.c_long, write))
            began = time.monotonic()
            found = study(scenario, folder / "s.db", snapshots)
            if result is not None:
                told = {"moments": moments.count, "seconds": time.monotonic() - began, **outcome(found)}
                told["writes"] = PROCESS.changes() if COUNTED else 0
                result.write_text(json.dumps(told))
            found.close()
        except KeyboardInterrupt:
            os._exit(INTERRUPTED)
        except BaseException:
            (folder.parent / "error.txt").write_text(traceback.format_exc())
            os._exit(1)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    for pause in interrupts:
        time.sleep(pause)
        os.kill(child, signal.SIGINT)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return "killed" if code in (-signal.SIGKILL, INTERRUPTED) else "failed" if code else "done"


def chains(scenario, folder, kills, kinds, random_of):
    """Kills studies of a scenario so many times in all, and compares the end of each.

    Returns:
      JSON values: how many kills, of which kind, chains, and the first difference, None if there was none.
    """
    folder.mkdir(parents=True)
    told = {"scenario": scenario, **dict.fromkeys(KINDS, 0), "chains": 0, "difference": None}
    whole = _whole(scenario, folder)
    if whole is None:
        return {**told, "difference": (folder / "error.txt").read_text()}
    while sum(told[kind] for kind in KINDS) < kills and told["difference"] is None:
        place = folder / f"chain-{told['chains']}"
        place.mkdir()
        snapshots = told["chains"] % 2 == 1
        told["chains"] += 1
        result = place / "result.json"
        for left in reversed(range(1 + min(PER_CHAIN, kills - sum(told[kind] for kind in KINDS)))):
            kind, at = _next_kill(kinds, random_of, whole) if left else ("", {})
            ended = run(scenario, place, result, snapshots=snapshots, **at)
            if ended != "killed":
                break
            told[kind] += 1
        if ended != "done":
            told["difference"] = (folder / "error.txt").read_text()
        else:
            told["difference"] = difference(whole, json.loads(result.read_text()))
    return told


def _next_kill(kinds, random_of, whole):
    kind = random_of.choices(list(kinds), weights=kinds.values())[0]
    at = random_of.uniform(0.0, whole["seconds"])
    if kind == "at a moment":
        return kind, {"moment": random_of.randint(1, whole["moments"])}
    if kind == "at a write":
        return kind, {"write": (random_of.randint(1, whole["writes"]), random_of.randint(0, 1))}
    if kind == "at a time":
        return kind, {"seconds": at}
    return kind, {"interrupts": (at,) if kind == "Ctrl-C" else (at, random_of.uniform(0.0, 0.1))}


def _whole(scenario, folder):
    place = folder / "whole"
    place.mkdir()
    result = place / "result.json"
    return json.loads(result.read_text()) if run(scenario, place, result) == "done" else None


def difference(whole, found):
    """The first thing that is not the same, in words; None if all is."""
    for part in ("state", "metrics"):
        if whole[part] != found[part]:
            return f"{part}: {whole[part]} became {found[part]}"
    for part in ("trials", "curves"):
        for a, b in zip(whole[part], found[part], strict=False):
            if a != b and json.dumps(a) != json.dumps(b):
                return f"{part}: {a} became {b}"
        if len(whole[part]) != len(found[part]):
            return f"{part}: {len(whole[part])} became {len(found[part])}"
    return None


def main(folder, kills, seed, names, writes=False):
    """Spreads kills over scenarios."""
    names = list(SCENARIOS) if names == ["all"] else names or list(FAST)
    random_of = random.Random(seed)
    for place, name in enumerate(names):
        share = kills // len(names) + (place < kills % len(names))
        told = chains(name, Path(folder) / str(place), share, WRITES if writes else KINDS, random_of)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("folder")
    given.add_argument("kills", type=int)
    given.add_argument("seed", type=int)
    given.add_argument("names", nargs="*")
    given.add_argument("--writes", action="store_true")
    for module in BEFORE_THE_FORK:
        importlib.import_module(module)
    main(**vars(given.parse_intermixed_args()))
