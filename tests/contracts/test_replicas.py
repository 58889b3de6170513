"""Folds, seeds and fresh seeds as lanes, against the same trainings by hand, one after another."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from contracts.small import SPACE, STEPS, X, Y, by_hand, curves, legs_of, scores, study, task
from flax import linen as nn
from typer.testing import CliRunner

import vtune
from vtune.cli import commands
from vtune.errors import ArgumentError, Interrupted
from vtune.schedulers import ASHA, PBT
from vtune.tasks import Supervised


@pytest.fixture(autouse=True)
def _highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


def config(of, trial):
    return [(STEPS, trial, dict(of.trial(trial).config))]


def test_seeds_train_with_keys_of_their_own_and_are_scored_by_their_mean():
    found = study(5, seeds=3, block=6, lanes=12)
    assert found.explain().lanes == 12
    for trial in (0, 4):
        for step in (6, STEPS):
            alone = [
                scores(by_hand(found.task, config(found, trial), step, replica), *found.task.data["valid"])
                for replica in range(3)
            ]
            row = curves(found).loc[(trial, step)]
            assert row["loss"] == pytest.approx(np.mean([loss for loss, _ in alone]), rel=1e-3)
            assert row["accuracy"] == pytest.approx(np.mean([accuracy for _, accuracy in alone]))
            assert row["accuracy_std"] == pytest.approx(np.std([accuracy for _, accuracy in alone]), abs=1e-6)
    kernels = found.best_params()["params"]["Dense_0"]["kernel"]
    assert kernels.shape[0] == 3
    assert not np.allclose(kernels[0], kernels[1])
    assert found.verify(2).largest < 2e-4


@pytest.mark.parametrize("scheduler", [None, ASHA(min_steps=3, reduction=2, variant="promoting"), PBT(3)])
def test_folds_are_the_trainings_of_each_fold(scheduler):
    """61 rows in 3 folds and 2 seeds: groups of 21, 20 and 20 rows."""
    found = study(5, task(valid=0.2), folds=3, seeds=2, block=6, lanes=12, scheduler=scheduler)
    assert sorted(map(len, found.task.folds)) == [20, 20, 21]
    assert found.explain().compiles == 1
    trial = found.best.id
    legs, alone = legs_of(found, trial), []
    for replica in range(6):
        fold = replica % 3
        params = by_hand(found.task, legs, STEPS, replica, fold)
        own = found.task.folds[fold]
        alone.append(scores(params, X[own], Y[own]))
    row = curves(found).loc[(trial, STEPS)]
    assert row["accuracy"] == pytest.approx(np.mean([accuracy for _, accuracy in alone]), abs=1e-6)
    assert row["accuracy_std"] == pytest.approx(np.std([accuracy for _, accuracy in alone]), abs=1e-6)
    assert row["loss"] == pytest.approx(np.mean([loss for loss, _ in alone]), rel=2e-3)
    seen = found.task.indices(vtune.key(3, trial, "init", replica=4), 0, 8, fold=1)
    assert not set(np.asarray(seen).tolist()) & set(found.task.folds[1].tolist())


class Digits(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.relu(nn.Dense(16)(x)))


@functools.partial(jax.jit, static_argnums=3)
def _trained(lr, key, batches, steps):
    params = Digits().init(key, jnp.zeros((1, 64)))["params"]
    tx = optax.adam(lr)

    def step(state, batch):
        params, opt = state

        def loss(params):
            logits = Digits().apply({"params": params}, batch[0])
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1]).mean()

        updates, opt = tx.update(jax.grad(loss)(params), opt, params)
        return (optax.apply_updates(params, updates), opt), None

    return jax.lax.scan(step, (params, tx.init(params)), batches, steps)[0][0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_folds_of_64_configurations_are_640_lanes_and_the_fold_means_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    x, y = datasets.load_digits(return_X_y=True)
    x, y = (x / 16).astype("float32"), y.astype("int32")
    steps, batch = 60, 32
    digits = vtune.Supervised(
        lambda hp: Digits(), lambda hp: optax.adam(hp.lr), train=(x, y), metrics="accuracy", batch_size=batch
    )
    space = vtune.Space(lr=vtune.Float(1e-4, 1e-1, log=True))
    found = vtune.tune(
        digits, space, metric="accuracy", trials=64, folds=10, steps=steps, lanes=640, seed=0, progress="off"
    )
    assert found.explain().lanes == 640
    assert found.explain().compiles == 1
    folds_of_theirs = [valid for _, valid in selection.StratifiedKFold(10).split(x, y)]
    sizes = sorted(np.bincount(y[rows]).tolist() for rows in found.task.folds)
    assert np.abs(np.array(sizes) - sorted(np.bincount(y[rows]).tolist() for rows in folds_of_theirs)).max() <= 1
    groups = np.empty(len(x), int)
    for fold, rows in enumerate(found.task.folds):
        groups[rows] = fold
    means, losses = [], []
    for trial in range(64):
        accuracies = []
        for fold, (train, valid) in enumerate(selection.PredefinedSplit(groups).split()):
            key = vtune.key(0, trial, "init", replica=fold)
            halves = [np.asarray(found.task.indices(key, half, batch * steps // 2, fold)) for half in range(2)]
            rows = np.concatenate(halves).reshape(steps, batch)
            assert set(rows.ravel().tolist()) <= set(train.tolist())
            params = _trained(found.trial(trial).config["lr"], key, (x[rows], y[rows]), steps)
            loss, accuracy = scores_of(Digits(), params, x[valid], y[valid])
            accuracies.append(accuracy)
            losses.append(loss)
        means.append(np.mean(accuracies))
    mine = found.frame().set_index("id")
    theirs = []
    for trial in range(0, 64, 4):
        division = selection.StratifiedKFold(10, shuffle=True, random_state=trial).split(x, y)
        accuracies = []
        for fold, (train, valid) in enumerate(division):
            order = np.random.default_rng([trial, fold]).permuted(np.tile(train, (steps * batch // len(train) + 1)))
            rows = order[: steps * batch].reshape(steps, batch)
            params = _trained(
                found.trial(trial).config["lr"], vtune.key(0, trial, "init", replica=fold), (x[rows], y[rows]), steps
            )
            accuracies.append(scores_of(Digits(), params, x[valid], y[valid])[1])
        theirs.append(np.mean(accuracies))
    np.testing.assert_allclose(mine["accuracy"].iloc[::4], theirs, atol=0.08)
    assert abs(np.mean(mine["accuracy"].iloc[::4] - theirs)) < 0.01
    assert np.mean(losses) == pytest.approx(mine["loss"].mean(), rel=1e-3)
    np.testing.assert_allclose(mine["accuracy"], means, atol=2e-3)
    assert np.mean(np.abs(mine["accuracy"] - means) < 1e-6) > 0.8


def scores_of(module, params, x, y):
    logits = module.apply({"params": params}, x)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
    return float(loss), float((jnp.argmax(logits, -1) == y).mean())


def test_the_best_are_trained_again_with_fresh_seeds_and_measured_on_test_data(tmp_path, monkeypatch):
    given, looks, real = task(test=(X[:15], Y[:15])), [], Supervised.test_metrics
    monkeypatch.setattr(Supervised, "test_metrics", lambda self, *a, **k: looks.append(1) or real(self, *a, **k))
    found = study(8, given, rerun=2, store=tmp_path / "s.db", name="x")
    assert len(looks) == 2 * 3
    best, *others = found.top(8)
    again = best.rerun
    assert again.selected == best.score == found.best.score
    assert [trial.rerun is None for trial in others] == [False] + [True] * 6
    for seed in range(3):
        params = by_hand(found.task, config(found, best.id), STEPS, replica=1 + seed)
        assert again.scores[seed] == pytest.approx(scores(params, *found.task.data["valid"])[1])
        assert again.tests["accuracy"][seed] == pytest.approx(scores(params, X[:15], Y[:15])[1])
        assert again.tests["loss"][seed] == pytest.approx(scores(params, X[:15], Y[:15])[0], rel=1e-3)
    assert again.score == pytest.approx(np.mean(again.scores))
    assert again.spread == pytest.approx(np.std(again.scores))
    assert again.test["accuracy"] == pytest.approx(np.mean(again.tests["accuracy"]))
    assert vtune.load(tmp_path / "s.db", "x").best.rerun == again
    assert f"trial {best.id}: selected for" in repr(found.explain())
    shown = CliRunner().invoke(commands, ["show", "x", str(tmp_path / "s.db")])
    assert "with 3 fresh seeds" in shown.stdout
    plain = study(8, given)
    assert plain.curves().equals(found.curves())
    assert plain.frame().equals(found.frame())
    assert plain.best.rerun is None
    assert found.explain().programs[0].trials == 8


def test_fresh_seeds_of_folds_go_through_all_folds():
    found = study(4, task(valid=0.2), folds=2, seeds=2, block=4, rerun=1)
    again = found.best.rerun
    assert len(again.scores) == 4
    assert again.tests == {}
    for seed in range(4):
        each = []
        for fold in range(2):
            params = by_hand(found.task, config(found, found.best.id), STEPS, replica=4 + 2 * seed + fold, fold=fold)
            own = found.task.folds[fold]
            each.append(scores(params, X[own], Y[own])[1])
        assert again.scores[seed] == pytest.approx(np.mean(each), abs=1e-6)


def test_fresh_seeds_follow_the_hyperparameters_that_changed_on_the_way():
    found = study(12, scheduler=PBT(interval=3, quantile=0.5, resample=0.5), rerun=12)
    copied = [t for t in found.top(12) if len(legs_of(found, t.id)) > 1][:2]
    assert copied
    for trial in copied:
        legs = [(until, trial.id, values) for until, _, values in legs_of(found, trial.id)]
        params = by_hand(found.task, legs, STEPS, replica=2)
        assert trial.rerun.scores[1] == pytest.approx(scores(params, *found.task.data["valid"])[1])


def test_fresh_seeds_train_to_the_step_that_the_score_is_of():
    found = study(scheduler="patience", rerun=18)
    early = [trial for trial in found.top(18) if trial.step < STEPS]
    params = by_hand(found.task, config(found, early[0].id), early[0].step, replica=3)
    assert early[0].rerun.scores[2] == pytest.approx(scores(params, *found.task.data["valid"])[1])


def test_a_study_interrupted_while_it_trains_again_does_so_when_it_goes_on(tmp_path, monkeypatch):
    kept = {"store": tmp_path / "s.db", "name": "x", "resume": True, "rerun": 2}
    with monkeypatch.context() as patches:
        patches.setattr(vtune.Study, "_routes", lambda self: (_ for _ in ()).throw(Interrupted("now")))
        with pytest.raises(Interrupted, match="resume=True"):
            study(6, **kept)
    assert (vtune.load(tmp_path / "s.db", "x").frame()["state"] == "complete").all()
    found = study(6, **kept)
    assert found.state == "complete"
    assert found.best.rerun == study(6, rerun=2).best.rerun


def test_several_metrics_have_no_best_trials_to_train_again():
    with pytest.raises(ArgumentError, match=r"several metrics \(accuracy, loss\)"):
        study(4, metric=["accuracy", "loss"], mode=["max", "min"], rerun=2)
    with pytest.raises(ArgumentError, match="rerun must be a whole number"):
        vtune.tune(task(), SPACE, steps=4, trials=2, rerun=-1, progress="off")
