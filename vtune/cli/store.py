"""Commands that look after a store: `vtune check` and `vtune salvage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vtune.display.text import plain
from vtune.store.checking import check
from vtune.store.salvage import salvage

Store = Annotated[str, typer.Argument(envvar="VTUNE_STORE", help="Path or URL of the store.")]


def check_store(store: Store = "vtune.db") -> None:
    """Whether a store is whole: all of it is read, nothing is changed. Exit code 1 if it is not."""
    found = check(store)
    _print(str(found))
    if not found.sound:
        raise typer.Exit(1)


def salvage_store(
    store: Annotated[str, typer.Argument(help="Path of the damaged store; it is not changed.")],
    to: Annotated[Path, typer.Option("--output", "-o", help="The new store.")],
) -> None:
    """Copies what can be read of a damaged store into a new one, and says what was lost."""
    found = salvage(store, to)
    for study in found:
        _print(study.summary)
    _print(f"{len(found):,} studies copied to {to}; {store} is as it was.")
    files = Path(f"{store}.files")
    if files.is_dir():
        _print(f"Trained variables lie in {files}: copy that folder to {to}.files to have them.")


def add_to(commands: typer.Typer) -> None:
    """Adds these commands."""
    commands.command("check")(check_store)
    commands.command("salvage")(salvage_store)


def _print(text: str) -> None:
    for line in text.splitlines():
        typer.echo(plain(line))
