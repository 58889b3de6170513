"""The simulator drives the loop of real studies: what it counts is what the store holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from vtune.store import open_reader
from vtune.store.checking import check
from vtune.tasks.budget import Length

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

import simulate_scale  # noqa: E402
from simulation.workers import Workers  # noqa: E402

TRIALS = 200


def simulated(folder, scheduler, **options):
    folder.mkdir(exist_ok=True)
    given = {"trials": TRIALS, "workers": 40, "answers": 16, **options}
    return simulate_scale.simulate(folder / "scale.db", scheduler=scheduler, **given), folder / "scale.db"


@pytest.mark.parametrize("scheduler", [None, "asha", "successive-halving", "pbt"])
def test_every_trial_ends_once_and_every_answer_is_stored(tmp_path, scheduler):
    told, store = simulated(tmp_path, scheduler)
    assert sum(told["ended"].values()) == TRIALS
    assert set(told["ended"]) <= {"complete", "stopped", "diverged"}
    assert min(told["ended"]["diverged"], told["ended"]["complete"]) > 0
    assert ("stopped" in told["ended"]) == (scheduler in ("asha", "successive-halving"))
    found = check(store)
    assert found.sound, str(found)
    with open_reader(store) as reader:
        study = reader.study("scale")
        frame, curves = reader.frame(study.id), reader.curves(study.id)
    assert study.state == "complete"
    assert frame["id"].tolist() == list(range(TRIALS))
    assert (frame["origin"] == "enqueued").sum() == TRIALS // simulate_scale.WISHES
    full = curves[curves["trial"].isin(frame.loc[frame["state"] == "complete", "id"])]
    assert (full.groupby("trial")["step"].max() == 27).all()
    answers = told["a_second"]["decisions"] / told["a_second"]["proposals"] * TRIALS
    assert answers == pytest.approx(len(curves) + told["ended"]["diverged"], rel=0.01)
    assert sum(told["shares"].values()) == pytest.approx(1.0, abs=0.01)
    assert json.loads(json.dumps(told))["trials"] == TRIALS


def test_a_simulation_is_repeated_exactly(tmp_path):
    stores = [simulated(tmp_path / name, "asha")[1] for name in "ab"]
    frames = []
    for store in stores:
        with open_reader(store) as reader:
            frames.append(reader.curves(reader.study("scale").id))
    assert frames[0].equals(frames[1])


def test_faster_workers_answer_more_often():
    workers = Workers(8, 4, Length(1000, 1.0), seed=0)
    workers.submit(range(8), [{"lr": 0.01, "dropout": 0.1, "width": 64}] * 8)
    seats = {seat.trial: seat.block for work in [workers.tick()] for seat in work.seats}
    answers = np.zeros(8, int)
    for _ in range(100):
        _, chunk = workers.tick().chunks[0]
        assert len(chunk.trial) == 4
        np.add.at(answers, [seats[trial] for trial in chunk.trial.tolist()], 1)
    paces = np.random.default_rng(0).lognormal(0.0, 0.3, 8)
    assert answers.argmax() == paces.argmin()
    assert answers.argmin() == paces.argmax()
