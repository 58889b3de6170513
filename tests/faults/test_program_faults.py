"""Faults in what a study trains or asks: each is named, ends what it must and nothing else, and loses nothing."""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vtune
from vtune.errors import TaskError
from vtune.store import open_reader

SPACE = vtune.Space(lr=vtune.Float(0.01, 0.3), bad=vtune.Choice(0, 1))
OPTIONS = {"trials": 12, "steps": 6, "eval_every": 2, "block": 4, "seed": 1, "progress": "off"}


class Fitting:
    """A line through points by gradient descent; from the third step on, trials with `bad` go wrong in one place."""

    name = "fitting"

    def __init__(self, place=None, value=np.nan):
        self._place = place
        self.data = (jnp.linspace(0, 1, 8), jnp.linspace(1, 3, 8), jnp.float32(value))

    def init(self, hp, data, key):
        params = jax.random.normal(key, (2,))
        return {"params": params, "opt": optax.sgd(hp.lr).init(params), "steps": jnp.zeros((), jnp.int32)}

    def step(self, hp, state, data, key):
        loss, gradients = jax.value_and_grad(self._loss)(state["params"], data)
        now = (hp.bad == 1) & (state["steps"] >= 2)
        loss = self._spoilt("step loss", loss, now, data)
        gradients = self._spoilt("gradient", gradients, now, data)
        updates, opt = optax.sgd(hp.lr).update(gradients, state["opt"])
        params = self._spoilt("params", optax.apply_updates(state["params"], updates), now, data)
        return {"params": params, "opt": opt, "steps": state["steps"] + 1}, {"train_loss": loss}

    def evaluate(self, hp, state, data, key):
        now = (hp.bad == 1) & (state["steps"] >= 3)
        return {"loss": self._spoilt("loss", self._loss(state["params"], data), now, data)}

    def _loss(self, params, data):
        x, y, _ = data
        return jnp.square(params[0] * x + params[1] - y).mean()

    def _spoilt(self, place, value, now, data):
        return jnp.where(now, data[2], value) if place == self._place else value


def fit(task, **options):
    return vtune.tune(task, SPACE, **{**OPTIONS, **options})


@functools.cache
def healthy(place):
    """The same program with a finite number in place of what is not."""
    found = fit(Fitting(place, 0.5))
    return found.frame(), found.curves()


@pytest.mark.parametrize("value", [np.nan, pytest.param(-np.inf, marks=pytest.mark.slow), np.inf])
@pytest.mark.parametrize("place", ["loss", "gradient", "params"])
def test_what_is_not_finite_ends_its_trial_alone(place, value, record_fault):
    frame, curves = healthy(place)
    found = fit(Fitting(place, value))
    mine, rows = found.frame(), found.curves()
    bad = frame["bad"] == 1
    assert bad.any()
    assert (mine.loc[bad, "state"] == "diverged").all()
    assert (mine.loc[~bad, "state"] == "complete").all()
    assert np.isfinite(rows[["loss", "train_loss"]]).all().all()
    assert (rows[rows["trial"].isin(frame.loc[bad, "id"])]["step"] == 2).all()
    good = frame.loc[~bad, "id"]
    assert (
        rows[rows["trial"].isin(good)]
        .reset_index(drop=True)
        .equals(curves[curves["trial"].isin(good)].reset_index(drop=True))
    )
    record_fault("fault in the program")


def test_another_metric_that_is_not_finite_is_missing_and_no_more(record_fault):
    found = fit(Fitting("step loss"))
    assert (found.frame()["state"] == "complete").all()
    assert found.curves()["train_loss"].isna().sum() == 2 * (found.frame()["bad"] == 1).sum()
    record_fault("fault in the program")


class Mistaken(Fitting):
    def step(self, hp, state, data, key):
        return self.helper(state), {}

    def helper(self, state):
        raise KeyError("my own mistake")


def test_a_task_that_raises_shows_its_own_traceback_and_the_configuration(tmp_path, record_fault):
    with pytest.raises(KeyError, match="my own mistake") as raised:
        fit(Mistaken(), store=tmp_path / "s.db", name="x", enqueue=[{"lr": 0.125, "bad": 1}])
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.name) == (__file__, "helper")
    assert any("'lr': 0.125" in note and "'bad': 1" in note for note in raised.value.__notes__)
    study = vtune.load(tmp_path / "s.db", "x")
    assert (study.state, study.record.error) == ("failed", "KeyError: 'my own mistake'")
    assert fit(Fitting(), store=tmp_path / "s.db", name="x", resume=True, enqueue=[{"lr": 0.125, "bad": 1}]).state == (
        "complete"
    )
    record_fault("fault in the program")


def test_a_program_that_raises_when_it_is_needed_late_loses_nothing(tmp_path, record_fault):
    """Trials of the first program end before the second is traced."""

    class Late(Fitting):
        broken = True

        def step(self, hp, state, data, key):
            if self.broken and hp.kind == "other":
                raise ZeroDivisionError("only the other kind")
            return super().step(hp, state, data, key)

    space = vtune.Space(lr=vtune.Float(0.01, 0.3), bad=vtune.Choice(0), kind=vtune.Choice("one", "other"))
    first = [{"lr": 0.1, "bad": 0, "kind": "one"}] * 6
    options = {**OPTIONS, "enqueue": first, "store": tmp_path / "s.db", "name": "x", "resume": True}
    with pytest.raises(ZeroDivisionError) as raised:
        vtune.tune(Late(), space, **options)
    assert "'kind': 'other'" in raised.value.__notes__[-1]
    half = vtune.load(tmp_path / "s.db", "x")
    assert half.state == "failed"
    measured = half.curves()
    Late.broken = False
    found = vtune.tune(Late(), space, **options)
    whole = vtune.tune(Late(), space, **{**options, "store": None, "name": None, "resume": False})
    assert found.curves().equals(whole.curves())
    assert len(measured.merge(found.curves())) == len(measured)
    record_fault("fault in the program")


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda loss: {"loss": jnp.stack([loss, loss])}, r"'loss' has the shape \(2,\)"),
        (lambda loss: loss, "must return a dict of scalars by name"),
        (lambda loss: {3: loss}, "must name its metrics by strings"),
    ],
    ids=["vector", "no dict", "no name"],
)
def test_a_metric_that_is_no_scalar_is_refused_by_name(returned, message, record_fault):
    class Odd(Fitting):
        def evaluate(self, hp, state, data, key):
            return returned(super().evaluate(hp, state, data, key)["loss"])

    with pytest.raises(TaskError, match=message):
        fit(Odd())
    record_fault("fault in the program")


class Moody(vtune.proposers.Random):
    """Random search that learns by its own account, and fails at a call."""

    learns, fails, calls = True, None, 0

    def _mood(self, call):
        self.calls += call == self.fails
        if self.fails == call and self.calls == 3:
            raise RuntimeError(f"no {call} today")

    def ask(self, n, pending=()):
        self._mood("ask")
        return super().ask(n, pending)

    def tell(self, configs, scores):
        self._mood("tell")
        super().tell(configs, scores)

    def state(self):
        self._mood("state")
        return super().state()


class Unfair:
    """A scheduler that fails at its third decision."""

    name = "unfair"

    def __init__(self, fails):
        self._fails, self._calls = fails, 0

    def init(self):
        return {"calls": 0}

    def decide(self, state, report):
        self._calls += 1
        if self._fails and self._calls == 3:
            raise RuntimeError("no decide today")
        return {"calls": state["calls"] + 1}, vtune.schedulers.Verdict.going_on(len(report.trial))


@pytest.mark.parametrize("fails", ["ask", "tell", "state", "decide"])
def test_a_proposer_or_scheduler_that_raises_ends_the_study_and_keeps_what_was_measured(tmp_path, fails, record_fault):
    def run(broken, **options):
        proposer = Moody(SPACE, seed=1)
        proposer.fails = fails if broken else None
        scheduler = Unfair(broken) if fails == "decide" else None
        return fit(Fitting(), trials=16, lanes=4, proposer=proposer, scheduler=scheduler, **options)

    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True}
    with pytest.raises(RuntimeError, match=f"no {fails} today"):
        run(True, **kept)
    half = vtune.load(tmp_path / "s.db", "x")
    assert (half.state, half.record.error) == ("failed", f"RuntimeError: no {fails} today")
    measured = half.curves()
    found, whole = run(False, **kept), run(False)
    assert found.curves().equals(whole.curves())
    assert found.frame().equals(whole.frame())
    assert len(measured.merge(found.curves())) == len(measured)
    record_fault("fault in the program")


def test_a_clock_that_jumps_changes_nothing(tmp_path, monkeypatch, record_fault):
    now, jumps = [time.time()], random.Random(4)

    def jumping():
        now[0] += jumps.choice([1e-3, -3600.0, 86_400.0 * 365, -86_400.0 * 700])
        return max(now[0], 0.0)

    monkeypatch.setattr(time, "time", jumping)
    found = fit(Fitting(), store=tmp_path / "s.db", name="x", scheduler="pbt")
    monkeypatch.undo()
    assert found.frame().equals(fit(Fitting(), scheduler="pbt").frame())
    with open_reader(tmp_path / "s.db") as reader:
        progress = reader.progress(1)
    assert progress["done"] == 12
    assert min(progress[part] for part in ("heartbeat", "seconds", "trials_per_second")) >= 0
    record_fault("fault in the program")


SCRIPT = """
import sys
sys.path[:0] = {paths!r}
import vtune
from faults.test_program_faults import Fitting, OPTIONS, SPACE
study = vtune.tune(Fitting(), SPACE, store="s.db", name="x", **{{**OPTIONS, "progress": "auto", "trials": 2000}})
print(len(study.frame()))
"""


@pytest.mark.skipif(shutil.which("nohup") is None, reason="this machine has no nohup")
def test_a_run_without_a_terminal_outlives_it(tmp_path, record_fault):
    """Under nohup, without standard input, and hung up on as soon as it trains."""
    (tmp_path / "run.py").write_text(textwrap.dedent(SCRIPT).format(paths=sys.path))
    child = subprocess.Popen(
        ["nohup", sys.executable, "run.py"], cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not (tmp_path / "s.db").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(child.pid, signal.SIGHUP)
    out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    assert out.split()[-1] == "2000"
    assert "2,000/2,000 trials" in err
    assert "\x1b" not in err
    record_fault("fault in the program")
