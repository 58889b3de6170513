"""The fixture `record_fault`: counts the faults that tests have tried, for `make faults`."""

import json
import os
from pathlib import Path

import pytest
from faults.kinds import KINDS

RECORDS = Path(__file__).parents[2] / "build" / "faults.jsonl"


@pytest.fixture
def record_fault(request):
    """`record_fault(kind, n, losses=0)`: n faults of a kind were tried, and so many of them lost something.

    What is lost must also fail the test: `make faults` writes no table then. Several processes may append at once,
    since a line is one write.
    """
    tried = []

    def record(kind: str, n: int = 1, losses: int = 0) -> None:
        if kind not in KINDS:
            raise KeyError(f"{kind!r} must be one of tests/faults/kinds.py: {', '.join(KINDS)}")
        test = request.node.nodeid.split("[")[0]
        tried.append({"kind": kind, "test": test, "tried": n, "losses": losses})

    yield record
    RECORDS.parent.mkdir(exist_ok=True)
    with RECORDS.open("ab", buffering=0) as file:
        for line in tried:
            file.write(json.dumps(line).encode() + os.linesep.encode())


def pytest_collection_modifyitems(items):
    """Marks the tests that record faults, so that `make faults` runs those alone."""
    for item in items:
        if "record_fault" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.faults)
