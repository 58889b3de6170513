"""A task that says which processes trace it, and what happens to them while a study runs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vtune
from vtune.proposers import Random

SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), decay=vtune.Float(0.0, 0.1))
STEPS = 12
OPTIONS = {"steps": STEPS, "eval_every": 3, "seed": 5, "block": 4, "lanes": 8, "progress": "off", "keep": 3}


class Bowl:
    """Noisy descent in a bowl, whose middle is in the data. Leaves a file named by its process where it is traced."""

    def __init__(self, folder: Path):
        self.folder = str(folder)
        self.data = {"middle": np.linspace(-1.0, 1.0, 6, dtype=np.float32)}

    def init(self, hp, data, key):
        Path(self.folder, str(os.getpid())).touch()
        return {"x": jax.random.normal(key, (6,)), "t": jnp.zeros((), jnp.int32)}

    def step(self, hp, state, data, key):
        pull = state["x"] - data["middle"]
        x = state["x"] - hp.lr * (pull + 0.1 * jax.random.normal(key, (6,))) - hp.decay * state["x"]
        return {"x": x, "t": state["t"] + 1}, {"pull": jnp.abs(pull).sum()}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state["x"] - data["middle"]).mean(), "t": state["t"]}


class When:
    """Does something once, when it is asked for the n-th time."""

    def __init__(self, times, act):
        self.left, self.act = times, act

    def __call__(self):
        self.left -= 1
        if self.left == 0:
            self.act()


class Watched(Random):
    """Random search that has something happen when trials have ended."""

    def __init__(self, space, seed, when):
        super().__init__(space, seed)
        self.when = when

    def tell(self, configs, scores):
        super().tell(configs, scores)
        self.when()


class Judged:
    """A scheduler that has something happen when trials are measured, and else is another."""

    def __init__(self, scheduler, when):
        self.scheduler, self.when, self.name = scheduler, when, scheduler.name

    def for_study(self, study):
        return Judged(self.scheduler.for_study(study), self.when)

    def marks(self):
        return self.scheduler.marks()

    def init(self):
        return self.scheduler.init()

    def decide(self, state, report):
        self.when()
        return self.scheduler.decide(state, report)


def workers(folder):
    """Processes other than this one that have traced the task and live."""
    found = [int(path.name) for path in folder.iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]
    return sorted(pid for pid in found if alive(pid))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(folder):
    """Kills a worker with SIGKILL and waits until it is gone."""
    victim = workers(folder)[0]
    os.kill(victim, signal.SIGKILL)
    while alive(victim):
        time.sleep(0.01)


class Broken(Bowl):
    """Fails where its numbers are needed, on workers."""

    def step(self, hp, state, data, key):
        def fall_over(x):
            raise ValueError("the bowl is broken")

        state, metrics = super().step(hp, state, data, key)
        x = jax.pure_callback(fall_over, jax.ShapeDtypeStruct((6,), jnp.float32), state["x"], vmap_method="expand_dims")
        return {**state, "x": x}, metrics


class Hungry(Bowl):
    """Finds the device's memory full, once."""

    def step(self, hp, state, data, key):
        told = Path(self.folder, "told")

        def take(x):
            if not told.exists():
                told.touch()
                raise RuntimeError("RESOURCE_EXHAUSTED: there is no memory for 123 bytes")
            return x

        state, metrics = super().step(hp, state, data, key)
        x = jax.pure_callback(take, jax.ShapeDtypeStruct((6,), jnp.float32), state["x"], vmap_method="expand_dims")
        return {**state, "x": x}, metrics


class Deadly(Bowl):
    """Ends every process that trains it."""

    def step(self, hp, state, data, key):
        def end(x):
            os._exit(1)

        state, metrics = super().step(hp, state, data, key)
        x = jax.pure_callback(end, jax.ShapeDtypeStruct((6,), jnp.float32), state["x"], vmap_method="expand_dims")
        return {**state, "x": x}, metrics
