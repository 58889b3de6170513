"""How many trials Bayesian search with early stopping needs to reach what random search finds in four times as many.

The task is that of experiments/digits.py. A trial counts whether it was stopped early or not. Trials are counted, not
time: Bayesian search trains a few at once, so that it learns from each before it proposes many more. The score is the
validation loss, or with `--metric accuracy` that of the main job, which has few values on 359 examples: an equal one
counts as reached. The best of the other is told beside it.

The same configuration trained again has another score, and the best of a thousand trials owes much to that. So what a
search chose is also trained some more times with other keys: their mean is what the search has really found.

How well the model foresaw scores is told too: the share of whole trials within two deviations of what it expected when
it proposed them (the noise of a trial is not in that deviation), and the rank correlation of the two.

usage: python experiments/bench_reach.py [--metric loss] [--trials 1024] [--steps 500] [--seeds 0 1 2 3 4] [--out FILE]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from digits import SPACE, digits

import vtune
from vtune.settings import objectives
from vtune.store import Reader, open_reader
from vtune.store.summaries import proposals

RESULTS = Path(__file__).parent / "results"
SHARE = 4
"""Random search has so many times the trials."""

AGAIN = 32
"""Times that what a search chose is trained once more."""

METRICS = "loss", "accuracy"
"""What may be the score."""


def search(seed: int, metric: str, steps: int, **choices: Any) -> vtune.Study:
    return vtune.tune(
        digits(), SPACE, metric=metric, steps=steps, eval_every=max(1, steps // 6), seed=seed, progress="off", **choices
    )


def best(study: vtune.Study) -> dict[str, Any]:
    """The best scores of the complete trials, and what they took."""
    frame = study.frame()
    complete = frame[frame["state"] == "complete"]
    return {
        "trials": len(frame),
        "complete": len(complete),
        "steps": int(frame["step"].sum()),
        "loss": float(complete["loss"].min()),
        "accuracy": float(complete["accuracy"].max()),
        "seconds": round(study.explain().seconds["total"], 1),
    }


def again(config: dict[str, Any], seed: int, metric: str, steps: int, times: int) -> dict[str, float]:
    """Mean and deviation of the scores of a configuration that is trained several times."""
    study = search(seed, metric, steps, trials=times, lanes=min(times, 32), enqueue=[config] * times)
    scores = study.frame()["score"]
    return {"again": float(scores.mean()), "deviation": float(scores.std())}


def improvements(study: vtune.Study) -> list[tuple[int, float]]:
    """Each time a complete trial was better than all before: the trials begun by then, and its score."""
    frame = study.placement().merge(study.frame()[["id", "score"]], on="id")
    complete = frame[frame["state"] == "complete"].sort_values("finished")
    costs = study.settings.objectives[0].sign * complete["score"]
    better = complete[costs < costs.cummin().shift(fill_value=np.inf)]
    begun = [(frame["started"] <= finished).sum() for finished in better["finished"]]
    return list(zip(map(int, begun), better["score"].tolist(), strict=True))


def foresight(reader: Reader, study: vtune.Study) -> dict[str, float]:
    """How near what a model expected of complete trials is to what they came to; nothing without a model."""
    frame = proposals(reader, study.record.id or 0)
    frame = frame[(frame["state"] == "complete") & frame["mean"].notna()]
    if frame.empty:
        return {}
    expected, score = study.settings.objectives[0].sign * frame["mean"], frame["score"]
    within = ((score - expected).abs() <= 2 * frame["deviation"]).mean()
    return {"foreseen": float(within), "correlation": float(expected.corr(score, "spearman"))}


def reached(found: list[tuple[int, float]], target: float, sign: float = 1.0) -> int | None:
    """Trials that had begun when the first was at least as good; None if none was."""
    return next((begun for begun, score in found if sign * score <= sign * target), None)


def searches(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """What is searched: random search, and a share of its trials for the other."""
    half = max(1, options.steps // 2)
    early = vtune.schedulers.ASHA(min_steps=half, reduction=2)
    return {
        "random": {"trials": options.trials, "lanes": options.lanes},
        "bayes and asha": {
            "trials": options.trials // SHARE,
            "lanes": options.few,
            "proposer": "bayes",
            "scheduler": early,
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--metric", choices=METRICS, default="loss", help="what the score is")
    parser.add_argument("--trials", type=int, default=1024, help="of random search")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--lanes", type=int, default=32, help="of random search")
    parser.add_argument("--few", type=int, default=8, help="lanes of Bayesian search")
    parser.add_argument(
        "--replicas", type=int, default=1, help="times that a trial is trained, for a score with less luck"
    )
    parser.add_argument("--again", type=int, default=AGAIN, help="times that what a search chose is trained once more")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=RESULTS / "reach.json", help="what it holds is not done again")
    options = parser.parse_args()
    setting = {name: getattr(options, name) for name in ("metric", "trials", "steps", "lanes", "few", "replicas")}
    report = json.loads(options.out.read_text()) if options.out.exists() else {}
    if report.get("setting") != setting:
        report = {"setting": setting, "searches": {}}
    report |= {"date": f"{datetime.date.today()}", "jax": jax.__version__, "cpus": os.cpu_count()}
    for seed in options.seeds:
        done = report["searches"].setdefault(str(seed), {})
        for name, choices in searches(options).items():
            if name not in done:
                with TemporaryDirectory() as folder:
                    store = f"{folder}/reach.db"
                    study = search(seed, options.metric, options.steps, store=store, seeds=options.replicas, **choices)
                    with open_reader(store) as reader:
                        foreseen = foresight(reader, study)
                    chosen = again(study.best.config, 1_000 + seed, options.metric, options.steps, options.again)
                    done[name] = best(study) | foreseen | chosen | {"improvements": improvements(study)}
                options.out.write_text(json.dumps(report, indent=1) + "\n")
                print(
                    seed, name, {key: value for key, value in done[name].items() if key != "improvements"}, flush=True
                )
    show(report, options.trials, options.metric)


def show(report: dict[str, Any], trials: int, metric: str) -> None:
    few, counts, (goal,) = trials // SHARE, [], objectives(metric, None)
    heads = f"random {few}", f"random {trials}", "again", f"bayes {few}", "again"
    print(f"{'seed':>4} {' '.join(f'{head:>12}' for head in heads)}   reached after")
    for seed, done in report["searches"].items():
        if len(done) < 2:
            continue
        at_random, ours = done["random"], done["bayes and asha"]
        early = [score for begun, score in at_random["improvements"] if begun <= few]
        counts.append(reached(ours["improvements"], at_random[metric], goal.sign))
        figures = early[-1] if early else np.nan, at_random[metric], at_random["again"], ours[metric], ours["again"]
        print(f"{seed:>4} {' '.join(f'{figure:12.4f}' for figure in figures)}   {counts[-1] or 'not'}")
    share = sum(done["bayes and asha"]["steps"] for done in report["searches"].values() if len(done) == 2)
    share /= max(1, sum(done["random"]["steps"] for done in report["searches"].values() if len(done) == 2))
    hits = sum(count is not None for count in counts)
    for name, words in (
        ("foreseen", "complete trials within two deviations of"),
        ("correlation", "rank correlation with"),
    ):
        found = [done["bayes and asha"].get(name, np.nan) for done in report["searches"].values() if len(done) == 2]
        print(f"{words} what was expected: {', '.join(f'{each:.2f}' for each in found)}")
    print(f"Reached within a quarter of the trials in {hits} of {len(counts)} searches; {share:.0%} of the steps.")


if __name__ == "__main__":
    main()
