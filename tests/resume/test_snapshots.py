"""Snapshots: whole or absent, known to the store once they are whole, and never anything but a shorter way."""

from __future__ import annotations

import functools
import resource

import jax.numpy as jnp
import numpy as np
import pytest
from faults.little import Little, curves, interrupted, study

import vtune
import vtune.study
from vtune.engine.lanes import Block, Point
from vtune.hyper import PlainHP
from vtune.resume.snapshots import KEPT, Snapshots, newest, read
from vtune.schedulers import PBT, Patience

SCHEDULERS = {"none": None, "pbt": PBT(interval=3, quantile=0.4), "patience": Patience(patience=2)}


@pytest.fixture
def snapshots(tmp_path):
    found = Snapshots(tmp_path / "snapshots", seconds=0)
    yield found
    found.close()


def points(n=3):
    made = np.random.default_rng(0)
    leaves = [made.normal(size=(2, 3)).astype("float32"), np.asarray(jnp.ones((2,), jnp.bfloat16))]
    own = [np.arange(2, dtype=np.uint32) + (1 << 31)]
    sums = made.normal(size=(2, 2, 4)).astype("float32")
    return [Point(t, 10 + t, [leaf * (t + 1) for leaf in leaves], sums) for t in range(n)] + [Point(9, 2, own, None)]


def test_what_is_written_comes_back_bit_for_bit(snapshots):
    given = points()
    snapshots.begin(4, given)
    (detail,) = snapshots.wait()
    found = {point.trial: point for point in read(snapshots.folder, detail)}
    assert sorted(found) == [0, 1, 2, 9]
    for point in given:
        mine = found[point.trial]
        assert mine.done == point.done
        for a, b in zip(mine.state, point.state, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        assert (mine.sums is None) == (point.sums is None)
        assert mine.sums is None or (mine.sums == point.sums).all()


def test_the_last_few_stay(snapshots):
    for clock in range(4):
        assert snapshots.due
        snapshots.begin(clock, points())
        assert not snapshots.due
        snapshots.wait()
        snapshots.prune()
    assert sorted(path.name for path in snapshots.folder.iterdir()) == [f"snapshot-{clock}" for clock in range(2, 4)]
    assert KEPT == 2
    (snapshots.folder / "snapshot-77.orbax-checkpoint-tmp").mkdir()
    snapshots.prune()
    assert len(list(snapshots.folder.iterdir())) == 2


def test_one_that_a_full_disk_cuts_off_leaves_nothing(snapshots, record_fault):
    """No file may be longer than a few kilobytes here: the error comes from where a full disk's would."""
    noise = np.random.default_rng(0).normal(size=100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        snapshots.begin(0, [Point(0, 1, [noise], None)])
        with pytest.warns(UserWarning, match="could not be written"):
            assert snapshots.wait() == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(snapshots.folder.iterdir())
    record_fault("damaged snapshot")


def test_one_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "snapshots").write_text("a file where the folder should be")
    snapshots = Snapshots(tmp_path / "snapshots", seconds=0)
    snapshots.begin(0, points())
    with pytest.warns(UserWarning, match="could not be written .* training goes on"):
        assert snapshots.wait() == []
    snapshots.close()


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_one_that_cannot_be_read_is_passed_over_with_a_word(snapshots, damage):
    details = []
    for clock in (1, 2):
        snapshots.begin(clock, points())
        details += snapshots.wait()
    spoil(snapshots.folder / "snapshot-2", damage)
    with pytest.warns(UserWarning, match="snapshot-2 cannot be read"):
        clock, found = newest(snapshots.folder, details)
    assert clock == 1
    assert len(found) == 4


def spoil(folder, damage):
    """Takes a snapshot away, cuts its largest file in half, or changes bytes in all of its data."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if damage == "missing":
        for path in files:
            path.unlink()
    elif damage == "cut":
        largest = max(files, key=lambda path: path.stat().st_size)
        largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    else:
        for path in files:
            if path.parent.name == "d":
                data = bytearray(path.read_bytes())
                data[len(data) // 2] ^= 255
                path.write_bytes(bytes(data))


def trained(monkeypatch):
    """Counts lane-steps from now on."""
    total, dispatch = [0], Block._dispatch

    def counted(block, table, steps, measure):
        total[0] += steps * int(block.live.sum())
        return dispatch(block, table, steps, measure)

    monkeypatch.setattr(Block, "_dispatch", counted)
    return total


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_resumed_study_trains_less_again_and_ends_the_same(tmp_path, monkeypatch, name):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "scheduler": SCHEDULERS[name]}
    monkeypatch.setattr(vtune.study, "Snapshots", functools.partial(Snapshots, seconds=0))
    monkeypatch.setattr("vtune.executors.advancing.SLICE_SECONDS", 0.0)
    interrupted(monkeypatch, 13, **kept)
    half = vtune.load(tmp_path / "s.db", "x")
    told = [event.detail for event in half._reader.events(1) if event.kind == "snapshot"]
    assert told
    folder = tmp_path / "s.db.files" / "1" / "snapshots"
    assert 1 <= len(list(folder.glob("snapshot-*"))) <= KEPT
    steps = trained(monkeypatch)
    again = study(**kept)
    whole_steps = steps[0]
    whole = study(scheduler=SCHEDULERS[name])
    assert again.frame().equals(whole.frame())
    assert curves(again).equals(curves(whole))
    assert whole_steps < steps[0] - whole_steps
    assert not list(folder.glob("snapshot-*"))


def test_a_damaged_snapshot_only_takes_longer(tmp_path, monkeypatch, record_fault):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "scheduler": SCHEDULERS["pbt"]}
    interrupted(monkeypatch, 7, **kept)
    for path in (tmp_path / "s.db.files" / "1" / "snapshots").glob("snapshot-*"):
        spoil(path, "changed")
    with pytest.warns(UserWarning, match="cannot be read"):
        again = study(**kept)
    whole = study(scheduler=SCHEDULERS["pbt"])
    assert again.frame().equals(whole.frame())
    assert curves(again).equals(curves(whole))
    record_fault("damaged snapshot")


class Holding(Little):
    """Its learning rate lives in the state, as with `optax.inject_hyperparams`: a copy gets its own."""

    def init(self, hp, data, key):
        return {"at": super().init(hp, data, key), "lr": jnp.asarray(hp.lr)}

    def step(self, hp, state, data, key):
        now, told = super().step(PlainHP({"lr": state["lr"], "noise": hp.noise}), state["at"], data, key)
        return {"at": now, "lr": state["lr"]}, told

    def evaluate(self, hp, state, data, key):
        return super().evaluate(hp, state["at"], data, key)


@pytest.mark.parametrize(
    "after", [7, pytest.param(5, marks=pytest.mark.slow), pytest.param(11, marks=pytest.mark.slow)]
)
def test_copies_whose_states_hold_hyperparameters_go_on_with_their_own(tmp_path, monkeypatch, after):
    options = {"scheduler": PBT(interval=3, quantile=0.4), "given": Holding()}
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, **options}
    monkeypatch.setattr(vtune.study, "Snapshots", functools.partial(Snapshots, seconds=0))
    interrupted(monkeypatch, after, **kept)
    again, whole = study(**kept), study(**options)
    assert again.frame().equals(whole.frame())
    assert curves(again).equals(curves(whole))
