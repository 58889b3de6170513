import json

import numpy as np
import pytest

from vtune.errors import ProposerError
from vtune.proposers import GP, TPE, Bayes, Random
from vtune.space import Choice, Float, Space

SPACE = Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0), kind=Choice("a", "b"))


def score(config):
    return config["x"] ** 2 + config["y"] ** 2 + 0.1 * (config["kind"] == "b")


def learned(proposer, n, seed=5):
    configs = Random(SPACE, seed).ask(n)
    proposer.tell(configs, [score(config) for config in configs])
    return proposer


@pytest.fixture
def small(monkeypatch):
    """With a history of 64 and a batch of 32 the Gaussian process gives up."""
    monkeypatch.setattr("vtune.proposers.bayes.TOLD", 64)
    monkeypatch.setattr("vtune.proposers.bayes.BATCH", 32)


def test_it_proposes_what_the_gaussian_process_would():
    assert learned(Bayes(SPACE, 1), 40).ask(6) == learned(GP(SPACE, 1), 40).ask(6)


@pytest.mark.usefixtures("small")
def test_a_long_history_or_a_large_batch_goes_to_parzen_estimators():
    bayes = learned(Bayes(SPACE, 1), 40)
    assert (len(bayes.ask(40)), bayes.model) == (40, "tpe")
    assert bayes.promise() is None
    assert (len(bayes.ask(4)), bayes.model) == (4, "gp")
    assert bayes.promise()[0] > 0
    learned(bayes, 40, seed=6)
    configs = bayes.ask(4)
    assert bayes.model == "tpe"
    assert np.mean([score(config) for config in configs]) < 0.5
    assert [origin["model"] for origin in bayes.origins()] == ["tpe"] * 4


@pytest.mark.usefixtures("small")
def test_what_was_told_to_one_the_other_knows():
    bayes, tpe = Bayes(SPACE, 1), TPE(SPACE, 1)
    for proposer in (bayes, tpe):
        learned(learned(proposer, 40), 40, seed=6)
    assert bayes.ask(4) == tpe.ask(4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("told", [40, 80])
def test_a_state_goes_on_with_the_model_that_it_had(told):
    first, second = learned(Bayes(SPACE, 1), told), Bayes(SPACE, 1)
    first.ask(3)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.ask(3) == first.ask(3)
    assert second.model == first.model


def test_spaces_of_many_hyperparameters_go_to_parzen_estimators():
    bayes = Bayes(Space(**{f"x{i}": Float(0.0, 1.0) for i in range(65)}), 0)
    assert (len(bayes.ask(3)), bayes.model) == (3, "tpe")


def test_a_state_without_a_history_is_refused():
    bayes = Bayes(SPACE, 1)
    with pytest.raises(ProposerError, match="history must have"):
        bayes.restore({"name": "bayes", "seed": 1, "asked": 3})
