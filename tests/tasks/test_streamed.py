"""Training data that the device holds a window of: shared by the lanes, loaded ahead, and the same for every trial."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import vtune
from vtune.engine.lanes import Entry
from vtune.engine.stream import Feed, StreamedBlock
from vtune.errors import ArgumentError, Interrupted, StoreError, TaskError
from vtune.tasks import Run, Windows
from vtune.tasks.budget import Length

ROWS, WINDOW, BATCH, SEED = 100, 40, 10, 5
SPACE = vtune.Space(lr=vtune.Float(1e-3, 1e-1, log=True))
OPTIONS = {"seed": SEED, "progress": "off", "cache": False, "metric": "loss"}
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
Y = (X @ np.arange(4.0)).astype("float32")
VALID = X[:20], Y[:20]


class Counted(vtune.Streamed):
    """Counts which windows are loaded."""

    loads: list[int]

    def window(self, number):
        self.loads.append(number)
        return super().window(number)


def task(kind=vtune.Streamed, train=(X, Y), **options):
    given = {"valid": VALID, "loss": "mse", "window": WINDOW, "batch_size": BATCH, **options}
    return kind(lambda hp: nn.Dense(1), lambda hp: optax.sgd(hp.lr), train=train, **given)


@pytest.fixture
def files(tmp_path):
    """The data as they lie on disk."""
    found = []
    for name, values in (("x", X), ("y", Y)):
        written = np.memmap(tmp_path / name, values.dtype, "w+", shape=values.shape)
        written[:] = values
        written.flush()
        found.append(np.memmap(tmp_path / name, values.dtype, "r", shape=values.shape))
    return tuple(found)


def test_windows_have_every_row_and_follow_the_file(files):
    streamed = task(train=files)
    assert streamed.windows == Windows(steps=4, count=3)
    parts = [streamed.window(number)["train"] for number in range(3)]
    for (x, y), start in zip(parts, (0, 30, 60), strict=True):
        np.testing.assert_array_equal(x, X[start : start + WINDOW])
        np.testing.assert_array_equal(y, Y[start : start + WINDOW])


def test_every_row_of_a_window_is_seen_once_before_the_next_window():
    streamed, key = task(), vtune.key(SEED, 0, "init")
    seen = [np.asarray(streamed.indices(key, step, BATCH)) for step in range(24)]
    for number, start in enumerate((0, 30, 60, 0, 30, 60)):
        rows = np.concatenate(seen[4 * number : 4 * number + 4])
        assert sorted(rows) == list(range(start, start + WINDOW))
    assert (np.concatenate(seen[:4]) != np.concatenate(seen[12:16])).any()


def by_hand(streamed, config, trial, steps):
    init_key = vtune.key(SEED, trial, "init")
    model, tx = nn.Dense(1), optax.sgd(config["lr"])
    params = model.init(init_key, X[:1])
    opt = tx.init(params)

    def loss(params, x, y):
        return jnp.square(model.apply(params, x)[:, 0] - y).mean()

    for step in range(steps):
        rows = streamed.indices(init_key, step, BATCH)
        updates, opt = tx.update(jax.grad(loss)(params, X[rows], Y[rows]), opt)
        params = optax.apply_updates(params, updates)
    return float(loss(params, *VALID))


def test_a_trial_trains_as_by_hand_and_as_alone(files):
    study = vtune.tune(task(train=files), SPACE, trials=8, steps=18, eval_every=6, block=4, **OPTIONS)
    for trial in (0, 5):
        assert study.trial(trial).score == pytest.approx(
            by_hand(study.task, study.trial(trial).config, trial, 18), rel=1e-4
        )
    assert study.verify(3).largest < 1e-4


def scores(**options):
    study = vtune.tune(task(), SPACE, trials=16, **{"steps": 18, "eval_every": 6} | OPTIONS | options)
    return study.frame().set_index("id")["loss"]


def test_results_depend_neither_on_lanes_nor_on_when_a_trial_began():
    first = scores(block=4, lanes=8)
    np.testing.assert_array_equal(first, scores(block=4, lanes=4, threads=1))
    np.testing.assert_allclose(first, scores(block=8, lanes=8), rtol=1e-5)


def test_a_window_that_is_not_a_part_of_the_run_is_waited_for():
    """18 steps end in the middle of a pass of 12: the lanes of the next trials begin at its first window."""
    study = vtune.tune(task(), SPACE, trials=8, steps=18, block=4, lanes=4, **OPTIONS)
    assert (study.frame()["state"] == "complete").all()
    assert (study.frame()["step"] == 18).all()


def test_lanes_share_each_window_and_it_is_loaded_once():
    counted = task(Counted)
    counted.loads = []
    study = vtune.tune(counted, SPACE, trials=16, steps=12, block=4, lanes=16, strategy="vmap", **OPTIONS)
    assert study.explain().lanes == 16
    assert counted.loads.count(1) == counted.loads.count(2) == 1
    assert counted.loads.count(0) <= 2


@pytest.mark.parametrize("scheduler", ["asha", "median", "pbt"])
def test_schedulers_stop_pause_and_copy_trials_of_a_stream(scheduler):
    study = vtune.tune(
        task(), SPACE, trials=12, steps=24, eval_every=4, block=4, lanes=8, scheduler=scheduler, **OPTIONS
    )
    assert len(study.frame()) == 12
    assert study.frame()["state"].isin(["complete", "stopped"]).all()
    assert study.verify(4).largest < 1e-4


def test_a_block_takes_only_who_is_to_go_on_where_its_lanes_are():
    class Lanes(StreamedBlock):
        def __init__(self, done):
            self._windows, self.replicas = Windows(steps=4, count=3), 1
            self.trial = np.where(np.asarray(done) < 0, -1, 0)
            self.done = np.asarray(done)

    def left(done, *queued):
        queue = deque(Entry(trial, {}, Length(100, 10.0), each) for trial, each in enumerate(queued))
        return [entry.trial for entry in Lanes(done).take(queue)], [entry.trial for entry in queue]

    assert left([-1, -1, -1], 0, 5, 12, 0, 24) == ([0, 2, 3], [1, 4])
    assert left([5, -1, -1], 0, 5, 17, 1) == ([1, 2], [0, 3])
    assert left([5, -1, -1], 0, 0) == ([], [0, 1])
    assert left([5, 5, 5], 5) == ([], [0])


def test_an_epoch_is_a_pass_over_all_windows():
    streamed = task().for_run(Run(2, eval_every=1, unit="epochs"))
    assert streamed.steps_for({"lr": 0.1}, 2, "epochs") == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 45}, "whole number of batches"),
        ({"batch_size": lambda hp: 10}, "whole number of batches"),
        ({"window": 200}, "rows of train \\(100\\)"),
        ({"valid": 0.2}, "a fraction was given"),
        ({"train": (X, Y[:50])}, "same number of rows"),
        ({"train": ([1.0, 2.0], Y)}, "arrays with one row per example"),
    ],
)
def test_what_cannot_be_streamed_is_said_before_anything_runs(options, message):
    with pytest.raises(TaskError, match=message):
        task(**options)


def test_folds_are_refused():
    with pytest.raises(TaskError, match="folds"):
        vtune.tune(task(), SPACE, trials=2, steps=4, folds=2, **OPTIONS)


def test_other_machines_are_refused():
    class Elsewhere:
        name = "elsewhere"

        def __getattr__(self, name):
            return lambda *arguments: 1

    with pytest.raises(ArgumentError, match="in this process only"):
        vtune.Study(task(), SPACE, trials=2, steps=4, executor=Elsewhere(), **OPTIONS)


def test_bad_rows_of_a_later_window_are_named():
    broken = X.copy()
    broken[70] = np.nan
    with pytest.raises(TaskError, match=r"train\[60:100\].*row 10"):
        vtune.tune(task(train=(broken, Y)), SPACE, trials=2, steps=12, **OPTIONS)


def test_a_resumed_study_must_have_the_same_stream(tmp_path):
    options = OPTIONS | {"trials": 2, "steps": 4, "store": tmp_path / "vtune.db", "name": "stream"}
    vtune.tune(task(), SPACE, **options)
    other = X.copy()
    other[-1] += 1
    with pytest.raises(StoreError, match="stream"):
        vtune.tune(task(train=(other, Y)), SPACE, resume=True, **options)


def test_the_next_window_is_loaded_before_it_is_asked_for():
    come = threading.Event()

    class Watched(vtune.Streamed):
        def window(self, number):
            if number == 1:
                come.set()
            return super().window(number)

    watched = task(Watched)
    feed = Feed(watched, jax.device_put(watched.data))
    np.testing.assert_array_equal(feed.at(3)["train"][0], X[:WINDOW])
    assert come.wait(60)
    assert feed.at(0)["valid"][0] is feed.at(4)["valid"][0]
    feed.close()


def test_a_stream_that_was_interrupted_goes_on_exactly(tmp_path, monkeypatch):
    options = {"trials": 12, "steps": 18, "eval_every": 6, "block": 4, "lanes": 8, "threads": 1} | OPTIONS
    whole = vtune.tune(task(), SPACE, **options).curves()
    kept = options | {"store": tmp_path / "vtune.db", "name": "stream", "resume": True}
    advance, count = StreamedBlock.advance, [0]

    def counted(block, steps):
        chunk = advance(block, steps)
        count[0] += 1
        if count[0] == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return chunk

    with monkeypatch.context() as patches:
        patches.setattr(StreamedBlock, "advance", counted)
        with pytest.raises(Interrupted):
            vtune.tune(task(), SPACE, **kept)
    found = vtune.tune(task(), SPACE, **kept).curves()
    order = ["trial", "step"]
    np.testing.assert_array_equal(
        found.sort_values(order)["loss"].to_numpy(), whole.sort_values(order)["loss"].to_numpy()
    )
