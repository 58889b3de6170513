"""`vtune resume SCRIPT`: the script that began a study is run again, and its studies go on."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Annotated

import typer

from vtune.errors import ArgumentError
from vtune.resume.script import AGAIN

Script = Annotated[Path, typer.Argument(help="The Python script that began the study.")]
Arguments = Annotated[list[str] | None, typer.Argument(help="What the script was given.")]


def add_to(commands: typer.Typer) -> None:
    """Adds the command to the command line."""
    options = {"allow_interspersed_args": False, "ignore_unknown_options": True}
    commands.command(context_settings=options)(resume)


def resume(script: Script, arguments: Arguments = None) -> None:
    """Runs a script again in which every study goes on where it stopped, as with resume=True.

    A study whose script gives it no name goes on under the name of the last unfinished one of the same task. What is
    complete is read from the store.
    """
    if not script.is_file():
        raise ArgumentError(
            f"SCRIPT must be the Python file that began the study, as in `vtune resume train.py`; there is no {script}"
        )
    os.environ[AGAIN] = "1"
    sys.argv = [str(script), *(arguments or ())]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
