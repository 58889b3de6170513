import re

import pytest

from vtune import proposers
from vtune.errors import ArgumentError
from vtune.space import Float, Int, Space

SPACE = Space(lr=Float(0, 1))


class Mine:
    """A proposer as a user would write it."""

    name = "mine"
    space = SPACE

    def ask(self, n, pending=()):
        return [{"lr": 0.5}] * n

    def tell(self, configs, scores):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass


def test_names_make_what_they_say():
    assert {"grid", "random", "sobol", "tpe"} <= set(proposers.names())
    kinds = {"grid": proposers.Grid, "random": proposers.Random, "sobol": proposers.Sobol, "tpe": proposers.TPE}
    for name, kind in kinds.items():
        assert type(proposers.make(name, SPACE, 7)) is kind
        assert proposers.make(name, SPACE, 7).seed == 7


def test_an_object_is_taken_as_it_is():
    mine = Mine()
    assert proposers.make(mine, Space(lr=Float(0, 1)), 3) is mine


@pytest.mark.parametrize(
    ("proposer", "message"),
    [
        ("tpee", "proposer must be one of .*'grid', .*'random', 'sobol', 'tpe', or an object with .*; got 'tpee'"),
        (None, "proposer must be one of .*'grid', .*; NoneType lacks name, space, ask, tell, state, restore"),
        (proposers.Random, r"got the class Random. Write Random\(space\)"),
        (
            proposers.Random(Space(lr=Int(0, 1))),
            r"proposer 'random' must be made for the space that it is used with, "
            + re.escape("Space(lr=Float(0.0, 1.0)); its own is Space(lr=Int(0, 1))"),
        ),
    ],
)
def test_what_is_no_proposer_is_refused(proposer, message):
    with pytest.raises(ArgumentError, match=message):
        proposers.make(proposer, SPACE)


def test_a_registered_proposer_is_found_by_its_name(monkeypatch):
    monkeypatch.setattr("vtune.proposers.base._REGISTRY", {})

    @proposers.register
    class Other(proposers.Random):
        name = "other"

    assert proposers.names() == ("other",)
    assert type(proposers.make("other", SPACE, 0)) is Other
