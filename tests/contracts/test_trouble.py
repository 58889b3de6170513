"""Memory that runs out, interrupts, proposers that fail, slow compilers: no trial is lost, and none comes twice."""

from __future__ import annotations

import os
import signal

import jax
import numpy as np
import pytest
from contracts.cases import CASES
from contracts.cases import SPACE as THREE_PROGRAMS
from contracts.small import MEASURED, SPACE, curves, study, task, without_scheduler

import vtune
from vtune import schedulers
from vtune.engine import program
from vtune.engine.lanes import Block
from vtune.engine.program import Traced
from vtune.errors import MemoryExhausted
from vtune.schedulers import ASHA, PBT

FULL = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory while trying to allocate 123 bytes")
PLACES = {"compile": (Traced, "compile"), "admission": (Block, "admit"), "chunk": (Block, "advance")}
THREE = {"steps": 12, "eval_every": 4, "seed": 5, "block": 4, "lanes": 8, "progress": "off", "cache": False}


@pytest.fixture(autouse=True)
def _highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


def fails(monkeypatch, place, calls):
    """Has a place raise that memory is full in some of its calls, counted from 1; all of them if `calls` is None."""
    kind, name = PLACES[place]
    real, count = getattr(kind, name), 0

    def full(self, *arguments):
        nonlocal count
        count += 1
        if calls is None or count in calls:
            raise FULL
        return real(self, *arguments)

    monkeypatch.setattr(kind, name, full)


PROMOTING = ASHA(min_steps=2, reduction=2, variant="promoting")


@pytest.mark.parametrize(
    ("place", "calls", "scheduler"),
    [
        ("compile", {1}, None), ("admission", {4}, None), ("chunk", {2}, None), ("admission", {4}, PROMOTING),
        ("chunk", {2, 5}, PROMOTING), ("chunk", {3, 8, 9}, "asha"), ("admission", {1, 4}, PBT(3)),
        ("chunk", {7}, PBT(3)),
    ],
)  # fmt: skip
def test_a_full_memory_loses_no_trial_and_measures_none_twice(monkeypatch, place, calls, scheduler):
    fails(monkeypatch, place, calls)
    found = study(scheduler=scheduler)
    mine, full = curves(found)[MEASURED], curves(without_scheduler())[MEASURED]
    assert found.frame()["id"].tolist() == list(range(18))
    assert found.frame()["state"].isin(["complete", "stopped"]).all()
    assert not mine.index.duplicated().any()
    told = [event.detail for event in found._reader.events(found.record.id) if event.kind == "out of memory"]
    assert len(told) == len(calls)
    assert all("RESOURCE_EXHAUSTED" in detail["message"] for detail in told)
    explained = found.explain()
    assert (explained.lanes, explained.block) == (told[-1]["blocks"] * told[-1]["block"], told[-1]["block"])
    assert sum(each.trials for each in explained.programs) == 18
    copied = {event.detail["trial"] for event in found._reader.events(found.record.id) if event.kind == "copy"}
    own = mine[~mine.index.get_level_values("trial").isin(copied)]
    if explained.block == 4:
        np.testing.assert_array_equal(own.to_numpy(), full.loc[own.index].to_numpy())
    else:
        np.testing.assert_allclose(own["loss"], full.loc[own.index, "loss"], rtol=1e-3)


@pytest.mark.parametrize("place", PLACES)
def test_a_memory_that_stays_full_ends_the_study_with_what_to_do(monkeypatch, place):
    fails(monkeypatch, place, None)
    with pytest.raises(MemoryExhausted, match=r"one block of 1 lanes, after the run was made smaller 3 times"):
        study()


def test_other_errors_of_the_device_are_not_taken_for_a_full_memory(monkeypatch):
    real = Block.advance

    def broken(self, steps):
        real(self, steps)
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(Block, "advance", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        study()


def three_programs(scheduler="asha", trials=40, **options):
    return vtune.tune(CASES["own task"][0](), THREE_PROGRAMS, trials=trials, scheduler=scheduler, **THREE, **options)


def test_programs_made_in_the_background_do_not_make_runs_differ(monkeypatch):
    traces, real = [], program._lower
    monkeypatch.setattr(program, "_lower", lambda *a: traces.append(1) or real(*a))
    one, other = three_programs(), three_programs()
    assert len(traces) == 2 * one.explain().compiles == 6
    assert one.curves().equals(other.curves())
    assert one.frame().equals(other.frame())
    places = [
        each._reader.placement(each.record.id)[["id", "program", "block", "lane", "clock"]] for each in (one, other)
    ]
    assert places[0].equals(places[1])
    assert one.frame()["state"].isin(["complete", "stopped"]).all()


def test_a_program_that_does_not_fit_when_it_is_made_in_the_background_is_made_again(monkeypatch):
    fails(monkeypatch, "compile", {2})
    found = three_programs(None, 24)
    assert (found.frame()["state"] == "complete").all()
    assert [event.kind for event in found._reader.events(found.record.id)] == ["out of memory"]
    assert found.explain().compiles == 3


class Learner(vtune.proposers.Random):
    """Random search that says it learns, so that it is asked while lanes train."""

    learns, breaks = True, None

    def ask(self, n, pending=()):
        if self.breaks is not None and len(pending) >= self.breaks:
            raise RuntimeError("no more ideas")
        return super().ask(n, pending)


def test_a_proposer_that_fails_while_lanes_train_loses_nothing_that_was_measured(tmp_path):
    class Broken(Learner):
        breaks = 8

    arguments = {"store": tmp_path / "s.db", "name": "x", "scheduler": "median"}
    whole = study(40, proposer=Learner(SPACE, seed=1), scheduler="median")
    with pytest.raises(RuntimeError, match="no more ideas"):
        study(40, proposer=Broken(SPACE, seed=1), **arguments)
    half = vtune.load(tmp_path / "s.db", "x")
    assert half.state == "failed"
    assert 0 < half.frame()["state"].isin(["complete", "stopped"]).sum() < len(whole.frame())
    found = study(40, proposer=Learner(SPACE, seed=1), **arguments, resume=True)
    assert found.curves().equals(whole.curves())


class Interrupting:
    """A scheduler that hits Ctrl-C when a block trains after some of its decisions."""

    def __init__(self, inner, after, monkeypatch):
        self.inner, self.after, self.name = inner, after, inner.name
        decided, advance = [0], Block.advance
        self._decided = decided

        def interrupted(block, steps):
            chunk = advance(block, steps)
            if decided[0] == after:
                decided[0] += 1
                os.kill(os.getpid(), signal.SIGINT)
            return chunk

        monkeypatch.setattr(Block, "advance", interrupted)

    def for_study(self, told):
        self.inner = self.inner.for_study(told)
        return self

    def marks(self):
        return self.inner.marks()

    def init(self):
        return self.inner.init()

    def describe(self):
        return self.inner.describe()

    def decide(self, state, report):
        self._decided[0] += 1
        return self.inner.decide(state, report)


SAME = {
    "halving": schedulers.SuccessiveHalving(min_steps=2, reduction=2),
    "patience": schedulers.Patience(patience=2),
    "pbt": PBT(interval=3, quantile=0.4),
}
"""Whose decisions do not depend on the order of arrival: a resumed study is the one that was not interrupted."""
COUNTED = {
    "asha": ASHA(min_steps=2, reduction=2),
    "asha, promoting": ASHA(min_steps=2, reduction=2, variant="promoting"),
}


FAST = {"halving": 3, "patience": 1, "pbt": 6, "asha": 3, "asha, promoting": 5}


@pytest.mark.parametrize(
    ("name", "after"),
    [
        pytest.param(name, after, marks=[] if after == fast else pytest.mark.slow)
        for name, fast in FAST.items()
        for after in sorted({1, 3, 6, fast})
    ],
)
def test_a_study_interrupted_in_the_middle_of_a_tick_goes_on(tmp_path, monkeypatch, name, after):
    scheduler = {**SAME, **COUNTED}[name]
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True}
    with monkeypatch.context() as patches, pytest.raises(vtune.errors.Interrupted, match="resume=True"):
        study(scheduler=Interrupting(scheduler, after, patches), **kept)
    half = vtune.load(tmp_path / "s.db", "x")
    assert half.state == "interrupted"
    assert half.frame()["state"].isin(["waiting", "running"]).any()
    found = study(scheduler=scheduler, **kept)
    frame, mine = found.frame(), curves(found)
    assert frame["id"].tolist() == list(range(18))
    assert frame["state"].isin(["complete", "stopped"]).all()
    assert not mine.index.duplicated().any()
    assert found.verify(6).largest < 2e-4
    if name in SAME:
        whole = study(scheduler=scheduler)
        assert found.curves().equals(whole.curves())
        assert frame.equals(whole.frame())


def test_resuming_under_other_rules_or_replicas_is_refused(tmp_path):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True}
    study(trials=4, scheduler=ASHA(min_steps=2), **kept)
    with pytest.raises(vtune.errors.StoreError, match="its scheduler was"):
        study(trials=4, scheduler=ASHA(min_steps=3), **kept)
    with pytest.raises(vtune.errors.StoreError, match="folds and seeds was none"):
        study(trials=4, scheduler=ASHA(min_steps=2), seeds=2, **kept)


def test_a_copy_under_a_configuration_of_another_program_is_refused():
    class Wild:
        name = "wild"

        def init(self):
            return {}

        def decide(self, state, report):
            from vtune.records import Decision
            from vtune.schedulers import Verdict

            if len(report.trial) < 2 or report.finished.any():
                return state, Verdict.going_on(len(report.trial))
            action = np.zeros(len(report.trial), np.int8)
            action[1] = Decision.COPY
            source = np.where(action == Decision.COPY, report.trial[0], -1)
            mine = report.configs[int(report.trial[0])]
            other = {**mine, "optimizer": "adadelta" if mine["optimizer"] == "adamw" else "adamw"}
            other.pop("momentum", None)
            return state, Verdict(action, source, configs={int(report.trial[1]): other})

    with pytest.raises(vtune.errors.SchedulerError, match=r"StudyInfo\.fits"):
        three_programs(Wild(), 8)


def test_the_task_of_these_tests_has_one_program():
    assert len(vtune.plan(task(), SPACE, trials=64, steps=4).programs) == 1
