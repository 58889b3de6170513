"""In a notebook's kernel a run shows one output that is redrawn, and objects show themselves as tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[2]
RUN = """
from vtune.display.progress import Display, Status
with Display("digits <b>1</b>", "loss") as display:
    display.say("tracing program 1")
    for ended in range(201):
        display.show(Status(ended, 200, ended / 200, 3, 0.25, 0.9), last=ended == 200)
"""
SHOW = """
from vtune.records import Trial, TrialState
Trial(7, {"lr": 0.1, "act": "<b>relu</b>"}, TrialState.COMPLETE, step=10, score=0.5, metrics={"loss": 0.5})
"""


@pytest.fixture(scope="module")
def kernel():
    path = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    kernel, client = manager.start_new_kernel(
        kernel_name="python3", env={**os.environ, "PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    )
    yield client
    client.stop_channels()
    kernel.shutdown_kernel(now=True)


def outputs(client, code):
    """The messages that a notebook would show, in order."""
    found = []
    reply = client.execute_interactive(code, output_hook=found.append, timeout=120)
    assert reply["content"]["status"] == "ok", reply["content"]
    return [message for message in found if message["msg_type"] != "status" and message["msg_type"] != "execute_input"]


def test_a_run_shows_one_output_that_is_redrawn(kernel):
    shown = outputs(kernel, RUN)
    assert [message["msg_type"] for message in shown].count("display_data") == 1
    assert {message["msg_type"] for message in shown[1:]} == {"update_display_data"}
    assert len({message["content"]["transient"]["display_id"] for message in shown}) == 1
    assert len(shown) < 20
    last = shown[-1]["content"]["data"]["text/html"]
    assert "200 of 200 trials" in last
    assert "best loss 0.25" in last
    assert "digits &lt;b&gt;1&lt;/b&gt;" in last


def test_a_trial_shows_itself_as_a_table(kernel):
    shown = outputs(kernel, SHOW)
    assert [message["msg_type"] for message in shown] == ["execute_result"]
    page = shown[0]["content"]["data"]["text/html"]
    assert "trial 7" in page
    assert "&lt;b&gt;relu&lt;/b&gt;" in page
