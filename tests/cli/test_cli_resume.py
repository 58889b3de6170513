"""`vtune resume SCRIPT`: the script runs again, with its arguments, and its studies go on."""

from __future__ import annotations

import runpy
import sys

import pytest
from typer.testing import CliRunner

from vtune.cli import commands
from vtune.engine.lanes import Block
from vtune.errors import ArgumentError, Interrupted, StoreError
from vtune.resume.script import AGAIN
from vtune.store import open_reader

SCRIPT = """
import sys
from faults.little import OPTIONS, SPACE, Little
import vtune

if __name__ == "__main__":
    study = vtune.tune(Little(), SPACE, store="s.db", **OPTIONS, scheduler="asha", {name})
    print(sys.argv[1:], study.state, len(study.frame()))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(AGAIN, "0")

    def of(name):
        (tmp_path / "train.py").write_text(SCRIPT.format(name=name))
        return "train.py"

    return of


def interrupted_script(monkeypatch, script):
    advance, count = Block.advance, [0]

    def counted(block, steps):
        count[0] += 1
        if count[0] == 4:
            raise Interrupted("SIGTERM received")
        return advance(block, steps)

    with monkeypatch.context() as patches:
        patches.setattr(Block, "advance", counted)
        with pytest.raises(Interrupted, match="vtune resume SCRIPT"):
            runpy.run_path(script, run_name="__main__")


@pytest.mark.parametrize("name", ["name='mine'", ""])
def test_the_script_goes_on_with_its_study(script, monkeypatch, name):
    path = script(name)
    interrupted_script(monkeypatch, path)
    said = CliRunner().invoke(commands, ["resume", path, "--epochs", "3"], catch_exceptions=False)
    assert said.output.strip() == "['--epochs', '3'] complete 18"
    with open_reader("s.db") as reader:
        (study,) = reader.studies()
        assert study.state == "complete"


def test_without_a_name_there_must_be_something_unfinished(script, monkeypatch):
    path = script("")
    with pytest.raises(StoreError, match="no unfinished study of the task 'little'"):
        CliRunner().invoke(commands, ["resume", path], catch_exceptions=False)


def test_a_script_that_is_not_there_is_named(script):
    with pytest.raises(ArgumentError, match=r"there is no nothing\.py"):
        CliRunner().invoke(commands, ["resume", "nothing.py"], catch_exceptions=False)
