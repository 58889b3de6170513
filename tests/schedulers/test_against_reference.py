"""Every decision of every scheduler against its plain-Python reference, on a thousand recorded studies each."""

from __future__ import annotations

import numpy as np
import pytest
from schedulers import reference
from schedulers.driver import SPACE, case, decisions, play

from vtune.schedulers import ASHA, PBT, Hyperband, Median, Patience, SuccessiveHalving, Threshold
from vtune.schedulers import asha as asha_module

CASES = 1000


def rungs(rng, steps):
    return int(rng.integers(1, max(2, steps // 3))), int(rng.integers(2, 5))


def asha(rng, study, variant):
    first, factor = rungs(rng, study.steps)
    last = int(rng.integers(first, study.steps + 1)) if rng.random() < 0.3 else None
    return ASHA(first, factor, last, variant), reference.ASHA(study, first, factor, last, variant)


def halving(rng, study):
    first, factor = rungs(rng, study.steps)
    cohort = int(rng.integers(1, 8)) if rng.random() < 0.5 else None
    return SuccessiveHalving(first, factor, cohort), reference.successive_halving(study, first, factor, cohort)


def hyperband(rng, study):
    factor = int(rng.integers(2, 4))
    first = int(rng.integers(1, study.steps // factor + 1))
    return Hyperband(first, factor), reference.hyperband(study, first, factor)


def median(rng, study):
    settings = int(rng.integers(0, 9)), int(rng.integers(1, 4))
    return Median(*settings), reference.Median(study, *settings)


def patience(rng, study):
    settings = int(rng.integers(1, 4)), float(rng.choice([0.0, 0.5])), int(rng.integers(0, 9))
    return Patience(*settings), reference.Patience(study, *settings)


def threshold(rng, study):
    lower, upper = [(-1.0, None), (None, 1.0), (-1.0, 1.0), (0.0, 0.0)][rng.integers(4)]
    step = int(rng.integers(1, study.steps)) if rng.random() < 0.5 else None
    return Threshold("loss", lower, upper, step), reference.Threshold(study, lower, upper, step)


def even(source, config):
    """What a program of some study allows: an even or odd width goes on from a source of an even or odd id."""
    return (config["width"] + source) % 2 == 0


def pbt(rng, study):
    interval, quantile = int(rng.integers(study.steps // 5, study.steps)), float(rng.choice([0.2, 0.5]))
    resample, population = float(rng.choice([0.0, 0.25, 1.0])), int(rng.integers(2, 9)) if rng.random() < 0.3 else None
    made = PBT(interval, quantile, resample=resample, population=population)
    return made, reference.PBT(study, interval, quantile, resample, population, even)


ALGORITHMS = {
    "asha, stopping": lambda rng, study: asha(rng, study, "stopping"),
    "asha, promoting": lambda rng, study: asha(rng, study, "promoting"),
    "successive halving": halving,
    "hyperband": hyperband,
    "median": median,
    "patience": patience,
    "threshold": threshold,
    "pbt": pbt,
}


def rows(report):
    scores = report.score.reshape(len(report.trial), -1 if len(report.trial) else 1)
    columns = (report.trial.tolist(), report.step.tolist(), scores.tolist(), report.finished.tolist())
    return [
        {"trial": trial, "step": step, "score": tuple(score) if np.isfinite(score).all() else (np.inf,) * len(score),
         "finished": finished}
        for trial, step, score, finished in zip(*columns, strict=True)
    ]  # fmt: skip


def compare(name, number, objectives=1, **fixed):
    played = case(number, objectives=objectives, **fixed)
    rng = np.random.default_rng([number, 7])
    scheduler, plain = ALGORITHMS[name](rng, played.study)
    out = play(scheduler, played)
    for position, (report, verdict) in enumerate(out.reports):
        plain.known, plain.configs = report.configs, {}
        wanted = plain.decide(rows(report), report.asked, report.closed)
        wanted = {trial: fate if isinstance(fate, tuple) else (fate, -1) for trial, fate in wanted.items()}
        over = set(report.trial[report.finished].tolist())
        wanted = {trial: fate for trial, fate in wanted.items() if trial not in over}
        assert dict(verdict.configs) == plain.configs, f"{name}, case {number}, report {position}"
        assert decisions(report, verdict) == wanted, f"{name}, case {number}, report {position}: {report}"
    return out, plain


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "pbt"])
def test_decisions_are_those_of_the_reference(name):
    fates = set()
    for number in range(CASES):
        out, plain = compare(name, number)
        fates |= set(out.ends.values())
        if name == "patience":
            assert out.saved == plain.saved, number
    assert fates >= {"complete", "diverged"}
    assert name == "patience" or "stopped" in fates


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("name", ["asha, stopping", "asha, promoting", "successive halving", "hyperband"])
def test_several_objectives_are_ranked_as_the_reference_ranks_them(name, objectives):
    for number in range(100):
        compare(name, number, objectives)


@pytest.mark.parametrize(("objectives", "limit"), [(1, "LATEST"), (2, "LATEST_OF_SEVERAL")])
@pytest.mark.parametrize("name", ["asha, stopping", "asha, promoting"])
def test_of_a_full_rung_the_latest_are_compared(name, objectives, limit, monkeypatch):
    monkeypatch.setattr(asha_module, limit, 4)
    monkeypatch.setattr(reference.ASHA, "latest", 4)
    for number in range(100):
        compare(name, number, objectives)


def test_the_copies_and_changes_of_a_population_are_those_of_the_reference():
    def fits(sources, configs):
        return np.array([even(source, config) for source, config in zip(sources, configs, strict=True)], bool)

    copies = changes = 0
    for number in range(CASES):
        out, _ = compare("pbt", number, space=SPACE, fits=fits, together=number % 4 > 0)
        assert set(out.ends.values()) <= {"complete", "diverged"}
        made = [(report.configs[source], verdict.configs[trial]) for report, verdict in out.reports
                for trial, (_, source) in decisions(report, verdict).items() if source >= 0]  # fmt: skip
        copies += len(made)
        changes += sum(old != new for old, new in made)
    assert copies > changes > 0
