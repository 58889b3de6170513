"""A smaller space around what worked: always inside, never empty, conditions, constraints and defaults kept."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spaces import halved, same, spaces

import vtune
from vtune.errors import ArgumentError, ResultError
from vtune.narrowing import narrow
from vtune.records import Trial, TrialState
from vtune.space import Choice, Float, Int, Space


def study(space, scores, state=TrialState.COMPLETE, steps=10):
    """A study of configs with their scores, as `narrow` reads one."""
    trials = [
        Trial(id, config, TrialState.DIVERGED if np.isnan(score) else state, 10, score)
        for id, (config, score) in enumerate(scores)
    ]
    record = SimpleNamespace(objectives=(("loss", "min"),), steps=steps)
    return SimpleNamespace(name="given", space=space, record=record, trials=lambda states: trials, constraints=())


def sampled(space, n, score, seed=0):
    return [(config, float(score(config))) for config in space.sample(n, np.random.default_rng(seed))]


ROUNDED = Space(x=Float(-0.1, 0.4, step=0.1), y=Int(0, 0, when={"x": (-0.1, 0.1 + 0.2)}))
STEP = Space(x=Float(-0.1, 0.4, step=0.1, when={"c": (0,)}), c=Int(0, 2))


@settings(max_examples=30, deadline=None)
@given(space=spaces(most=5, count=20), keep=st.floats(0.01, 1.0), seed=st.integers(0, 9), bound=st.booleans())
@example(space=ROUNDED, keep=0.5, seed=0, bound=False)
@example(space=ROUNDED, keep=0.01, seed=1, bound=False)
@example(space=STEP, keep=0.2, seed=4, bound=False)
def test_every_config_of_a_narrower_space_is_one_of_the_space(space, keep, seed, bound):
    space = halved(space) if bound else space
    rng = np.random.default_rng(seed)
    scores = sampled(space, 12, lambda config: rng.normal() if rng.random() < 0.9 else np.nan, seed)
    if all(np.isnan(score) for _, score in scores):
        scores[0] = (scores[0][0], 1.0)
    narrower = narrow(study(space, scores), keep)
    assert narrower.names == space.names
    best = min((score, place) for place, (_, score) in enumerate(scores) if score == score)[1]
    read = narrower.fill([scores[best][0]])[0]
    assert {name: read[name] for name in scores[best][0]} == scores[best][0]
    for config in narrower.sample(20, rng):
        kept = {name: value for name, value in config.items() if active_in(space, config, name)}
        valid = space.validate(kept)
        assert all(same(valid[name], value) for name, value in kept.items())
    for parameter in narrower.values():
        parameter.encode([parameter.default], str)
    assert all((narrower[name].size or 1e9) <= (space[name].size or 1e9) for name in space)


def active_in(space, config, name):
    """Whether a hyperparameter is active under the conditions of the wider space."""
    when = space[name].when or {}
    return all(
        active_in(space, config, parent) and parent in config and _meant(space, parent, config[parent], wanted)
        for parent, wanted in when.items()
    )


def _meant(space, parent, value, wanted):
    allowed = list(wanted) if isinstance(wanted, tuple) else [wanted]
    place = space[parent].encode([value], str)[0]
    return place in [space[parent].encode([each], str)[0] for each in allowed]


def test_ranges_close_in_on_their_own_scale():
    space = Space(lr=Float(1e-6, 1e-1, log=True), width=Int(8, 512, step=8), free=Float(0.0, 1.0))
    found = narrow(
        study(space, sampled(space, 400, lambda c: abs(np.log10(c["lr"]) + 3) + abs(c["width"] - 256) / 256))
    )
    assert 1e-5 < found["lr"].low < 9e-4
    assert 1.1e-3 < found["lr"].high < 1e-1
    assert found["lr"].log
    assert found["width"].step == 8
    assert 8 < found["width"].low < 256 < found["width"].high < 512
    assert found["free"].high - found["free"].low > 0.8


def test_choices_that_never_worked_go_and_what_hangs_on_them_stays_readable():
    space = Space(
        kind=Choice("a", "b", "c"),
        x=Float(0.0, 1.0, default=0.25, when={"kind": "b"}),
        y=Int(1, 9, when={"kind": ("a", "b")}),
        z=Choice("p", "q", when={"y": (1, 2, 3)}),
        w=Float(0.0, 1.0, when={"z": "p"}),
    )
    found = narrow(
        study(space, sampled(space, 300, lambda c: {"a": 0, "b": 9, "c": 9}[c["kind"]] + c.get("y", 9))), 0.1
    )
    assert found["kind"].values == ("a",)
    assert found["x"] == Choice(0.25)
    assert found["y"].when == {"kind": ["a"]}
    assert found["y"].high < 9
    assert set(found.names) == set(space.names)
    assert all("z" in config for config in found.sample(20, np.random.default_rng(0)) if config["y"] <= 3)


def test_trials_that_were_stopped_have_their_say_where_they_stood():
    space = Space(x=Float(0.0, 1.0))
    trials = [
        Trial(id, {"x": x}, TrialState.COMPLETE if x < 0.2 else TrialState.STOPPED, 100 if x < 0.2 else 10, x)
        for id, x in enumerate(np.linspace(0.01, 0.99, 50).tolist())
    ]
    rows = [(trial.id, step, trial.score) for trial in trials for step in (10, 100) if step <= trial.step]
    given = SimpleNamespace(
        name="n",
        space=space,
        record=SimpleNamespace(objectives=(("loss", "min"),), steps=100),
        trials=lambda states: trials,
        curves=lambda: pd.DataFrame(rows, columns=["trial", "step", "loss"]),
        constraints=(),
    )
    found = narrow(given, 0.5)
    assert 0.4 < found["x"].high < 0.55


def test_constraints_of_a_stored_study_need_the_space(tmp_path):
    def small(config):
        return config["x"] + config["y"] < 1.0

    space = Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0), constraints=small)
    task = vtune.Function(lambda hp, key: {"loss": hp.x * hp.x + hp.y})
    done = vtune.tune(task, space, trials=32, lanes=8, store=tmp_path / "s.db", name="s", progress="off")
    found = vtune.narrow(done)
    assert [constraint.function for constraint in found.constraints] == [small]
    done.close()
    loaded = vtune.load(tmp_path / "s.db", "s")
    assert vtune.narrow(loaded, space=space) == found
    with pytest.raises(ArgumentError, match=r"small.*narrow\(study, space=\.\.\.\)"):
        vtune.narrow(loaded)
    with pytest.raises(ArgumentError, match="space must be that of study 's'"):
        vtune.narrow(loaded, space=Space(x=Float(0.0, 1.0)))


def test_what_cannot_be_is_refused():
    space = Space(x=Float(0.0, 1.0))
    scores = sampled(space, 4, lambda config: config["x"])
    for keep in (0, -0.1, 1.5, True, "half"):
        with pytest.raises(ArgumentError, match="keep must be a share"):
            narrow(study(space, scores), keep)
    with pytest.raises(ResultError, match="there must be trials with a score"):
        narrow(study(space, [(config, np.nan) for config, _ in scores]))


def test_a_condition_on_a_value_that_floats_round_up_survives_narrowing():
    scores = [({"x": 0.3, "y": 0}, 0.0), ({"x": 0.2}, 0.1), ({"x": 0.1}, 1.0), ({"x": 0.0}, 2.0)]
    narrower = narrow(study(ROUNDED, scores), 0.5)
    assert narrower["x"].decode(np.array([0, 1])) == [0.2, 0.3]
    assert narrower.validate({"x": 0.3, "y": 0}) == {"x": 0.3, "y": 0}
