"""Lanes divided among eight devices (simulated on a CPU) against all lanes on one."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from on_devices import answered

import vtune
from vtune.engine import probe
from vtune.engine.devices import devices_of
from vtune.errors import ArgumentError

DEVICES = 8
STUDIES = ("every trial in full", "pbt", "seeds")


@pytest.fixture(scope="module")
def both() -> tuple[dict, dict]:
    return answered("devices_study.py", 1), answered("devices_study.py", DEVICES)


@pytest.mark.parametrize("study", STUDIES)
def test_results_are_those_of_one_device(both, study):
    one, many = (found["studies"][study] for found in both)
    assert many["trial"] == one["trial"]
    assert many["step"] == one["step"]
    np.testing.assert_allclose(many["loss"], one["loss"], rtol=2e-4)


def test_lanes_are_the_same_number_on_every_device(both):
    assert both[1]["devices"] == DEVICES
    assert all(found["lanes"] % DEVICES == 0 for found in both[1]["studies"].values())


def test_devices_exchange_nothing_while_they_train(both):
    assert both[1]["collectives"] == []


@pytest.mark.parametrize(
    ("lanes", "block", "replicas", "expected"),
    [(100, "auto", 1, (104, 1)), ("auto", 12, 1, (16, 1)), (48, 16, 1, (16, 3)), ("auto", 20, 3, (24, 1))],
)
def test_uneven_numbers_are_rounded_up(lanes, block, replicas, expected):
    strategy, blocks = probe.choose(
        bytes_per_lane=1024, trials=1000, threads=2, lanes=lanes, block=block, strategy="vmap", replicas=replicas,
        devices=DEVICES,
    )  # fmt: skip
    assert (strategy.block, blocks) == expected
    assert strategy.devices == DEVICES


def test_more_devices_than_there_are_is_an_error():
    here = jax.local_device_count()
    with pytest.raises(ArgumentError, match=f"from 1 to {here}"):
        devices_of(here + 1)
    with pytest.raises(ArgumentError, match="devices must be"):
        vtune.Study(vtune.Function(lambda hp, key: {"loss": hp.x}), vtune.Space(x=vtune.Float(0, 1)), devices="two")
