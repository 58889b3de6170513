"""Budgets in steps, epochs and examples: how long each trial trains, and when it is measured."""

import math

import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st

import vtune
from vtune.errors import ArgumentError, TaskError
from vtune.settings import budget
from vtune.tasks import Run, Supervised, training
from vtune.tasks.budget import Length, length, mean_steps, next_mark

SIZES = (10, 30, 50, 70, 90)
SOURCE = np.random.default_rng(0)
DATA = (SOURCE.normal(size=(150, 4)).astype("float32"), SOURCE.integers(0, 2, 150))
VALID = (SOURCE.normal(size=(20, 4)).astype("float32"), SOURCE.integers(0, 2, 20))
SPACE = vtune.Space(lr=vtune.Float(1e-3, 0.1, log=True), batch=vtune.Choice(*SIZES))
OPTIONS = {"steps": None, "epochs": None, "examples": None, "eval_every": None}


def supervised(optimizer=lambda hp, run: optax.sgd(optax.cosine_decay_schedule(hp.lr, run.steps)), **options):
    options = {"batch_size": lambda hp: hp.batch, **options}
    return Supervised(lambda hp: nn.Dense(2), optimizer, train=DATA, valid=VALID, **options)


def marks(whole):
    found = [0]
    while found[-1] < whole.steps:
        found.append(int(next_mark(found[-1], whole.steps, whole.every)))
    return found[1:]


@given(
    rows=st.integers(1, 5000),
    batch=st.integers(1, 500),
    epochs=st.integers(1, 40),
    parts=st.sampled_from((1, 2, 4, 10)),
)
def test_measurements_come_at_the_first_step_after_each_part_of_an_epoch(rows, batch, epochs, parts):
    whole = Length(math.ceil(epochs * rows / batch), rows / batch / parts)
    expected = {min(whole.steps, -(-k * rows // (batch * parts))) for k in range(1, epochs * parts + 1)}
    assert marks(whole) == sorted(expected)


@given(steps=st.integers(1, 2000), every=st.integers(1, 2000))
def test_whole_steps_are_measured_at_their_multiples_and_at_the_end(steps, every):
    assert marks(Length(steps, every)) == sorted({*range(every, steps, every), steps})


@pytest.mark.parametrize("unit", ["epochs", "examples"])
def test_a_trial_trains_the_steps_that_its_batch_size_takes(unit):
    task, amount = supervised(), {"epochs": 2, "examples": 300}[unit]
    run = Run(amount, amount / 2, unit)
    lengths = [length(task, run, {"lr": 0.1, "batch": size}) for size in SIZES]
    assert [each.steps for each in lengths] == [30, 10, 6, 5, 4]
    assert [marks(each) for each in lengths] == [[15, 30], [5, 10], [3, 6], [3, 5], [2, 4]]
    assert mean_steps(task, run, [{"lr": 0.1, "batch": size} for size in (10, 90)]) == 17
    assert [training.training(run, size, 150).steps for size in SIZES] == [each.steps for each in lengths]


class Silent:
    """Counts frames: each step takes as many as there are environments, but nobody is told."""

    data = None

    def __init__(self, **members):
        vars(self).update(members)

    def init(self, hp, data, key):
        return {"frames": np.zeros((), "float32")}

    def step(self, hp, state, data, key):
        return {"frames": state["frames"] + hp.envs}, {}

    def evaluate(self, hp, state, data, key):
        return {"loss": state["frames"] * 1.0}


def test_a_task_of_your_own_counts_what_a_step_costs():
    space = vtune.Space(envs=vtune.Choice(7, 10, 25))
    study = vtune.tune(
        Silent(cost=lambda hp: hp.envs),
        space,
        trials=12,
        examples=100,
        block=4,
        progress="off",
        cache=False,
        eval_every=50,
    )
    curves = study.curves().merge(study.frame()[["id", "envs"]], left_on="trial", right_on="id")
    steps = curves.groupby("envs")["step"].unique().map(list).to_dict()
    assert steps == {7: [8, 15], 10: [5, 10], 25: [2, 4]}
    assert (curves["loss"] == curves["step"] * curves["envs"]).all()
    assert (study.record.length, study.record.interval) == ("100 examples", "50 examples")


def test_lanes_that_are_filled_together_end_together():
    """Twelve trials of three lengths, mixed, in a block of four lanes: three waves, in which no lane waits."""
    space = vtune.Space(envs=vtune.Choice(7, 10, 25))
    study = vtune.tune(
        Silent(cost=lambda hp: hp.envs), space, trials=12, examples=100, eval_every=50, block=4, lanes=4, threads=1,
        enqueue=[{"envs": envs} for envs in (7, 10, 25) * 4], progress="off", cache=False,
    )  # fmt: skip
    assert study.explain().occupancy == 1


class Watching:
    """A scheduler that lets all go on and writes down when each was measured."""

    name = "watching"

    def __init__(self):
        self.seen = {}

    def init(self):
        return 0

    def marks(self):
        return (20,)

    def decide(self, state, report):
        for trial, step in zip(report.trial.tolist(), report.step.tolist(), strict=True):
            self.seen.setdefault(trial, []).append(step)
        n = len(report.trial)
        return state, vtune.schedulers.Verdict.of(np.zeros(n, np.int8), save=np.zeros(n, bool))


def test_schedulers_see_trials_of_all_lengths_at_the_same_shares_of_them():
    """Trials of 143, 100 and 40 steps are compared as if each had those of the mean trial."""
    space, watching = vtune.Space(envs=vtune.Choice(7, 10, 25)), Watching()
    study = vtune.tune(
        Silent(cost=lambda hp: hp.envs), space, trials=3, examples=1000, eval_every=500, block=4, proposer="grid",
        scheduler=watching, progress="off", cache=False,
    )  # fmt: skip
    mean = study.settings.steps
    assert 80 < mean < 110
    assert set(map(tuple, watching.seen.values())) == {(20, round(mean / 2), round(mean))}
    found = study.curves().groupby("trial")["step"].apply(list).tolist()
    assert found == [[math.ceil(20 * steps / mean), half, steps] for half, steps in ((72, 143), (50, 100), (20, 40))]
    assert study.verify(3).largest == 0


def test_epochs_give_each_trial_its_own_steps_and_schedule_and_a_resume_compares_them(tmp_path):
    options = {"trials": 10, "epochs": 2, "eval_every": 1, "progress": "off", "cache": False, "block": 8, "name": "a"}
    store = tmp_path / "vtune.db"
    study = vtune.tune(supervised(), SPACE, enqueue=[{"lr": 0.1, "batch": b} for b in SIZES], store=store, **options)
    curves = study.curves()
    found = curves[curves["trial"] < 5].groupby("trial")["step"].apply(list).tolist()
    assert found == [[15, 30], [5, 10], [3, 6], [3, 5], [2, 4]]
    assert study.frame()["state"].eq("complete").all()
    assert study.verify(5).largest < 1e-4
    assert len(study.explain().programs) == 1
    study.close()
    with pytest.raises(vtune.errors.StoreError, match="its budget was 2 epochs and is now 3 epochs"):
        vtune.Study(supervised(), SPACE, store=store, resume=True, **{**options, "epochs": 3})
    again = vtune.tune(supervised(), SPACE, store=store, resume=True, **options)
    assert len(again.frame()) == 10


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"steps": 500}, Run(500, 50)),
        ({"steps": 5}, Run(5, 1)),
        ({"epochs": 3}, Run(3, 0.3, "epochs")),
        ({"epochs": 1.5, "eval_every": 0.5}, Run(1.5, 0.5, "epochs")),
        ({"examples": 1000, "eval_every": 64}, Run(1000, 64, "examples")),
    ],
)
def test_a_budget_is_in_one_unit(given, expected):
    assert budget(None, **{**OPTIONS, **given}) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one of steps, epochs and examples must be given: how long a trial is; got none of them"),
        ({"steps": 5, "epochs": 2}, "got steps=5 and epochs=2"),
        ({"epochs": 0}, "epochs must be a positive number, not 0"),
        ({"epochs": True}, "epochs must be a positive number, not True"),
        ({"epochs": math.nan}, "epochs must be a positive number, not nan"),
        ({"examples": 10.5}, "examples must be a whole number of at least 1, not 10.5"),
        ({"epochs": 2, "eval_every": 3}, "eval_every must be at most epochs; 3 > 2"),
    ],
)
def test_budgets_that_cannot_be_are_refused(given, message):
    with pytest.raises(ArgumentError, match=message):
        budget(None, **{**OPTIONS, **given})


def test_a_whole_run_in_one_function_has_no_other_budget():
    with pytest.raises(ArgumentError, match="always trains 1 step"):
        vtune.Study(vtune.Function(lambda hp, key: {"loss": hp.lr}), SPACE, epochs=2, progress="off")


@pytest.mark.parametrize(
    ("task", "unit", "message"),
    [
        (Silent(), "epochs", r"Silent has no steps_for\(config, amount, unit\). Add it, or tune with steps="),
        (Silent(), "examples", r"has no steps_for\(config, amount, unit\) and no cost\(hp\)"),
        (Silent(cost=lambda hp: -1), "examples", r"cost\(hp\) of Silent must give a positive number"),
        (Silent(steps_for=lambda *given: "2"), "epochs", r"steps_for\(config, 2, 'epochs'\) of Silent must give"),
    ],
)
def test_tasks_that_do_not_know_are_refused_before_anything_runs(task, unit, message):
    with pytest.raises(TaskError, match=message):
        vtune.Study(task, SPACE, progress="off", **{unit: 2})


def test_a_task_that_must_know_the_steps_says_so():
    with pytest.raises(TaskError, match="this run is of 2 epochs, so that each trial has steps of its own"):
        print(Run(2, 1, "epochs").steps)
