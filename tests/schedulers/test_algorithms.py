"""What each algorithm is for, on studies whose outcome is known: how many go on, how far, and which."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedulers.driver import SPACE, Case, case, play

from vtune.records import Decision
from vtune.schedulers import ASHA, PBT, Hyperband, Median, Patience, Report, StudyInfo, SuccessiveHalving, Threshold
from vtune.schedulers import asha as asha_module
from vtune.space import Choice, Float, Int, Space


def steady(trials, steps, lanes, seed=0, **fields):
    """Trials whose score is their place in a random order, the same at every step: the best is known."""
    place = np.random.default_rng(seed).permutation(trials).astype(float)
    study = StudyInfo(steps=steps, trials=trials, eval_every=steps // 3, **fields)
    return Case(study, np.repeat(place[:, None], steps + 1, axis=1), lanes, trials, seed), place


def test_halving_leaves_a_third_of_a_third_of_a_third():
    played, place = steady(27, 27, lanes=4)
    out = play(SuccessiveHalving(1), played)
    assert collections.Counter(out.steps.values()) == {1: 18, 3: 6, 9: 2, 27: 1}
    assert [trial for trial, end in out.ends.items() if end == "complete"] == [int(np.argmin(place))]
    assert all(place[a] < place[b] for a in out.steps for b in out.steps if out.steps[a] > out.steps[b])


def test_halving_is_decided_in_each_cohort():
    played, _ = steady(12, 9, lanes=5)
    out = play(SuccessiveHalving(3, cohort=4), played)
    assert [sum(out.ends[t] == "complete" for t in range(c, c + 4)) for c in (0, 4, 8)] == [1, 1, 1]


def test_promoting_asha_spends_what_halving_does_if_the_best_come_first():
    played, _ = steady(27, 27, lanes=30)
    played = dataclasses.replace(played, together=True)
    assert play(ASHA(1, variant="promoting"), played).steps == play(SuccessiveHalving(1), played).steps


@settings(max_examples=30, deadline=None)
@given(number=st.integers(0, 2**30), reduction=st.integers(2, 4), variant=st.sampled_from(["stopping", "promoting"]))
def test_asha_never_lets_more_go_on_at_once_than_a_rung_allows(number, reduction, variant):
    out = play(ASHA(2, reduction, variant=variant), case(number))
    known = [0] * len(out.states[0]["rungs"])
    for (report, verdict), state in zip(out.reports, out.states, strict=True):
        on = set(report.trial[(verdict.action == Decision.CONTINUE) & ~report.finished].tolist())
        on |= set(verdict.recall.trial.tolist()) if len(report.trial) else set()
        following = dict(zip(state["trial"].tolist(), state["rung"].tolist(), strict=True))
        assert set(following) >= on
        for position, rung in enumerate(state["rungs"]):
            here = rung["trial"][known[position] :] if variant == "stopping" else rung["trial"]
            least = 1 if variant == "stopping" else 0
            passed = [trial for trial in here.tolist() if trial in on and following[trial] == position + 1]
            new = set(rung["trial"][known[position] :].tolist()) | set(verdict.recall.trial.tolist())
            assert len(new.intersection(passed)) <= max(least, len(rung["trial"]) // reduction)
            known[position] = len(rung["trial"])


def test_a_rung_between_measurements_is_judged_at_the_next_where_it_is_not_measured():
    asha = ASHA(5, 2).for_study(StudyInfo(steps=30, trials=8, eval_every=8))
    assert asha.marks() == (5, 10, 20)
    report = Report(np.arange(2), np.array([8, 8]), np.array([0.1, 0.2]), np.zeros(2, bool))
    state, verdict = asha.decide(asha.init(), report)
    assert verdict.action.tolist() == [Decision.CONTINUE, Decision.STOP]
    again = Report(np.arange(1), np.array([9]), np.array([9.0]), np.zeros(1, bool))
    assert asha.decide(state, again)[1].action.tolist() == [Decision.CONTINUE]


def test_what_asha_remembers_stays_bounded_however_many_trials_there_are(monkeypatch):
    monkeypatch.setattr(asha_module, "LATEST", 64)
    asha = ASHA(1).for_study(StudyInfo(steps=9, trials=10**6, eval_every=9))
    state, rng, sizes = asha.init(), np.random.default_rng(0), []
    for number in range(100):
        trial = np.arange(16 * number, 16 * number + 16)
        for step in (1, 3, 9):
            n = len(trial)
            report = Report(trial, np.full(n, step), rng.random(n), np.full(n, step == 9))
            state, verdict = asha.decide(state, report)
            trial = trial[verdict.action == Decision.CONTINUE]
        sizes.append(sum(array.nbytes for rung in state["rungs"] for array in rung.values()) + state["trial"].nbytes)
    assert max(sizes[40:]) < 1.1 * sizes[40]


def test_hyperband_has_the_brackets_of_the_paper():
    band = Hyperband(1).for_study(StudyInfo(steps=81, trials=1000, eval_every=9))
    assert band.brackets[-1] == (1, 3, 9, 27, 81)
    assert band.brackets[0] == (81,)
    assert np.bincount(band.bracket_of(np.arange(143))).tolist() == [5, 8, 15, 34, 81]
    assert np.bincount(band.bracket_of(np.arange(143, 286))).tolist() == [5, 8, 15, 34, 81]
    assert np.bincount(band.bracket_of(np.arange(30)), minlength=5).min() >= 1


def test_hyperband_trains_each_bracket_by_its_own_rungs():
    played, _ = steady(17, 9, lanes=6)
    band = Hyperband(1)
    out = play(band, played)
    bracket = band.for_study(played.study).bracket_of(np.arange(17))
    ends = {s: collections.Counter(out.steps[t] for t in np.flatnonzero(bracket == s)) for s in range(3)}
    assert ends == {0: {9: 3}, 1: {3: 4, 9: 1}, 2: {1: 6, 3: 2, 9: 1}}


def test_the_median_rule_stops_half_of_those_that_are_left_and_keeps_the_best():
    played, place = steady(40, 30, lanes=40)
    out = play(Median(), dataclasses.replace(played, together=True))
    assert sorted(out.ends.values()).count("stopped") == 30
    assert out.ends[int(np.argmin(place))] == "complete"


def test_patience_ends_on_a_plateau_and_stands_for_the_best_step():
    curve = np.array([9, 5, 4, 3, 3.5, 3.4, 3.3, 1, 0], float)
    played = Case(StudyInfo(steps=8, trials=1, eval_every=1), curve[None], 1, 1)
    out = play(Patience(3), played)
    assert (out.ends, out.steps, out.saved) == ({0: "complete"}, {0: 6}, {0: 3})
    assert play(Patience(4), played).saved == {0: 8}
    assert play(Patience(2, min_delta=1.5), played).steps == {0: 5}
    assert play(Patience(2, min_delta=1.5), played).saved == {0: 3}


def test_a_threshold_is_judged_from_its_step_on():
    curves = np.array([[0, 5, 5, 5, 1], [0, 0, 0, 5, 1], [0, 5, 1, 1, 1], [0, np.nan, 9, 9, 9]], float)
    played = Case(StudyInfo(steps=4, trials=4, eval_every=1), curves, 4, 4)
    out = play(Threshold("loss", upper=2.0, step=2), played)
    assert out.ends == {0: "stopped", 1: "stopped", 2: "complete", 3: "diverged"}
    assert out.steps == {0: 2, 1: 3, 2: 4, 3: 1}
    assert (
        play(Threshold(upper=2.0), dataclasses.replace(played, study=dataclasses.replace(played.study))).steps[0] == 1
    )


def test_the_last_of_a_population_go_on_from_the_first_at_every_interval():
    played, place = steady(20, 40, lanes=8, space=SPACE)
    out = play(PBT(interval=5, names=()), played)
    given = out.reports[-1][0].configs | out.reports[0][0].configs
    assert set(out.ends.values()) == {"complete"}
    copied = [int(s) for _, verdict in out.reports for s in [*verdict.source, *verdict.recall.source] if s >= 0]
    assert len(copied) == 7 * 4
    assert set(place[copied]) <= {0, 1, 2, 3}
    worst, rest = np.flatnonzero(place >= 16), np.flatnonzero(place < 16)
    assert all(out.configs[trial] in [given[s] for s in set(copied)] for trial in worst)
    assert all(out.configs[trial] == given[trial] for trial in rest)


@pytest.mark.parametrize("resample", [0.0, 1.0])
def test_changes_stay_in_the_space_and_move_on_its_grid(resample):
    space = Space(
        lr=Float(1e-3, 1.0, log=True), low=Float(-1.0, 1.0), depth=Int(1, 3), rate=Float(0.0, 0.3, step=0.1),
        act=Choice("relu", "gelu"), only=Float(2.0, 2.0),
    )  # fmt: skip
    study = StudyInfo(steps=20, trials=400, eval_every=5, space=space)
    pbt = PBT(interval=10, quantile=0.5, resample=resample).for_study(study)
    source = {"lr": 0.9, "low": -0.9, "depth": 2, "rate": 0.1, "act": "gelu", "only": 2.0}
    report = Report(
        np.arange(400), np.full(400, 10), np.arange(400.0), np.zeros(400, bool),
        configs=dict.fromkeys(range(400), source), asked=400, closed=True,
    )  # fmt: skip
    _, verdict = pbt.decide(pbt.init(), report)
    seen = {name: {config[name] for config in verdict.configs.values()} for name in space.names}
    assert [space.validate(config) for config in verdict.configs.values()] == list(verdict.configs.values())
    assert len(verdict.configs) == 200
    if resample:
        assert len(seen["lr"]) == len(seen["low"]) == 200
        assert (seen["depth"], seen["rate"], seen["act"]) == ({1, 2, 3}, {0.0, 0.1, 0.2, 0.3}, {"relu", "gelu"})
    else:
        assert seen["lr"] == {0.9 * 0.8, 1.0}
        assert seen["low"] == {-0.9 * 0.8, -1.0}
        assert (seen["depth"], seen["rate"], seen["act"]) == ({1, 3}, {0.0, 0.2}, {"gelu"})
    assert seen["only"] == {2.0}


def test_a_copy_without_a_possible_change_keeps_its_sources_configuration():
    study = StudyInfo(
        steps=20, trials=10, eval_every=5, space=SPACE, fits=lambda sources, configs: np.zeros(len(configs), bool)
    )
    configs = dict(enumerate(SPACE.sample(10, np.random.default_rng(0))))
    report = Report(np.arange(10), np.full(10, 5), np.arange(10.0), np.zeros(10, bool), configs=configs, asked=10)
    pbt = PBT().for_study(study)
    _, verdict = pbt.decide(pbt.init(), report)
    assert verdict.action.tolist() == [0] * 8 + [Decision.COPY] * 2
    assert all(verdict.configs[trial] == configs[int(verdict.source[trial])] for trial in (8, 9))
