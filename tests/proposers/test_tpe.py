import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import active, halved, spaces

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers import TPE, Random, choosing
from vtune.proposers.standing import front
from vtune.space import Choice, Float, Int, Space

SPACE = Space(
    lr=Float(1e-5, 1.0, log=True),
    depth=Int(1, 6),
    optimizer=Choice("sgd", "momentum", "adam"),
    momentum=Float(0.0, 1.0, when={"optimizer": "momentum"}),
)


def error(config):
    """Best at momentum 0.9, lr 1e-2 and depth 4."""
    best = {"sgd": -1.0, "momentum": -2.0, "adam": -3.0}[config["optimizer"]]
    loss = (math.log10(config["lr"]) - best) ** 2 / 4 + 0.1 * (config["depth"] - 4) ** 2
    return loss + (2 * (config["momentum"] - 0.9) ** 2 if "momentum" in config else 0.3)


def play(proposer, rounds, batch, score=error):
    configs, scores = [], []
    for _ in range(rounds):
        asked = proposer.ask(batch)
        told = [score(config) for config in asked]
        proposer.tell(asked, told)
        configs += asked
        scores += told
    return configs, np.array(scores)


def ids(configs):
    return [repr(sorted(config.items())) for config in configs]


@pytest.fixture(scope="module")
def taught():
    """A state after 96 trials."""
    proposer = TPE(SPACE, seed=1)
    play(proposer, 6, 16)
    return json.dumps(proposer.state())


def again(taught):
    proposer = TPE(SPACE, seed=1)
    proposer.restore(json.loads(taught))
    return proposer


def test_it_finds_what_random_search_does_not():
    for seed in range(3):
        _, found = play(TPE(SPACE, seed), 8, 16)
        _, drawn = play(Random(SPACE, seed), 8, 16)
        assert found[64:].mean() < 0.5 * drawn.mean()
        assert np.sort(found)[:16].mean() < np.sort(drawn)[:16].mean()


@settings(max_examples=5, deadline=None)
@given(spaces(most=3, count=6), st.booleans(), st.integers(0, 99), st.integers(1, 40))
def test_every_proposal_lies_in_the_space_and_is_new(space, constrained, seed, n):
    space = halved(space) if constrained else space
    proposer = TPE(space, seed)
    told, _ = play(proposer, 1, 20, lambda config: len(repr(config)))
    configs = proposer.ask(n)
    for config in configs:
        assert space.validate(config) == config
        assert set(config) == active(space, space.fill([config])[0])
    assert len(set(ids(told + configs))) == len(told + configs)
    assert len(configs) == n or space.size is not None
    assert len(proposer.origins()) == len(configs)


def test_a_finite_space_is_proposed_whole_and_then_no_more():
    space = Space(a=Int(0, 9), b=Choice("x", "y"), c=Int(0, 4, when={"b": "x"}))
    proposer = TPE(space, 0)
    configs, _ = play(proposer, 8, 9, lambda config: config["a"])
    assert len(configs) == len(set(ids(configs))) == space.size == 60
    assert proposer.ask(3) == []
    assert proposer.origins() == []


def test_pending_configs_are_neither_proposed_nor_crowded(taught):
    one, two = again(taught), again(taught)
    pending = one.ask(16)
    more = two.ask(16, pending)
    assert not set(ids(pending)) & set(ids(more))
    third = again(taught).ask(16)
    assert third == pending

    def gap(configs):
        one, other = (SPACE.to_unit(batch)[:, None, :] for batch in (configs, pending))
        return np.nanmean(np.abs(one - other.swapaxes(0, 1)), axis=2).min(axis=1).mean()

    assert gap(more) > 0


def test_a_large_batch_spreads(taught):
    configs = again(taught).ask(256)
    assert len(set(ids(configs))) == 256
    unit = SPACE.to_unit(configs)
    assert (np.nanstd(unit[:, [0, 1, 3]], axis=0) > 0.03).all()
    apart = np.abs(unit[:, None, 0] - unit[None, :, 0]) + np.eye(256)
    assert np.median(apart.min(axis=1)) > 1e-5


def test_no_proposals_where_trials_diverge():
    proposer = TPE(SPACE, 0)
    configs, _ = play(proposer, 10, 16, lambda config: math.nan if config["lr"] > 1e-3 else 1.0 + config["depth"])
    bad = np.array([config["lr"] > 1e-3 for config in configs])
    assert bad[:16].mean() > 0.3
    assert bad[-64:].mean() < 0.2


@pytest.mark.parametrize("score", [1.0, math.nan, -math.inf])
def test_scores_that_say_nothing_leave_it_searching(score):
    configs, _ = play(TPE(SPACE, 0), 4, 16, lambda config: score)
    assert len(set(ids(configs))) == 64
    assert (np.nanstd(SPACE.to_unit(configs)[32:], axis=0) > 0.15).all()


def test_a_state_goes_on_exactly(taught):
    one, two = again(taught), again(taught)
    assert one.state() == two.state()
    assert play(one, 2, 7)[0] == play(two, 2, 7)[0]
    assert one.origins() == two.origins()
    assert json.loads(json.dumps(one.state(), allow_nan=False)) == one.state()


def test_what_is_told_at_once_or_bit_by_bit_is_the_same():
    configs = SPACE.sample(60, np.random.default_rng(0))
    scores = np.array([error(config) for config in configs])
    whole, parts = TPE(SPACE, 3), TPE(SPACE, 3)
    whole.tell(configs, scores)
    for start, end in ((0, 1), (1, 1), (1, 40), (40, 60)):
        parts.tell(configs[start:end], scores[start:end])
        parts.state()
    assert whole.ask(16) == parts.ask(16)
    assert whole.state() == parts.state()


def test_asking_again_gives_others(taught):
    proposer = again(taught)
    assert proposer.ask(1) != proposer.ask(1)


def test_only_the_order_of_scores_matters(taught):
    configs = SPACE.sample(40, np.random.default_rng(0))
    scores = np.array([error(config) for config in configs])
    one, two = TPE(SPACE, 3), TPE(SPACE, 3)
    one.tell(configs, scores)
    two.tell(configs, np.exp(3 * scores))
    assert one.ask(8) == two.ask(8)


def test_origins_say_where_configs_are_from(taught):
    fresh = TPE(SPACE, 0)
    fresh.ask(3)
    assert fresh.origins() == [{"model": "prior"}] * 3
    proposer = again(taught)
    told = proposer.state()["history"]
    configs = proposer.ask(32)
    origins = json.loads(json.dumps(proposer.origins(), allow_nan=False))
    assert {origin["model"] for origin in origins} == {"tpe"}
    assert all(math.isfinite(origin["gain"]) for origin in origins)
    gains = [origin["gain"] for origin in origins if "neglected" not in origin]
    assert np.mean(gains[:8]) > np.mean(gains[-8:])
    parents = [origin["parents"][0] for origin in origins if "neglected" not in origin and origin["parents"]]
    assert len(parents) > 16
    other = TPE(SPACE, 1)
    other.restore({**again(taught).state(), "history": told})
    scores = np.array([error(config) for config in SPACE.from_unit(other._history.unit)])
    assert scores[parents].max() < np.median(scores), "parents are good trials"
    assert len(configs) == len(origins)


def test_several_objectives_are_searched_along_their_front():
    space = Space(x=Float(-4.0, 6.0), **{f"y{i}": Float(-1.0, 1.0) for i in range(3)})

    def both(config):
        rest = sum(config[f"y{i}"] ** 2 for i in range(3))
        return [config["x"] ** 2 + rest, (config["x"] - 2) ** 2 + rest]

    def volume(scores):
        kept = scores[front(scores) & (scores < 6).all(axis=1)]
        kept = kept[np.argsort(kept[:, 0])]
        return float(((6 - kept[:, 0]) * (np.append(6, kept[:-1, 1]) - kept[:, 1])).sum())

    for seed in range(2):
        _, found = play(TPE(space, seed), 8, 16, both)
        _, drawn = play(Random(space, seed), 8, 16, both)
        assert volume(found) > volume(drawn) + 1
        near = found[64:]
        assert (near.min(axis=0) < 0.5).all(), "both ends of the front are looked at"


def test_trials_that_were_stopped_early_teach():
    configs = SPACE.sample(64, np.random.default_rng(0))
    scores = np.array([error(config) for config in configs])
    kept = scores <= np.quantile(scores, 0.25)
    both, only = TPE(SPACE, 0), TPE(SPACE, 0)
    both.tell(configs, scores + 1, steps=np.full(64, 10))
    at_end = [config for config, keep in zip(configs, kept, strict=True) if keep]
    for proposer in (both, only):
        proposer.tell(at_end, scores[kept], steps=np.full(kept.sum(), 90))
    found = [np.mean([error(config) for config in proposer.ask(32)]) for proposer in (both, only)]
    assert found[0] < 0.5 * scores.mean()
    assert found[0] < found[1] + 0.1


def test_a_history_of_any_length_meets_few_compiled_shapes(monkeypatch):
    space = Space(x=Float(0.0, 1.0), c=Choice("a", "b", "c", "d", "e", "f", "g"))
    traced = []
    monkeypatch.setattr(
        choosing, "_features", lambda *a, inner=choosing._features, **k: traced.append(1) or inner(*a, **k)
    )
    proposer, rng = TPE(space, 0), np.random.default_rng(0)
    seen = []
    for count in (20, 40, 100, 150, 600, 2000, 4000):
        configs = space.sample(count, rng)
        proposer.tell(configs, rng.random(count))
        proposer.ask(5)
        proposer.ask(60)
        seen.append(len(traced))
    assert seen == [1, 1, 2, 3, 3, 3, 3], "up to 64, 256 and 1,024 rows"


def test_what_it_cannot_be_made_of_is_refused():
    with pytest.raises(ArgumentError, match=r"space must be a vtune.Space; got 3"):
        TPE(3)
    with pytest.raises(ArgumentError, match="steps must be one number >= 0 for each of the 1 configs"):
        TPE(SPACE).tell(TPE(SPACE).ask(1), [1.0], steps=[1, 2])


def test_the_state_of_another_space_is_refused(taught):
    proposer = TPE(Space(lr=Float(0, 1)), seed=1)
    with pytest.raises(ProposerError, match="a state's history must have the hyperparameters lr"):
        proposer.restore(json.loads(taught))
