"""The command that writes a study down: `vtune report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vtune.errors import ArgumentError
from vtune.store import Reader, StudyRecord, open_reader

Find = Callable[[Reader, str], StudyRecord]


def add_to(commands: typer.Typer, find: Find) -> None:
    """Adds the command.

    Args:
      commands: of the command line.
      find: gives the study of a name or a number.
    """

    @commands.command()
    def report(
        study: Annotated[str, typer.Argument(help="Name of the study, or its number.")],
        store: Annotated[str, typer.Argument(envvar="VTUNE_STORE", help="Path or URL of the store.")] = "vtune.db",
        to: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
        png: Annotated[Path | None, typer.Option(help="Also write each figure as a PNG into this folder.")] = None,
        theme: Annotated[str, typer.Option(help="Of the PNG files: light or dark.")] = "light",
    ) -> None:
        """Writes the figures and the best configurations of a study into one HTML file that needs nothing else."""
        if to.suffix.lower() not in (".html", ".htm"):
            raise ArgumentError(f"--output must end in .html, given {str(to)!r}; for pictures there is --png FOLDER")
        if not to.resolve().parent.is_dir():
            raise ArgumentError(f"--output must lie in a folder that exists, given {str(to)!r}")
        from vtune.display.page import report_figures, write_report
        from vtune.display.pictures import find_browser, write_pictures
        from vtune.plots import Plots

        if png is not None:
            find_browser()
        with open_reader(store) as reader:
            number = find(reader, study).id or 0
            written = write_report(reader, number, to)
            typer.echo(f"{written}: {written.stat().st_size / 2**20:.1f} MiB")
            if png is not None:
                pictures = write_pictures(report_figures(Plots(reader, number)), png, theme=theme)
                typer.echo(f"{len(pictures):,} figures written to {png}")
