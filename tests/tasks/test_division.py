"""Folds: which rows they train on, which they are measured on, and that nothing is padded or left out."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

import vtune
from vtune.errors import ArgumentError, TaskError
from vtune.tasks import Run, Supervised
from vtune.tasks.division import k_folds

SIZES = [(10, 5), (11, 5), (14, 5), (7, 7), (5, 2), (1031, 2)]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_groups_are_a_division_and_every_class_is_spread_evenly(data):
    total = data.draw(st.integers(2, 80))
    folds = data.draw(st.integers(2, total))
    labels = data.draw(st.none() | st.lists(st.integers(-2, 4), min_size=total, max_size=total).map(np.array))
    seed = data.draw(st.integers(0, 9))
    groups = k_folds(total, folds, labels, seed).groups
    assert len(groups) == folds
    assert sorted(np.concatenate(groups).tolist()) == list(range(total))
    assert np.ptp([len(group) for group in groups]) <= 1
    assert all((np.diff(group) > 0).all() for group in groups)
    for label in set([] if labels is None else labels.tolist()):
        assert np.ptp([(labels[group] == label).sum() for group in groups]) <= 1
    again = k_folds(total, folds, labels, seed).groups
    assert all(np.array_equal(one, other) for one, other in zip(groups, again, strict=True))


def test_another_seed_divides_otherwise():
    assert not np.array_equal(k_folds(40, 2, None, 0).groups[0], k_folds(40, 2, None, 1).groups[0])


@pytest.mark.parametrize(("total", "folds"), SIZES)
def test_a_fold_sees_exactly_the_rows_of_the_others(total, folds):
    divided = k_folds(total, folds, np.arange(total) % 3, seed=4)
    values = np.random.default_rng(0).integers(0, 1000, total)
    data = {"train": values, "order": divided.order}

    def look(fold):
        own = {**data, "fold": fold}
        count = divided.trained(own)
        sums = divided.totals(lambda batch, key: (batch.sum(), batch.max(), len(batch)), own, jax.random.key(0))
        return divided.row(own, jnp.arange(divided.most)), jnp.asarray(count), [(s[0], s[2]) for s in sums]

    rows, counts, sums = jax.jit(jax.vmap(look))(jnp.arange(folds))
    for fold, group in enumerate(divided.groups):
        assert counts[fold] == total - len(group)
        assert divided.fewest <= counts[fold] <= divided.most
        seen = rows[fold, : counts[fold]].tolist()
        assert sorted(seen) == sorted(set(range(total)) - set(group.tolist()))
        (valid, valid_rows), (train, train_rows) = [tuple(int(v[fold]) for v in each) for each in sums]
        assert (valid, valid_rows) == (values[group].sum(), len(group))
        following = divided.groups[(fold + 1) % folds][:train_rows]
        assert train == values[following].sum()
        assert train_rows == divided.short <= valid_rows


@pytest.mark.parametrize("folds", [1, 12])
def test_numbers_of_folds_that_cannot_be_are_refused(folds):
    with pytest.raises(TaskError, match="between 2 and the rows of data"):
        task(rows=11).for_folds(folds, 0)


def task(rows=23, batch_size=8, **options):
    x = np.arange(rows, dtype="float32")[:, None]
    options = {"valid": 0.2, **options}
    return Supervised(
        lambda hp: nn.Dense(2), lambda hp: optax.sgd(hp.lr), train=(x, np.arange(rows) % 2), batch_size=batch_size,
        **options,
    )  # fmt: skip


def test_rows_set_aside_by_a_fraction_come_back_and_test_rows_do_not():
    divided = task(40, test=0.25).for_folds(3, 0)
    assert len(divided.data["train"][0]) == 30
    assert sorted(np.concatenate(divided.folds).tolist()) == list(range(30))
    assert not set(divided.test[0].ravel().tolist()) & set(divided.data["train"][0].ravel().tolist())
    assert task().folds == []


def test_given_validation_data_are_divided_with_the_rest():
    given = np.arange(4, dtype=np.float32)[:, None] + 100, np.zeros(4, int)
    apart = task(10, valid=given).for_folds(3, 0)
    assert len(apart.data["train"][0]) == 14
    np.testing.assert_array_equal(apart.data["train"][0][10:], given[0])
    assert sorted(np.concatenate(apart.folds).tolist()) == list(range(14))


def test_tasks_that_cannot_divide_their_data_are_refused_by_name():
    bowl = vtune.Function(lambda hp, key: {"loss": hp.lr})
    with pytest.raises(ArgumentError, match="Function has no for_folds"):
        vtune.tune(bowl, vtune.Space(lr=vtune.Float(0.1, 1.0)), trials=2, folds=3, progress="off")


def test_a_batch_must_fit_the_smallest_fold():
    assert task(11, batch_size=5).for_folds(2, 0).data["fold"] == 0
    with pytest.raises(TaskError, match=r"rows of training data \(5\); it is 6"):
        task(11, batch_size=6).for_folds(2, 0)


def test_every_epoch_of_a_fold_visits_its_training_rows_once():
    divided = task(23, batch_size=3).for_folds(4, 0)
    key = jax.random.key(5)
    for fold, group in enumerate(divided.folds):
        total = 23 - len(group)
        steps = 2 * total // 3 + 1
        seen = np.concatenate([divided.indices(key, step, 3, fold) for step in range(steps)])
        for epoch in range(2):
            part = seen[epoch * total : (epoch + 1) * total]
            assert sorted(part.tolist()) == sorted(set(range(23)) - set(group.tolist()))


def test_epochs_are_those_of_the_fold_that_trains_on_most():
    divided = task(23, batch_size=4).for_folds(4, 0).for_run(Run(3, 1, "epochs"))
    assert divided.steps_for({"lr": 0.1}, 3, "epochs") == 3 * 18 / 4
    told = []
    asks = Supervised(
        lambda hp: nn.Dense(2), lambda hp, run: told.append(run) or optax.sgd(hp.lr),
        train=(np.zeros((23, 1), "float32"), np.arange(23) % 2), batch_size=4,
    ).for_folds(4, 0).for_run(Run(3, 1, "epochs"))  # fmt: skip
    asks.init(SimpleNamespace(lr=0.1), asks.data, jax.random.key(0))
    assert (told[0].rows, told[0].steps, told[0].steps_per_epoch) == (18, 14, 5)


def test_packed_batch_sizes_train_on_the_rows_of_their_fold():
    """A replica for each fold, batch sizes of 2 to 5 in one program, and rows that tell who has seen them."""
    x = np.eye(11, dtype="float32")
    space = vtune.Space(lr=vtune.Choice(1.0), batch=vtune.Int(2, 5))
    sums = vtune.Supervised(
        lambda hp: nn.Dense(1, use_bias=False, kernel_init=nn.initializers.zeros),
        lambda hp: optax.sgd(hp.lr),
        train=(x, np.zeros(11, "float32")),
        loss=lambda hp, outputs, batch: outputs[:, 0],
        batch_size=lambda hp: hp.batch,
    )
    study = vtune.tune(
        sums, space, trials=8, steps=7, folds=3, proposer="grid", progress="off", cache=False, keep=2, buckets=None
    )
    assert study.explain().kinds["batch"] == "packed"
    assert len(study.explain().programs) == 1
    for trial in study.top(2):
        kernels = study.best_params(trial.id)["params"]["kernel"][:, :, 0]
        for replica, kernel in enumerate(kernels):
            key = vtune.key(0, trial.id, "init", replica=replica)
            seen = np.zeros(11)
            for step in range(7):
                np.add.at(seen, study.task.indices(key, step, trial.config["batch"], replica), 1)
            np.testing.assert_allclose(kernel, -seen / trial.config["batch"], rtol=1e-5)
            assert seen[study.task.folds[replica]].sum() == 0
