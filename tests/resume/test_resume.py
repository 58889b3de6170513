"""A resumed study compares what it trains again with what it stored, and refuses what is not the same study."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3

import jax
import numpy as np
import pytest
from faults.little import SPACE, Little, curves, interrupted, study

import vtune
from vtune.engine.lanes import Block
from vtune.errors import Interrupted, ReplayError, StoreError
from vtune.resume.sameness import refuse_another
from vtune.schedulers import PBT
from vtune.store import StudyRecord


@pytest.mark.parametrize(("scheduler", "after"), [(None, 3), (PBT(interval=3), 7)])
def test_a_difference_is_named(tmp_path, monkeypatch, scheduler, after):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "scheduler": scheduler}
    monkeypatch.setattr("vtune.resume.snapshots.Snapshots.begin", lambda *ignored: None)
    monkeypatch.setattr("vtune.executors.advancing.SLICE_SECONDS", 0.0)
    interrupted(monkeypatch, after, **kept)
    half = vtune.load(tmp_path / "s.db", "x")
    frame, rows = half.frame(), half.curves()
    open_trials = frame[frame["state"].isin(["running", "waiting"])]["id"]
    first = rows[rows["trial"].isin(open_trials)].sort_values(["step", "trial"]).iloc[0]
    trial, step, column = int(first["trial"]), int(first["step"]), half.record.metrics.index("loss")
    with sqlite3.connect(tmp_path / "s.db") as connection:
        change = f"UPDATE curves_1 SET m{column} = m{column} + 1 WHERE trial = {trial} AND step = {step}"
        assert connection.execute(change).rowcount == 1
    with pytest.raises(ReplayError) as raised:
        study(**kept)
    said = f"trial {trial} must measure again what is stored: loss after step {step} was "
    assert str(raised.value).startswith(said)
    assert f"is now {float(first['loss'])!r}." in str(raised.value)
    assert vtune.load(tmp_path / "s.db", "x").state == "failed"


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    store = tmp_path_factory.mktemp("complete") / "s.db"
    study(store=store, name="x", trials=4)
    return store


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 9}, "its seed was 3 and is now 9"),
        ({"trials": 5}, r"its trials was 4 and is now 5.* learns from this one: .*warm_start=.vtune.load.store, 'x'"),
        ({"steps": 24, "eval_every": 3}, "its steps was 12 and is now 24"),
        ({"scheduler": "asha"}, "its scheduler was None and is now 'asha'"),
        ({"proposer": "sobol"}, "its proposer was 'random' and is now 'sobol'"),
        ({"space": vtune.Space(lr=SPACE["lr"])}, "its hyperparameter 'noise' was Float.0.0, 0.05. and is now gone"),
        (
            {"space": vtune.Space(lr=vtune.Float(0, 1), noise=SPACE["noise"])},
            "'lr' was Float.0.05, 1.0, log=True. and is",
        ),
        ({"space": vtune.Space(**SPACE, constraints=bool)}, "its space was constrained by .. and is now by .'bool'."),
        ({"metric": "size", "mode": "max"}, "its objectives was"),
        ({"given": Little(size=4)}, "the task's size was 3 and is now 4"),
    ],
)
def test_another_study_is_refused_with_the_difference(complete, changed, named):
    kept = {"store": complete, "name": "x", "resume": True, "trials": 4}
    with pytest.raises(StoreError, match=named):
        study(**{**kept, **changed})


def test_a_second_interrupt_in_the_middle_of_a_tick_loses_nothing(tmp_path, monkeypatch):
    """The first is heeded between chunks; a second one ends the run wherever it is."""
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "scheduler": PBT(interval=3, quantile=0.4)}
    for place in ("_copies", "_updates", "_carry_out", "_tell", "_commit"):
        real, count = getattr(vtune.driver.loop.Loop, place), [0]

        def impatient(self, *given, real=real, count=count, **named):
            count[0] += 1
            if count[0] == 3:
                raise KeyboardInterrupt
            return real(self, *given, **named)

        with monkeypatch.context() as patches:
            patches.setattr(vtune.driver.loop.Loop, place, impatient)
            try:
                study(**kept)
            except Interrupted:
                assert vtune.load(tmp_path / "s.db", "x").state == "interrupted"
    found, whole = study(**kept), study(scheduler=kept["scheduler"])
    assert found.frame().equals(whole.frame())
    assert curves(found).equals(curves(whole))


class Deaf(vtune.proposers.TPE):
    """While it proposes, Ctrl-C comes twice; it drops what that raises, as compiled code may, and proposes nonsense."""

    calls = 0

    def ask(self, n, pending=()):
        self.calls += 1
        if self.calls != 3:
            return super().ask(n, pending)
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        return self.nonsense(n)

    def nonsense(self, n):
        return self.space.sample(n, np.random.default_rng(5))


class Failing(Deaf):
    """Notices that something is wrong, not that Ctrl-C was the reason."""

    def nonsense(self, n):
        raise ArithmeticError("the numbers make no sense")


@pytest.mark.parametrize("kind", [Deaf, Failing])
def test_what_was_computed_after_a_second_interrupt_that_was_lost_is_not_stored(tmp_path, monkeypatch, kind):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True}
    monkeypatch.setattr("vtune.driver.loop.Loop._ask_ahead", lambda self: None)
    with pytest.raises(Interrupted):
        study(proposer=kind(SPACE, seed=3), **kept)
    assert vtune.load(tmp_path / "s.db", "x").state == "interrupted"
    found, whole = study(proposer=vtune.proposers.TPE(SPACE, seed=3), **kept), study(proposer="tpe")
    assert found.frame().equals(whole.frame())
    assert curves(found).equals(curves(whole))


def test_an_error_of_the_device_in_the_middle_of_a_study_loses_nothing(tmp_path, monkeypatch):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "proposer": "tpe"}
    advance, count = Block.advance, [0]

    def broken(block, steps):
        count[0] += 1
        if count[0] in (4, 9):
            raise RuntimeError("the cable was pulled")
        return advance(block, steps)

    with monkeypatch.context() as patches:
        patches.setattr(Block, "advance", broken)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="cable"):
                study(**kept)
            half = vtune.load(tmp_path / "s.db", "x")
            assert (half.state, half.record.error) == ("failed", "RuntimeError: the cable was pulled")
    found, whole = study(**kept), study(proposer="tpe")
    assert found.frame().equals(whole.frame())
    assert curves(found).equals(curves(whole))
    assert found.record.error is None


def test_what_a_script_enqueues_is_tried_once_however_often_it_runs(tmp_path, monkeypatch):
    mine = [{"lr": 0.5, "noise": 0.01}, {"lr": 0.25, "noise": 0.01}]
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "enqueue": mine}
    interrupted(monkeypatch, 2, **kept)
    interrupted(monkeypatch, 3, **kept)
    found = study(**kept)
    assert found.frame()["origin"].tolist() == ["enqueued"] * 2 + ["random"] * 16


def test_variables_that_were_lost_with_a_run_are_trained_again(tmp_path, monkeypatch):
    """As after SIGKILL: what was kept in memory is gone."""
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "keep": 18, "scheduler": PBT(interval=3)}
    with monkeypatch.context() as patches:
        patches.setattr(vtune.study.Study, "_write_kept", lambda self: None)
        interrupted(monkeypatch, 14, **{**kept, "lanes": 4})
    found, whole = study(**{**kept, "lanes": 4}), study(scheduler=PBT(interval=3), keep=18, lanes=4)
    for trial in range(18):
        np.testing.assert_array_equal(found.best_params(trial), whole.best_params(trial))


def test_a_run_that_ran_out_of_memory_goes_on_with_the_blocks_that_are_left(tmp_path, monkeypatch):
    def run(interrupt, **options):
        advance, count = Block.advance, [0]

        def trouble(block, steps):
            count[0] += 1
            if count[0] == 3:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
            if count[0] == interrupt:
                raise Interrupted("SIGTERM received")
            return advance(block, steps)

        with monkeypatch.context() as patches:
            patches.setattr(Block, "advance", trouble)
            return study(scheduler=PBT(interval=3, quantile=0.4), **options)

    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True}
    with pytest.raises(Interrupted):
        run(9, **kept)
    found, whole = study(scheduler=PBT(interval=3, quantile=0.4), **kept), run(None)
    assert found.explain().lanes == whole.explain().lanes == 4
    assert found.frame().equals(whole.frame())
    assert curves(found).equals(curves(whole))


def test_another_number_of_devices_is_refused_with_what_to_do():
    stored = StudyRecord("x", choices={"devices": 4})
    with pytest.raises(StoreError, match=r"number of devices was 4 and is now 1\. Go on where .*devices=4"):
        refuse_another(stored, StudyRecord("x"), {})
