"""What the compiled chunk of eight devices holds: each trains its own lanes, and none sends the others anything."""

from __future__ import annotations

import pytest
from on_devices import answered

DEVICES = 8


@pytest.fixture(scope="module")
def found() -> dict:
    return answered("devices_programs.py", DEVICES)


PROGRAMS = ("mlp, vmapped", "mlp, one after another", "cnn, patches", "cnn, direct", "cnn of halves")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_chunk_holds_no_collective(found, program):
    assert found[program]["devices"] == DEVICES
    assert found[program]["loops"] > 0
    assert found[program]["collectives"] == []


def test_a_sum_over_lanes_would_be_found(found):
    assert found["a sum over lanes"]["collectives"] != []
