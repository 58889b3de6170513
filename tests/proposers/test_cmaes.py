"""CMA-ES: it finds minima of mixed spaces, in any batches, goes on exactly, and starts again when it has converged."""

import json

import numpy as np
import pytest

from vtune.proposers import CMAES, Random
from vtune.space import Choice, Float, Int, Space

MIXED = Space(
    x=Float(-5.0, 5.0),
    y=Float(-5.0, 5.0),
    lr=Float(1e-4, 1e2, log=True),
    depth=Int(1, 20),
    kind=Choice("a", "b", "c"),
    m=Float(0.0, 1.0, when={"kind": "b"}),
)
VALLEY = Space(x=Float(-2.0, 2.0), y=Float(-2.0, 2.0))


def mixed(config):
    curved = (config["x"] - 1) ** 2 + (config["y"] + config["x"]) ** 2 + (np.log10(config["lr"]) + 1) ** 2
    return curved + 0.1 * (config["depth"] - 13) ** 2 + {"a": 1, "b": 0, "c": 2}[config["kind"]] + config.get("m", 1)


def best_of(proposer, score, batch, rounds):
    best = np.inf
    for _ in range(rounds):
        configs = proposer.ask(batch)
        scores = [score(config) for config in configs]
        proposer.tell(configs, scores)
        best = min(best, *scores)
    return best


@pytest.mark.parametrize(("batch", "rounds"), [(1, 150), (16, 20), (64, 5)])
def test_it_is_far_better_than_random_search_in_batches_of_any_size(batch, rounds):
    found = [best_of(CMAES(MIXED, seed), mixed, batch, rounds) for seed in range(3)]
    at_random = [best_of(Random(MIXED, seed), mixed, batch, rounds) for seed in range(3)]
    assert np.median(found) < np.median(at_random) / 3


def test_it_learns_from_scores_that_come_late_and_shuffled_and_goes_on_exactly_from_there():
    rng = np.random.default_rng(0)
    first, waiting = CMAES(MIXED, seed=3), []
    for _ in range(40):
        waiting += first.ask(int(rng.integers(0, 9)), waiting)
        rng.shuffle(waiting)
        told, waiting = waiting[:5], waiting[5:]
        first.tell(told, [mixed(config) if rng.random() > 0.1 else np.nan for config in told])
    second = CMAES(MIXED, seed=3)
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    for proposer in (first, second):
        proposer.tell(waiting, [mixed(config) for config in waiting])
    asked = first.ask(20)
    assert second.ask(20) == asked
    assert asked != CMAES(MIXED, seed=3).ask(20)
    assert first.origins()[-1]["generation"] > 5


def test_it_starts_again_elsewhere_once_it_has_converged():
    proposer = CMAES(VALLEY, seed=0)
    for _ in range(150):
        configs = proposer.ask(8)
        proposer.tell(configs, [config["x"] ** 2 + config["y"] ** 2 for config in configs])
    origin = proposer.origins()[0]
    assert origin["run"] >= 1
    again = CMAES(VALLEY, seed=0)
    again.restore(proposer.state())
    assert again.ask(8) == proposer.ask(8)


def test_a_small_space_is_proposed_whole_and_once():
    space = Space(a=Int(0, 3), b=Choice("x", "y", "z"), c=Choice("only"), d=Int(1, 2, when={"b": "y"}))
    proposer, found = CMAES(space, seed=0), []
    while configs := proposer.ask(5):
        proposer.tell(configs, [config["a"] + ord(config["b"]) for config in configs])
        found += configs
    assert len(found) == 16
    assert len({json.dumps(config, sort_keys=True) for config in found}) == 16


def test_what_others_tried_says_where_to_begin():
    rng = np.random.default_rng(0)
    tried = VALLEY.sample(200, rng)
    informed, fresh = CMAES(VALLEY, seed=0), CMAES(VALLEY, seed=0)
    target = {"x": 1.5, "y": -1.5}
    informed.tell(tried, [abs(c["x"] - target["x"]) + abs(c["y"] - target["y"]) for c in tried])

    def away(configs):
        return np.mean([abs(c["x"] - target["x"]) + abs(c["y"] - target["y"]) for c in configs])

    assert away(informed.ask(32)) < away(fresh.ask(32)) / 2


def test_several_objectives_are_ranked_by_fronts():
    proposer = CMAES(VALLEY, seed=0)
    for _ in range(12):
        configs = proposer.ask(16)
        proposer.tell(configs, [[(c["x"] - 1) ** 2 + c["y"] ** 2, (c["x"] + 1) ** 2 + c["y"] ** 2] for c in configs])
    last = proposer.ask(32)
    assert np.mean([abs(config["y"]) for config in last]) < 0.3
