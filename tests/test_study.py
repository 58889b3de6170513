"""The public face: tune, Study, load, plan; what is refused, and what a second run finds."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vtune
from vtune.errors import ArgumentError, ConfigError, GuardError, ProposerError, ResultError, StoreError, TaskError
from vtune.store import open_reader

SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True), width=vtune.Int(1, 3))
FAST = {"steps": 4, "eval_every": 2, "progress": "off", "cache": False, "block": 8}


class Quadratic:
    """A task as small as can be: x is drawn to zero at a rate of its own."""

    name = "quadratic"
    data = None

    def init(self, hp, data, key):
        return jax.random.normal(key, (3,))

    def step(self, hp, state, data, key):
        return state * (1 - hp.lr), {"size": jnp.abs(state).sum()}

    def evaluate(self, hp, state, data, key):
        return {"loss": jnp.square(state).sum(), "accuracy": jnp.exp(-jnp.square(state).sum())}


def quick(**options):
    return vtune.tune(Quadratic(), SPACE, **{"trials": 12, **FAST, **options})


def test_frames_and_curves_hold_every_trial(tmp_path):
    study = quick(store=tmp_path / "s.db", name="quick")
    frame, curves = study.frame(), study.curves()
    assert list(frame.columns[:4]) == ["id", "state", "step", "score"]
    assert {"lr", "width", "loss", "accuracy", "size"} <= set(frame.columns)
    assert len(frame) == 12
    assert len(curves) == 24
    assert list(curves.columns[:2]) == ["trial", "step"]
    assert study.best.score == frame["score"].min()
    assert study.best.config == {
        "lr": pytest.approx(frame.loc[study.best.id, "lr"]),
        "width": study.best.config["width"],
    }
    assert "12 complete" in repr(study)


def test_a_stored_study_is_read_without_its_task(tmp_path):
    study = quick(store=tmp_path / "s.db", name="quick", keep=2)
    params = study.best_params()
    study.close()
    loaded = vtune.load(tmp_path / "s.db", "quick")
    assert loaded.best.state == "complete"
    assert loaded.space == SPACE
    assert len(loaded.frame()) == 12
    np.testing.assert_allclose(loaded.best_params(), params, rtol=1e-6)
    assert loaded.explain().programs
    assert loaded.explain().kinds == {"lr": "traced", "width": "traced"}
    worst = loaded.frame().sort_values("score")["id"].iloc[-1]
    with pytest.raises(ResultError, match="not kept"):
        loaded.best_params(int(worst))


def test_the_mode_turns_scores_around():
    best = quick(metric="accuracy").best
    assert best.score == pytest.approx(quick(metric="accuracy", mode="max").frame()["score"].max())
    assert quick(metric="accuracy", mode="min").best.score < best.score


@pytest.mark.parametrize("strategy", ["map", "host"])
def test_every_way_to_run_steps_gives_the_same_curves(strategy):
    options = {name: value for name, value in FAST.items() if name != "block"} | {"trials": 10, "progress": "off"}
    vmapped, other = (vtune.tune(Quadratic(), SPACE, strategy=kind, **options) for kind in ("vmap", strategy))
    a, b = (study.curves().sort_values(["trial", "step"]).to_numpy() for study in (vmapped, other))
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_several_objectives_have_a_front():
    study = quick(metric=["loss", "size"], mode=["min", "max"])
    front = study.front()
    with pytest.raises(ResultError, match="front"):
        _ = study.best
    frame = study.frame()
    for _, row in front.iterrows():
        better = (frame["loss"] <= row["loss"]) & (frame["size"] >= row["size"])
        assert (better & ((frame["loss"] < row["loss"]) | (frame["size"] > row["size"]))).sum() == 0


def test_enqueued_configs_run_first_and_count():
    mine = [{"lr": 0.5, "width": 2}, {"lr": 0.25, "width": 1}]
    study = quick(enqueue=mine)
    frame = study.frame()
    assert [dict(study.trial(i).config) for i in range(2)] == mine
    assert frame["origin"].tolist() == ["enqueued"] * 2 + ["random"] * 10
    waiting = vtune.Study(Quadratic(), SPACE, trials=4, **FAST)
    assert waiting.enqueue(mine[:1]) == 1
    assert waiting.run().frame()["origin"].tolist() == ["enqueued"] + ["random"] * 3


def test_a_grid_ends_where_it_is_used_up():
    space = vtune.Space(lr=vtune.Choice(0.1, 0.2, 0.3), width=vtune.Int(1, 2))
    study = vtune.tune(Quadratic(), space, proposer="grid", trials=100, **FAST)
    frame = study.frame()
    assert len(frame) == 6
    assert len(frame[["lr", "width"]].drop_duplicates()) == 6
    assert study.state == "complete"


def test_the_same_seed_gives_the_same_study_and_another_does_not():
    first, again, other = quick(seed=3), quick(seed=3), quick(seed=4)
    np.testing.assert_array_equal(first.curves().to_numpy(), again.curves().to_numpy())
    assert not np.array_equal(first.curves().to_numpy(), other.curves().to_numpy())


def test_verify_finds_the_same_alone_and_would_find_a_difference():
    study = quick()
    assert study.verify(4).largest < 1e-5
    study.settings = dataclasses.replace(study.settings, seed=99)
    assert study.verify(4).largest > 1e-3


def test_retrained_variables_are_those_that_were_kept():
    study = quick(keep=1)
    np.testing.assert_allclose(study.retrain(study.best.id), study.best_params(), rtol=1e-5)


class Stopper:
    """A scheduler of a user: stops every trial whose id is odd at its first measurement."""

    name = "odd"

    def init(self):
        return {"seen": 0}

    def decide(self, state, report):
        verdict = vtune.schedulers.Verdict.going_on(len(report.trial))
        action = np.where(report.trial % 2 == 1, int(vtune.records.Decision.STOP), verdict.action)
        return {"seen": state["seen"] + len(report.trial)}, vtune.schedulers.Verdict(action, verdict.source)


def test_a_scheduler_stops_trials_and_their_lanes_are_used_again():
    study = quick(trials=30, scheduler=Stopper(), lanes=8)
    states = study.frame().set_index("id")["state"]
    assert (states[states.index % 2 == 1] == "stopped").all()
    assert (states[states.index % 2 == 0] == "complete").all()
    assert study.explain().occupancy > 0.8


def test_plan_tells_without_training():
    plan = vtune.plan(Quadratic(), SPACE, trials=100, steps=10)
    assert plan.kinds == {"lr": "traced", "width": "traced"}
    assert plan.possible == len(plan.programs) == 1
    assert plan.expected_seconds > 0
    assert "programs" in repr(plan) or "program" in repr(plan)


def test_second_run_compiles_nothing_that_the_cache_holds(tmp_path):
    script = textwrap.dedent("""
        import sys, jax, vtune
        from tests_quadratic import Quadratic, SPACE
        hits = []
        jax.monitoring.register_event_listener(lambda name, **_: hits.append(name))
        vtune.tune(Quadratic(), SPACE, trials=8, steps=4, progress="off", cache=sys.argv[1])
        print(sum("cache_hits" in hit for hit in hits), sum("cache_misses" in hit for hit in hits))
    """)
    (tmp_path / "tests_quadratic.py").write_text(_SOURCE)
    (tmp_path / "run.py").write_text(script)
    counts = [
        subprocess.run(
            [sys.executable, "run.py", str(tmp_path / "cache")], cwd=tmp_path, env=_environment(), check=True,
            capture_output=True, text=True,
        ).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert int(counts[0][1]) > 0
    assert int(counts[1][1]) == 0
    assert int(counts[1][0]) > 0


_SOURCE = textwrap.dedent("""
    import jax, jax.numpy as jnp, vtune
    SPACE = vtune.Space(lr=vtune.Float(1e-3, 1.0, log=True))
    class Quadratic:
        data = None
        def init(self, hp, data, key): return jax.random.normal(key, (3,))
        def step(self, hp, state, data, key): return state * (1 - hp.lr), {}
        def evaluate(self, hp, state, data, key): return {"loss": jnp.square(state).sum()}
""")

_LONG = """
import sys, vtune
from tests_quadratic import Quadratic, SPACE
vtune.tune(Quadratic(), SPACE, trials=100_000, steps=200_000, eval_every=1000, lanes=64, store="s.db", name="long",
           progress="lines", cache=False)
print("went on after the interrupt")
"""


def _environment():
    return {**os.environ, "VTUNE_CACHE": "off", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_run_soon_and_keep_what_was_done(tmp_path, number):
    (tmp_path / "tests_quadratic.py").write_text(_SOURCE)
    (tmp_path / "long.py").write_text(_LONG)
    child = subprocess.Popen(
        [sys.executable, "long.py"], cwd=tmp_path, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.5)
        # The file is there before its tables are, and they are before the study is.
        with contextlib.suppress(StoreError), open_reader(tmp_path / "s.db") as reader:
            if len(reader.curves(1)):
                break
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode != 0
    assert "was interrupted and keeps" in err
    assert "went on" not in out
    study = vtune.load(tmp_path / "s.db", "long")
    assert study.state == "interrupted"
    assert len(study.curves()) > 0


def test_an_interrupted_study_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    options = {**FAST, "trials": 40, "lanes": 8, "seed": 2}
    whole = vtune.tune(Quadratic(), SPACE, **options)

    class Impatient:
        """Random proposals, and Ctrl-C at the third call."""

        name, learns, calls = "random", True, 0

        def __init__(self, breaks):
            self.inner, self.breaks, self.space = vtune.proposers.Random(SPACE, seed=2), breaks, SPACE

        def ask(self, n, pending=()):
            type(self).calls += 1
            if self.breaks and type(self).calls == 4:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            return self.inner.ask(n)

        def tell(self, configs, scores):
            self.inner.tell(configs, scores)

        def state(self):
            return self.inner.state()

        def restore(self, state):
            self.inner.restore(state)

    store = tmp_path / "s.db"
    with pytest.raises(vtune.errors.Interrupted, match="resume=True"):
        vtune.tune(Quadratic(), SPACE, proposer=Impatient(True), store=store, name="x", **options)
    half = vtune.load(store, "x")
    assert 0 < (half.frame()["state"] == "complete").sum() < 40
    study = vtune.tune(Quadratic(), SPACE, proposer=Impatient(False), store=store, name="x", resume=True, **options)
    a, b = (s.curves().sort_values(["trial", "step"]).to_numpy() for s in (whole, study))
    np.testing.assert_array_equal(a, b)
    assert study.frame()["id"].tolist() == list(range(40))
    again = vtune.tune(Quadratic(), SPACE, proposer=Impatient(False), store=store, name="x", resume=True, **options)
    assert again.state == "complete"
    with pytest.raises(StoreError, match="seed"):
        vtune.tune(Quadratic(), SPACE, proposer=Impatient(False), store=store, name="x", resume=True,
                   **{**options, "seed": 3})  # fmt: skip
    with pytest.raises(StoreError, match="resume=True"):
        vtune.tune(Quadratic(), SPACE, store=store, name="x", **options)


class Broken(Quadratic):
    def __init__(self, **parts):
        for name, part in parts.items():
            setattr(self, name, part)


def _pins(hp, state, data, key):
    return state * float(hp.lr), {}


def _vector(hp, state, data, key):
    return {"loss": state}


def _other_shape(hp, state, data, key):
    return state[:2], {}


def _user_error(hp, state, data, key):
    raise RuntimeError("my own mistake")


@pytest.mark.parametrize(
    ("task", "options", "kind", "message"),
    [
        (Quadratic(), {"steps": 0}, ArgumentError, "steps must be a whole number of at least 1, not 0"),
        (Quadratic(), {"steps": None}, ArgumentError, "exactly one of steps, epochs and examples"),
        (Quadratic(), {"trials": 2.5}, ArgumentError, "trials must be a whole number"),
        (Quadratic(), {"eval_every": 9}, ArgumentError, "9 > 4"),
        (Quadratic(), {"metric": "auc"}, ArgumentError, "it measures accuracy, loss, size"),
        (Quadratic(), {"metric": "size"}, ArgumentError, "mode must be 'min' or 'max'"),
        (Quadratic(), {"mode": "up"}, ArgumentError, "'min' or 'max', not 'up'"),
        (Quadratic(), {"rng": "mt"}, ArgumentError, "'pcg' or 'threefry'"),
        (Quadratic(), {"lanes": 0}, ArgumentError, "lanes must be 'auto' or a whole number"),
        (Quadratic(), {"lanes": 4}, ArgumentError, "less than block=8"),
        (Quadratic(), {"strategy": "magic"}, ArgumentError, "auto, vmap, map, host"),
        (Quadratic(), {"proposer": "genie"}, ArgumentError, "random"),
        (Quadratic(), {"progress": "loud"}, ArgumentError, "'lines' or 'off'"),
        (Quadratic(), {"enqueue": [{"lr": 7.0, "width": 1}]}, ConfigError, "lr"),
        (Quadratic(), {"enqueue": {"lr": 0.1, "width": 1}}, ArgumentError, "list of dicts"),
        (object(), {}, TaskError, "has no data, init, step, evaluate"),
        (Broken(step=_pins), {}, GuardError, "test_study.py"),
        (Broken(evaluate=_vector), {}, TaskError, r"'loss' has the shape \(3,\)"),
        (Broken(step=_other_shape), {}, TaskError, "must keep the shape"),
        (Broken(step=_user_error), {}, RuntimeError, "my own mistake"),
    ],
)
def test_bad_input_is_refused_by_name(task, options, kind, message):
    for name, part in vars(task).items() if isinstance(task, Broken) else ():
        setattr(type(task), name, staticmethod(part))
    with pytest.raises(kind, match=message):
        vtune.tune(task, SPACE, **{"trials": 12, **FAST, **options})


def test_a_proposer_that_leaves_the_space_is_told_so():
    class Stray(vtune.proposers.Random):
        def ask(self, n, pending=()):
            return [{"lr": 9.0, "width": 1}] * n

    with pytest.raises(ProposerError, match="lr"):
        quick(proposer=Stray(SPACE, seed=0))


def test_metrics_named_like_a_hyperparameter_are_refused():
    space = vtune.Space(loss=vtune.Float(0, 1), lr=vtune.Float(0, 1))
    with pytest.raises(ArgumentError, match="rename loss"):
        vtune.tune(Quadratic(), space, trials=4, **FAST)
