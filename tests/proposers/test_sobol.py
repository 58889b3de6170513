import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from vtune.errors import ArgumentError, SpaceError
from vtune.proposers import Random, Sobol
from vtune.space import Choice, Float, Int, Space

ROOT = Path(__file__).parents[2]
FREE = Space(x=Float(0, 1), y=Float(0, 1), z=Float(0, 1))
BOUND = Space(
    a=Float(0, 1),
    c=Choice("x", "y"),
    d=Int(0, 9, when={"c": "y"}),
    constraints=lambda config: config["a"] < 0.2,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=5), st.sampled_from([FREE, BOUND]), st.integers(0, 2**40))
def test_points_do_not_depend_on_the_batches(sizes, space, seed):
    whole, parts = Sobol(space, seed), Sobol(space, seed)
    assert whole.ask(sum(sizes)) == [config for size in sizes for config in parts.ask(size)]


def test_points_are_those_of_scipy():
    expected = qmc.Sobol(3, scramble=True, rng=5).random(64)
    np.testing.assert_array_equal(FREE.to_unit(Sobol(FREE, seed=5).ask(64)), expected)


def test_points_lie_more_evenly_than_random_ones():
    sobol, random = (FREE.to_unit(kind(FREE, seed=0).ask(256)) for kind in (Sobol, Random))
    assert qmc.discrepancy(sobol) < qmc.discrepancy(random) / 4


def test_every_value_of_a_discrete_space_comes_equally_often():
    space = Space(a=Choice("x", "y"), b=Int(1, 8))
    pairs = [(config["a"], config["b"]) for config in Sobol(space, seed=2).ask(64)]
    assert all(pairs.count(pair) == 4 for pair in set(pairs))
    assert len(set(pairs)) == 16


def test_points_that_fail_a_constraint_are_skipped():
    free = Space(a=Float(0, 1), c=Choice("x", "y"), d=Int(0, 9, when={"c": "y"}))
    expected = [config for config in Sobol(free, seed=1).ask(2000) if config["a"] < 0.2]
    assert Sobol(BOUND, seed=1).ask(len(expected)) == expected


def test_the_end_of_the_sequence_is_the_end():
    proposer = Sobol(FREE, seed=0)
    proposer.restore({**proposer.state(), "position": 2**30 - 3})
    assert len(proposer.ask(10)) == 3
    assert proposer.ask(10) == []


def test_what_cannot_be_is_refused():
    with pytest.raises(SpaceError, match=r"none of 100,\d+ .*'<lambda>'"):
        Sobol(Space(a=Float(0, 1), constraints=lambda config: False)).ask(3)
    with pytest.raises(ArgumentError, match="up to 21201 hyperparameters; got 21202"):
        Sobol(Space(**{f"p{i}": Int(0, 1) for i in range(21_202)}))


SCRIPT = """
import numpy
from vtune.errors import ProposerError
from vtune.proposers import Sobol
from vtune.space import Float, Space

def gone(*ignored, **named):
    raise KeyboardInterrupt

load, numpy.load = numpy.load, gone
sobol = Sobol(Space(x=Float(0.0, 1.0)), seed=0)
try:
    sobol.ask(4)
except ProposerError as error:
    print(error)
numpy.load = load
print(len({config["x"] for config in sobol.ask(4)}))
"""


def test_points_that_scipy_could_not_make_are_an_error_and_not_points():
    """SciPy drops an error, and a Ctrl-C, that comes while it reads its table, which it does once a process."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-2:] == [
        "SciPy could not read the direction numbers of Sobol points: ask again", "4"
    ], done.stderr  # fmt: skip
