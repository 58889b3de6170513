"""Writes a picture of every page, light and dark: `python tests/app/screenshots.py FOLDER`. Look at them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from fake_study import Pretender, finished

from vtune.store import open_writer

ROOT = Path(__file__).parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MARKUP = "<b>bold</b> **stars** :red[red] [l](http://x) `c` $a$ :smile:"


@contextlib.contextmanager
def served(store: str) -> Iterator[str]:
    """The app on a store, in a process of its own; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))}
    command = [sys.executable, "-c", "from vtune.cli import main; main()", "app", store, "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
            if process.poll() is not None:
                raise RuntimeError(f"the app ended by itself with exit code {process.returncode}")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def views(folder: Path) -> dict[str, str]:
    """Makes the store; returns picture -> page and query."""
    with open_writer(folder / "store.db") as writer:
        finished(writer, MARKUP, 40, seed=3)
        broken = Pretender(writer, "broken", 30)
        broken.finish(9)
        broken.begin(3)
        broken.end("failed", "RuntimeError: RESOURCE_EXHAUSTED: out of memory while allocating 2147483648 bytes")
        Pretender(writer, "compiling", 30)
        running = Pretender(writer, "cnn on cifar", 500, seed=5)
        running.finish(180)
        running.begin(32)
        finished(writer, "digits", 256)
    return {
        "overview": "?study=digits",
        "overview_running": "?study=" + quote("cnn on cifar"),
        "overview_failed": "?study=broken",
        "overview_markup": "?study=" + quote(MARKUP),
        "overview_compiling": "?study=compiling",
        "trials": "trials?study=digits",
        "trial": "trials?study=digits&trial=109",
        "history": "history?study=digits",
        "curves": "curves?study=digits",
    }


def main(target: str) -> None:
    from playwright.sync_api import sync_playwright

    pictures = Path(target)
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        pages = views(Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(str(Path(folder) / "store.db")) as full, served(str(Path(folder) / "none.db")) as empty:
            for scheme in ("light", "dark"):
                context = browser.new_context(color_scheme=scheme, viewport={"width": 1360, "height": 1000})
                for name, path in [*pages.items(), ("empty", "")]:
                    tab = context.new_page()
                    tab.goto(f"{empty if name == 'empty' else full}/{path}")
                    tab.get_by_text("Updated").or_(tab.get_by_text("Live, updated")).or_(
                        tab.get_by_text("Make a first study")
                    ).first.wait_for(timeout=30_000)
                    tab.wait_for_timeout(1500)
                    height = tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
                    tab.set_viewport_size({"width": 1360, "height": max(1000, height)})
                    tab.wait_for_timeout(800)
                    tab.screenshot(path=pictures / f"{name}_{scheme}.png")
                    tab.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
