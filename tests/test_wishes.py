"""Configurations that people queue while a study runs: trained in the next free lane, or refused with a reason."""

from __future__ import annotations

import jax.numpy as jnp

import vtune
from vtune.proposers import Random
from vtune.store import Queue, open_reader

SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True))
FAST = {"steps": 4, "eval_every": 2, "progress": "off", "cache": False, "block": 4, "lanes": 4}


class Shrinking:
    name = "shrinking"
    data = None

    def init(self, hp, data, key):
        return jnp.float32(1.0)

    def step(self, hp, state, data, key):
        return state * (1 - hp.lr), {}

    def evaluate(self, hp, state, data, key):
        return {"loss": state}


class Wishing(Random):
    """Queues configs when it is asked for the second time, as a person would who watches."""

    learns = False

    def __init__(self, space, store, wishes):
        super().__init__(space, seed=0)
        self.left, self.store, self.wishes = 2, store, wishes

    def ask(self, n, pending=()):
        self.left -= 1
        if self.left == 0:
            with Queue(self.store) as queue:
                queue.put("watched", self.wishes)
        return super().ask(n, pending)


def watched(store, wishes):
    proposer = Wishing(SPACE, store, wishes)
    return vtune.tune(Shrinking(), SPACE, trials=40, proposer=proposer, store=store, name="watched", **FAST)


def test_a_wish_is_trained_in_the_next_free_lane(tmp_path):
    store = tmp_path / "s.db"
    study = watched(store, [{"lr": 0.5}, {"lr": 0.25}])
    with open_reader(store) as reader:
        wishes, placed = reader.enqueued(1), reader.placement(1).set_index("id")
    first, second = sorted(wishes["id"])
    assert [study.trial(int(trial)).config["lr"] for trial in (first, second)] == [0.5, 0.25]
    assert wishes["state"].tolist() == ["complete"] * 2
    assert (placed.loc[: first - 1, "started"] > placed.loc[first, "started"]).any()
    assert placed.loc[first, "started"] <= placed.loc[second, "started"]
    assert len(study.frame()) == 42


def test_wishes_from_before_the_run_count_as_trials_of_the_budget(tmp_path):
    study = vtune.tune(Shrinking(), SPACE, trials=2, enqueue=[{"lr": 0.5}, {"lr": 0.25}, {"lr": 0.125}], **FAST)
    assert study.frame()["lr"].tolist() == [0.5, 0.25]


def test_a_wish_outside_the_space_is_refused_and_the_study_goes_on(tmp_path):
    store = tmp_path / "s.db"
    with Queue(store) as queue:
        queue.put("watched", [{"lr": 7.0}, {"lr": 0.5}, {"width": 3}])
    study = watched(store, [])
    with open_reader(store) as reader, Queue(store) as queue:
        assert [event.detail["queued"] for event in reader.events(1, kind="refused")] == [1, 3]
        assert "lr" in reader.events(1, kind="refused")[0].detail["why"]
        assert queue.take("watched") == []
    assert study.trial(0).config == {"lr": 0.5}
    assert len(study.frame()) == 40
