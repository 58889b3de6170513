"""Packed networks train like the small plain ones, in every bucket: the same suite for every shell."""

import jax
import numpy as np
import pytest
from nn.packed_cases import CAPS, CASES, QUICK, RUNS, STEPS, WIDTHS, packed, small

LOSSES = {"sgd": 2e-4, "adam": 2e-4, "clipped": 2e-3}
"""Relative tolerance of each of the 50 losses, which fall by up to five orders of magnitude."""


def marks(slow):
    return [pytest.mark.slow] if slow else []


runs = pytest.mark.parametrize(
    ("shell", "case", "optimizer"), [pytest.param(*run, marks=marks(run not in QUICK)) for run in RUNS]
)
buckets = pytest.mark.parametrize("cap", [pytest.param(cap, marks=marks(cap != CAPS[0])) for cap in CAPS])


@pytest.fixture(autouse=True)
def highest_precision():
    with jax.default_matmul_precision("highest"):
        yield


def pairs(shell, case, optimizer, cap):
    """(a lane of the packed program without its padding, the small network)."""
    found, _ = packed(shell, case, optimizer, cap)
    return [(found.lane(at), alone) for at, alone in enumerate(small(shell, case, optimizer))]


@runs
@buckets
def test_params_begin_with_the_values_and_paths_of_the_small_network(shell, case, optimizer, cap):
    for lane, alone in pairs(shell, case, optimizer, cap):
        assert lane.params.keys() == alone.params.keys()
        assert lane.count == alone.count
        for path, values in alone.params.items():
            np.testing.assert_allclose(lane.params[path], values, rtol=1e-6, atol=1e-6, err_msg=path)


@runs
@buckets
def test_losses_are_those_of_the_small_network(shell, case, optimizer, cap):
    for lane, alone in pairs(shell, case, optimizer, cap):
        assert np.isfinite(alone.losses).all()
        assert len(alone.losses) == STEPS
        np.testing.assert_allclose(lane.losses[0], alone.losses[0], rtol=2e-6)
        np.testing.assert_allclose(lane.losses, alone.losses, rtol=LOSSES[optimizer], atol=1e-6)


@runs
@buckets
def test_gradients_of_padding_are_exactly_zero_at_every_step(shell, case, optimizer, cap):
    assert not packed(shell, case, optimizer, cap)[0].outside.any()


@runs
@buckets
def test_trained_params_outputs_and_statistics_are_those_of_the_small_network(shell, case, optimizer, cap):
    for lane, alone in pairs(shell, case, optimizer, cap):
        np.testing.assert_allclose(lane.norms[0], alone.norms[0], rtol=1e-5)
        np.testing.assert_allclose(lane.outputs, alone.outputs, rtol=1e-3, atol=1e-4)
        assert lane.extra.keys() == alone.extra.keys()
        for path, values in (alone.trained | alone.extra).items():
            np.testing.assert_allclose((lane.trained | lane.extra)[path], values, rtol=1e-3, atol=1e-4, err_msg=path)


@runs
@buckets
def test_one_program_serves_every_config(shell, case, optimizer, cap):
    _, session = packed(shell, case, optimizer, cap)
    packed_names = {"features", "width", "depth", "activation", "kernel_init"}
    kinds = session.kinds()
    assert {kinds[name] for name in packed_names & kinds.keys()} == {"packed"}
    assert {kinds[name] for name in ("dropout", "rate", "lr") if name in kinds} == {"traced"}


@runs
@pytest.mark.slow
def test_the_same_trial_is_the_same_in_every_bucket(shell, case, optimizer):
    narrow, wide = (packed(shell, case, optimizer, cap)[0] for cap in CAPS)
    for at in range(len(CASES[case].configs)):
        one, other = narrow.lane(at), wide.lane(at)
        assert one.params.keys() == other.params.keys()
        np.testing.assert_allclose(one.losses, other.losses, rtol=LOSSES[optimizer], atol=1e-6)


def test_the_widths_of_the_guide_are_covered():
    assert {config["features"] for config in CASES["structure"].configs} == set(WIDTHS) == {10, 30, 50, 70, 90}
