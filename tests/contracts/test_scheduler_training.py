"""Contracts 1 to 5 of DESIGN with real training under every scheduler: who else stops or waits matters to no trial."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from contracts.small import MEASURED, STEPS, by_hand, curves, legs_of, scores, study, task, without_scheduler

import vtune
from vtune import schedulers
from vtune.engine import lanes, program
from vtune.engine.parking import Parking
from vtune.executors import local
from vtune.schedulers import ASHA, PBT, SuccessiveHalving, Threshold

NEEDS_NUMBERS = {"threshold": Threshold("loss", upper=1.05, step=6)}
SCHEDULERS = {
    **{name: NEEDS_NUMBERS.get(name, name) for name in schedulers.names()},
    "asha, promoting": ASHA(min_steps=2, reduction=2, variant="promoting"),
    "asha, stopping": ASHA(min_steps=2, reduction=2),
    "halving, cohorts": SuccessiveHalving(min_steps=2, reduction=2, cohort=6),
    "pbt, many copies": PBT(interval=3, quantile=0.4, resample=0.3),
}
COPYING = ("pbt", "pbt, many copies")
every_scheduler = pytest.mark.parametrize("name", SCHEDULERS)
_studies = {}


@pytest.fixture(autouse=True)
def _highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


class Watch:
    """What the blocks of a run were made to do, how often a program was traced, and what the scheduler was asked."""

    def __init__(self, monkeypatch, scheduler):
        self.dispatched, self.traced, self.ticks, self.recalled, self.asked = 0, 0, 0, set(), []
        dispatch, lower = lanes.Block._dispatch, program._lower
        tick, recall, decide = local.LocalExecutor.tick, local.LocalExecutor.recall, type(scheduler).decide

        def watched(block, table, steps, measure):
            self.dispatched += steps * table.shape[1]
            return dispatch(block, table, steps, measure)

        def counted(*arguments):
            self.traced += 1
            return lower(*arguments)

        def ticked(executor):
            self.ticks += 1
            return tick(executor)

        def recalled(executor, trials):
            self.recalled |= set(trials)
            return recall(executor, trials)

        def decided(told, state, report):
            self.asked.append(report)
            return decide(told, state, report)

        monkeypatch.setattr(lanes.Block, "_dispatch", watched)
        monkeypatch.setattr(program, "_lower", counted)
        monkeypatch.setattr(local.LocalExecutor, "tick", ticked)
        monkeypatch.setattr(local.LocalExecutor, "recall", recalled)
        monkeypatch.setattr(type(scheduler), "decide", decided)


@pytest.fixture
def trained(monkeypatch):
    """A study of each scheduler, made once, and what was seen of it."""

    def of(name):
        if name not in _studies:
            with monkeypatch.context() as patches:
                watch = Watch(patches, schedulers.make(SCHEDULERS[name]))
                _studies[name] = study(scheduler=SCHEDULERS[name]), watch
        return _studies[name]

    return of


def promoted_late(monkeypatch):
    """The good come first: those of them that wait are promoted when the bad have come after them."""
    given = [{"lr": 0.05 + 0.01 * i, "decay": 1e-3} for i in range(8)] + [{"lr": 1e-3, "decay": 1e-3}] * 10
    scheduler = ASHA(min_steps=2, reduction=2, variant="promoting")
    watch = Watch(monkeypatch, scheduler)
    return study(scheduler=scheduler, enqueue=given), watch


@every_scheduler
def test_a_curve_is_bit_for_bit_that_of_the_trial_without_a_scheduler(trained, name):
    mine, full = curves(trained(name)[0])[MEASURED], curves(without_scheduler())[MEASURED]
    copied = {event.detail["trial"] for event in _copies(trained(name)[0])}
    own = mine[~mine.index.get_level_values("trial").isin(copied)]
    assert len(own) >= (len(mine) if name not in COPYING else 1)
    np.testing.assert_array_equal(own.to_numpy(), full.loc[own.index].to_numpy())
    assert not mine.index.duplicated().any()


@every_scheduler
def test_every_trial_ends_once_with_its_last_measurement(trained, name):
    found, _ = trained(name)
    frame = found.frame()
    assert frame["id"].tolist() == list(range(18))
    assert frame["state"].isin(["complete", "stopped"]).all()
    assert (frame["state"] == "complete").any()
    assert (frame["state"] == "stopped").any() == (name not in ("patience", *COPYING))
    last = curves(found).groupby("trial").tail(1).reset_index()
    if name != "patience":
        assert frame["step"].tolist() == last["step"].tolist()
        np.testing.assert_array_equal(frame["score"], last["accuracy"])
    assert (frame.loc[frame["state"] == "complete", "step"] == STEPS).all() or name == "patience"


@every_scheduler
def test_one_program_is_traced_once_and_occupancy_is_what_was_used_of_what_was_dispatched(trained, name):
    found, watch = trained(name)
    explained = found.explain()
    assert watch.traced == explained.compiles == 1
    assert explained.programs[0].trials == 18
    used = curves(found).reset_index().groupby("trial")["step"].max().sum()
    assert explained.occupancy == pytest.approx(used / watch.dispatched)


@pytest.mark.parametrize("name", ["asha", "patience", "successive-halving", "pbt, many copies"])
def test_kept_variables_are_those_of_plain_training_up_to_the_score(trained, name):
    found, _ = trained(name)
    best = found.best
    params = by_hand(found.task, legs_of(found, best.id), best.step)
    for mine, plain in zip(jax.tree.leaves(found.best_params()["params"]), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(mine, plain, rtol=2e-3, atol=2e-5)
    assert scores(params, *found.task.data["valid"])[1] == pytest.approx(best.score)
    assert found.verify(6).largest < 2e-4


@every_scheduler
def test_the_scheduler_is_asked_once_a_chunk_about_all_that_was_measured(trained, name):
    found, watch = trained(name)
    told = [report for report in watch.asked if len(report.trial)]
    assert len(told) <= watch.ticks
    assert len(watch.asked) - len(told) <= 18
    rows = [(trial, step) for report in told for trial, step in zip(report.trial, report.step, strict=True)]
    assert sorted(rows) == curves(found).index.tolist()
    assert all((np.diff(report.trial) > 0).all() for report in told)


@pytest.mark.parametrize("name", ["successive-halving", "hyperband", "halving, cohorts", "promoted late"])
def test_trials_that_waited_and_were_recalled_are_those_that_plain_training_makes(trained, name, monkeypatch):
    found, watch = promoted_late(monkeypatch) if name == "promoted late" else trained(name)
    reached = curves(found).reset_index().groupby("trial")["step"].max()
    furthest = sorted(watch.recalled, key=lambda trial: (-reached[trial], trial))[:2]
    assert furthest
    for trial in furthest:
        step = int(reached[trial])
        params = by_hand(found.task, [(STEPS, trial, dict(found.trial(trial).config))], step)
        loss, accuracy = scores(params, *found.task.data["valid"])
        assert curves(found).loc[(trial, step), "loss"] == pytest.approx(loss, rel=2e-3)
        assert curves(found).loc[(trial, step), "accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize("name", COPYING)
def test_copies_are_the_training_that_their_events_tell(trained, name):
    found, _ = trained(name)
    mine = curves(found)
    copied = sorted({event.detail["trial"] for event in _copies(found)})
    assert len(copied) >= 3
    for trial in copied[:4]:
        legs = legs_of(found, trial)
        assert len(legs) > 1
        for step in sorted({leg[0] + 3 for leg in legs[-2:-1]} | {STEPS}):
            loss, accuracy = scores(by_hand(found.task, legs, step), *found.task.data["valid"])
            assert mine.loc[(trial, step), "loss"] == pytest.approx(loss, rel=2e-3)
            assert mine.loc[(trial, step), "accuracy"] == pytest.approx(accuracy)


def test_a_copy_within_a_block_and_one_between_blocks_are_the_same(trained):
    """The same population in one block and in five of four lanes, on one thread and on two."""
    few, _ = trained("pbt, many copies")
    options = {"lanes": 20, "threads": 1, "scheduler": SCHEDULERS["pbt, many copies"]}
    np.testing.assert_array_equal(curves(study(**options)).to_numpy(), curves(few).to_numpy())


def test_patience_stands_for_the_best_step(trained):
    found, _ = trained("patience")
    mine = curves(found)["accuracy"]
    early = 0
    for trial in found.top(18):
        own = mine.loc[trial.id]
        assert trial.score == own.max()
        assert trial.step == own.idxmax()
        early += trial.step < own.index.max()
    assert early > 0
    short = study(scheduler=schedulers.Patience(patience=1))
    assert (curves(short).reset_index().groupby("trial")["step"].max() < STEPS).any()
    assert (short.frame()["state"] == "complete").all()


def test_patience_restores_the_params_of_the_best_step(trained):
    found, _ = trained("patience")
    last = curves(found).reset_index().groupby("trial")["step"].max()
    early = [trial for trial in found.top(3) if trial.step < last[trial.id]]
    assert early
    for trial in early:
        legs = [(STEPS, trial.id, dict(trial.config))]
        best, end = (by_hand(found.task, legs, step) for step in (trial.step, int(last[trial.id])))
        mine = found.best_params(trial.id)["params"]["Dense_0"]["kernel"]
        np.testing.assert_allclose(mine, best["Dense_0"]["kernel"], rtol=2e-3, atol=2e-5)
        assert not np.allclose(mine, end["Dense_0"]["kernel"], rtol=2e-3, atol=2e-5)


def test_states_that_wait_on_disk_come_back_bit_for_bit(trained, monkeypatch):
    monkeypatch.setattr(local, "Parking", lambda: Parking(most_bytes=1))
    found = study(scheduler=SCHEDULERS["asha, promoting"])
    np.testing.assert_array_equal(curves(found).to_numpy(), curves(trained("asha, promoting")[0]).to_numpy())


@pytest.mark.parametrize("name", ["asha, promoting", "hyperband"])
def test_lanes_and_threads_do_not_matter_to_a_curve(trained, name):
    """Which trials go on may depend on the order of arrival; what they measure does not."""
    other = curves(study(scheduler=SCHEDULERS[name], lanes=4, threads=1))[MEASURED]
    np.testing.assert_array_equal(other.to_numpy(), curves(without_scheduler()).loc[other.index, MEASURED].to_numpy())


class Fragile:
    """Draws numbers at every step; bad trials are not finite."""

    data = None

    def init(self, hp, data, key):
        return jax.random.normal(key, (3,))

    def step(self, hp, state, data, key):
        return jax.numpy.where(hp.bad == 1, jax.numpy.nan, 0.9 * state + 0.1 * jax.random.normal(key, (3,))), {}

    def evaluate(self, hp, state, data, key):
        return {"loss": jax.numpy.square(state).sum()}


def fragile(scheduler, bad):
    given = [{"bad": int(bad and i % 3 == 1)} for i in range(12)]
    options = {"trials": 12, "steps": 8, "eval_every": 1, "block": 4, "progress": "off", "cache": False}
    return vtune.tune(Fragile(), vtune.Space(bad=vtune.Int(0, 1)), enqueue=given, scheduler=scheduler, **options)


@functools.cache
def calm():
    return curves(fragile(None, bad=False))


FRAGILE = {
    **SCHEDULERS, "threshold": Threshold("loss", upper=50.0), "pbt": PBT(interval=2, quantile=0.0, names=[]),
    "pbt, many copies": PBT(interval=2, names=[]),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAGILE)
def test_a_trial_that_diverges_ends_alone_under_a_scheduler(name):
    found = fragile(FRAGILE[name], bad=True)
    states, mine = found.frame().set_index("id")["state"], curves(found)
    assert ((states == "diverged") == (states.index % 3 == 1)).all()
    copied = {event.detail["trial"] for event in _copies(found)}
    own = mine[~mine.index.get_level_values("trial").isin(copied)]
    np.testing.assert_array_equal(own.to_numpy(), calm().loc[own.index].to_numpy())


@pytest.mark.parametrize("variant", ["stopping", "promoting"])
def test_several_objectives_stop_by_rank(variant):
    scheduler = ASHA(min_steps=2, reduction=2, variant=variant)
    found = study(metric=["accuracy", "loss"], mode=["max", "min"], scheduler=scheduler)
    states = found.frame()["state"]
    assert sorted(set(states)) == ["complete", "stopped"]
    front = found.front()
    assert (front["state"] == "complete").all()
    first = curves(found).xs(2, level="step")
    beaten = [((first["accuracy"] > a) & (first["loss"] < b)).sum() for a, b in first[["accuracy", "loss"]].to_numpy()]
    kept = curves(found).reset_index().groupby("trial")["step"].max() > 2
    assert np.mean(np.array(beaten)[kept]) < np.mean(np.array(beaten)[~kept])


def _copies(found):
    return [event for event in found._reader.events(found.record.id) if event.kind == "copy"]


def test_every_registered_scheduler_trains_here():
    assert {schedulers.make(scheduler).name for scheduler in SCHEDULERS.values()} == set(schedulers.names())
    assert task().describe()["metrics"] == ["accuracy"]
