"""Writes a picture of every page, light and dark: `python tests/app/screenshots.py FOLDER [NAME ...]`. Look at them."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fake_study import SPACE, TWO, Pretender, finished

from vtune.store import Queue, open_writer

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
        markup = finished(writer, MARKUP, 40, seed=3).id
        broken = Pretender(writer, "broken", 30)
        broken.finish(9)
        broken.begin(3)
        broken.end("failed", "RuntimeError: RESOURCE_EXHAUSTED: out of memory while allocating 2147483648 bytes")
        compiling = Pretender(writer, "compiling", 30).study.id
        two = finished(writer, "size and accuracy", 200, seed=2, objectives=TWO).id
        other = finished(writer, "digits, random", 256, seed=7).id
        running = Pretender(writer, "cnn on cifar", 500, seed=5)
        running.finish(180)
        running.wishes(3)
        running.begin(32)
        digits = finished(writer, "digits", 256).id
    with Queue(folder / "store.db") as queue:
        queue.put("cnn on cifar", SPACE.sample(2, np.random.default_rng(1)))
    pages = {
        "overview": f"?study={digits}",
        "overview_running": f"?study={running.study.id}",
        "overview_failed": f"?study={broken.study.id}",
        "overview_markup": f"?study={markup}",
        "overview_compiling": f"?study={compiling}",
        "trials": f"trials?study={digits}",
        "trials_chart": f"trials?study={digits}&chart=true",
        "trials_together": f"trials?study={digits}&trials=109,12,40",
        "trial": f"trials?study={digits}&trial=109",
        "history": f"history?study={digits}",
        "history_time": f"history?study={running.study.id}&along=time",
        "curves": f"curves?study={digits}",
        "curves_fit": f"curves?study={digits}&view=fit",
        "pareto": f"pareto?study={two}",
        "pareto_one": f"pareto?study={digits}",
        "compare": f"compare?study={digits}&with={other},{running.study.id}",
        "compare_none": f"compare?study={digits}",
        "why": f"why?study={digits}",
        "manual": f"manual?study={running.study.id}",
        "engine": f"engine?study={digits}",
        "engine_running": f"engine?study={running.study.id}",
    }
    kinds = ("importance", "slices", "contour", "interactions", "parallel", "rank")
    return pages | {f"hyperparameters_{kind}": f"hyperparameters?study={digits}&view={kind}" for kind in kinds}


def main(target: str, *only: str) -> None:
    """Pictures of all pages, or of those whose names begin with one of `only`."""
    from playwright.sync_api import sync_playwright

    pictures = Path(target)
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        pages = {name: path for name, path in views(Path(folder)).items() if not only or name.startswith(only)}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served(str(Path(folder) / "store.db")) as full, served(str(Path(folder) / "none.db")) as empty:
            for scheme in ("light", "dark"):
                context = browser.new_context(color_scheme=scheme, viewport={"width": 1360, "height": 1000})
                for name, path in [*pages.items(), *([] if only else [("empty", "")])]:
                    tab = context.new_page()
                    tab.goto(f"{empty if name == 'empty' else full}/{path}")
                    picture(tab, pictures / f"{name}_{scheme}.png")
                    tab.close()
        browser.close()


def picture(tab: Any, path: Path) -> None:
    """Waits until a page is drawn, and writes the whole of it."""
    stamp = re.compile("^(Live, u|U)pdated|Make a first study|One objective")
    tab.get_by_text(stamp).first.wait_for(timeout=60_000)
    tab.wait_for_timeout(1500)
    height = tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    tab.set_viewport_size({"width": 1360, "height": max(1000, height)})
    tab.wait_for_timeout(800)
    tab.screenshot(path=path)


if __name__ == "__main__":
    main(*sys.argv[1:])
