"""The notebook for TPUs runs on eight simulated devices, and goes on in a new session after its machine is lost."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

manager = pytest.importorskip("jupyter_client.manager")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
pytest.importorskip("sklearn")

import vtune  # noqa: E402
from vtune.store import open_reader  # noqa: E402

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "experiments" / "tpu_sweep.ipynb"
DEVICES, TRIALS = 8, 64
SLOW = """
import time
from vtune.store import Writer
commit = Writer.commit
Writer.commit = lambda *given: (commit(*given), time.sleep(0.4))[0]
"""
"""A disk that is so slow that there is time to lose the session in the middle of the sweep."""


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


class Session:
    """A machine with a notebook's kernel: its local disk is its own, the drive is everybody's."""

    def __init__(self, local: Path, drive: Path, cache: Path):
        path = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
        environment = {
            **os.environ, "PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1", "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}", "VTUNE_CACHE": str(cache),
            "SWEEP_LOCAL": str(local), "SWEEP_KEEP": str(drive), "SWEEP_TRIALS": f"{TRIALS}", "SWEEP_STEPS": "135",
            "SWEEP_LANES": "16", "SWEEP_EVERY": "0.2",
        }  # fmt: skip
        self.kernel, self.client = manager.start_new_kernel(kernel_name="python3", env=environment, cwd=str(local))
        self.outputs: list[dict] = []

    def run(self, source: str) -> str:
        """Runs a cell; "ok", or what went wrong."""
        reply = self.client.execute_interactive(source, output_hook=self.outputs.append, timeout=240)["content"]
        return reply["status"] if reply["status"] == "ok" else f"{reply.get('ename')}: {reply.get('evalue')}"

    def lose(self) -> None:
        """What happens when a session is lost: nothing runs any more, and nothing was told to end."""
        self.kernel.shutdown_kernel(now=True)
        self.client.stop_channels()

    @property
    def shown(self) -> str:
        return json.dumps([message["content"] for message in self.outputs if message["msg_type"] != "status"])


def cells(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def ended(store: Path) -> int:
    if not store.exists():
        return 0
    with open_reader(store) as reader:
        counts = [reader.counts(study.id) for study in reader.studies()]
    return sum(n for one in counts for state, n in one.items() if state not in ("waiting", "running"))


def test_the_notebook_is_well_formed_and_stores_no_outputs(notebook):
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if "outputs" in cell)


def test_a_sweep_survives_the_loss_of_its_session(notebook, tmp_path):
    locals_, drive, cache = [tmp_path / "one", tmp_path / "two"], tmp_path / "drive", tmp_path / "cache"
    for local in locals_:
        local.mkdir()
    copy = drive / "sweep.db"

    first = Session(locals_[0], drive, cache)
    sweep = next(n for n, source in enumerate(cells(notebook)) if "vtune.tune(" in source)
    for source in cells(notebook)[:sweep]:
        assert first.run(source) == "ok"
    assert "8 device(s)" in first.shown
    assert first.run(SLOW) == "ok"
    first.client.execute(cells(notebook)[sweep])
    deadline = time.monotonic() + 200
    while not ended(copy) and time.monotonic() < deadline:
        time.sleep(0.02)
    first.lose()
    before = vtune.load(copy, study_name(copy)).frame().set_index("id")
    over = before[before["state"].isin(["complete", "stopped", "diverged"])]
    assert 0 < len(over) < TRIALS

    second = Session(locals_[1], drive, cache)
    try:
        for source in cells(notebook):
            assert second.run(source) == "ok", source
    finally:
        second.lose()
    study = vtune.load(copy, study_name(copy))
    frame = study.frame().set_index("id")
    assert study.state == "complete"
    assert frame.index.tolist() == list(range(TRIALS))
    assert frame.loc[over.index, over.columns].equals(over)
    assert "application/vnd.plotly.v1+json" in second.shown
    assert "of all digits" in second.shown


def study_name(store: Path) -> str:
    with open_reader(store) as reader:
        return reader.studies()[0].name
