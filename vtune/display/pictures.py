"""Figures as PNG files, drawn by a Chrome, Chromium or Edge that is on the machine: no further package is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from vtune.errors import ArgumentError, PackageError
from vtune.plots.look import SURFACES, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
SECONDS = 120.0
"""How long the browser may take for one figure."""

_PAGE = """<!doctype html><meta charset="utf-8"><style>html,body{{margin:0;background:{ground}}}</style>
<script src="plotly.min.js"></script><div id="figure"></div>
<script>const f={figure};f.layout.width={width};Plotly.newPlot("figure",f.data,f.layout,{{staticPlot:true}})</script>"""


def write_pictures(
    figures: Mapping[str, go.Figure],
    folder: str | Path,
    *,
    width: int = 1000,
    scale: float = 2.0,
    theme: str = "light",
) -> list[Path]:
    """Draws figures into PNG files.

    Args:
      figures: name of a file (without its ending) -> figure.
      folder: where the files go; made if it is not there.
      width: in pixels of the figure; its height is its own.
      scale: pixels of the file for one of the figure.
      theme: "light" or "dark".

    Returns:
      The files.

    Raises:
      PackageError: there is no browser to draw with.
      ArgumentError: another theme, or the browser cannot draw.
    """
    if theme not in SURFACES or theme == "both":
        raise ArgumentError(f"theme must be 'light' or 'dark'; got {theme!r}")
    browser = find_browser()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written = []
    with tempfile.TemporaryDirectory(prefix="vtune-pictures-") as place:
        (Path(place) / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
        for name, figure in figures.items():
            height = int(figure.layout.height or 450)
            source = themed(figure, theme).to_json().replace("</", "<\\/")
            page = Path(place) / "page.html"
            page.write_text(_PAGE.format(ground=SURFACES[theme], figure=source, width=width), encoding="utf-8")
            file = target / f"{name}.png"
            _draw(browser, page, file, (width, height), scale)
            written.append(file)
    return written


def find_browser() -> str:
    """The browser that draws: `$VTUNE_BROWSER`, or the first of the usual ones that is there.

    Raises:
      PackageError: there is none.
    """
    given = os.environ.get("VTUNE_BROWSER")
    for name in (given,) if given else BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    looked = repr(given) if given else "chromium, google-chrome, microsoft-edge"
    raise PackageError(
        f"PNG files are drawn by Chrome, Chromium or Edge, and none is on the PATH (looked for {looked}): install one "
        "(Debian: apt-get install chromium), set VTUNE_BROWSER to its path, or write an HTML report instead"
    )


def _draw(browser: str, page: Path, file: Path, size: tuple[int, int], scale: float) -> None:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = [
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--enable-unsafe-swiftshader",
        "--virtual-time-budget=8000",
        f"--user-data-dir={page.parent / 'profile'}",
        f"--force-device-scale-factor={scale}",
        f"--window-size={size[0]},{size[1]}",
        f"--screenshot={file.resolve()}",
        *(["--no-sandbox"] if root else []),
    ]
    file.unlink(missing_ok=True)
    try:
        done = subprocess.run([browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ArgumentError(f"{browser} could not draw {file}: {error}. Set VTUNE_BROWSER to another browser") from None
    if not file.is_file():
        said = " ".join(done.stderr.split())[-300:]
        raise ArgumentError(f"{browser} drew no {file} (exit code {done.returncode}): {said}")
