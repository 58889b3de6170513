"""Writes pictures of every page, light and dark, wide and narrow: `python tests/app/screenshots.py FOLDER [NAME ...]`.

Look at them. The studies are real ones (`real_studies.py`), and some that stand in for other states.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shutil
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
from fake_study import SPACE, Pretender, finished

from vtune.store import Queue, open_reader, open_writer, summaries

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
PATIENCE = 240_000
MARKUP = "<b>bold</b> **stars** :red[red] [l](http://x) `c` $a$ :smile:"


DRAWN = """() => {
    const app = document.querySelector("[data-testid=stApp]");
    if (!app || app.dataset.testScriptState !== "notRunning") return false;
    const parts = [...document.querySelectorAll("[data-testid^=stBidiComponent]")];
    const charts = parts.map(part => part.querySelector(".vtune-chart")?.dataset);
    return charts.every(chart => chart?.drawn && !chart.busy);
}"""
"""Whether the script has run and every chart is drawn, asked in the page."""


@contextlib.contextmanager
def served(store: str, folder: str | None = None) -> Iterator[str]:
    """The app on a store, in a process of its own that works in `folder`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))}
    command = [sys.executable, "-m", "vtune", "app", store, "--no-browser"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(2000):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                break
            if process.poll() is not None:
                raise RuntimeError(f"the app ended by itself with exit code {process.returncode}")
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(60)


REAL = {"digits": "digits", "random": "digits, random", "two": "accuracy and size"}
KINDS = ("importance", "slices", "contour", "interactions", "parallel", "rank")
DOCS = {
    "overview": "overview",
    "history": "history",
    "curves": "curves",
    "trials": "trial",
    "pareto": "pareto",
    "compare": "compare",
    "hyperparameters": "hyperparameters_contour",
    "parallel": "hyperparameters_parallel",
    "why": "why",
    "manual": "manual",
    "engine": "engine",
}
"""The pictures of the documentation, and which page each is."""


def real_studies(store: Path) -> None:
    """Makes the store of real studies unless it is there."""
    if not store.exists():
        script = Path(__file__).with_name("real_studies.py")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))}
        subprocess.run([sys.executable, str(script), str(store)], check=True, env=environment)


def views(store: Path) -> dict[str, str]:
    """Adds studies of other states to the real ones; returns picture -> page and query."""
    with open_writer(store) as writer:
        markup = finished(writer, MARKUP, 40, seed=3).id
        broken = Pretender(writer, "broken", 30)
        broken.finish(9)
        broken.begin(3)
        broken.end("failed", "RuntimeError: RESOURCE_EXHAUSTED: out of memory while allocating 2147483648 bytes")
        compiling = Pretender(writer, "compiling", 30).study.id
        running = Pretender(writer, "cnn on cifar", 500, seed=5)
        running.finish(180)
        running.wishes(3)
        running.begin(32)
        model = finished(writer, "digits, gp", 256).id
    with Queue(store) as queue:
        queue.put("cnn on cifar", SPACE.sample(2, np.random.default_rng(1)))
    with open_reader(store) as reader:
        digits, other, two = (reader.study(name).id for name in REAL.values())
        chosen = summaries.best_scores(reader, digits, 3)["id"].tolist()
    together = ",".join(map(str, chosen))
    pages = {
        "overview": f"?study={digits}",
        "overview_running": f"?study={running.study.id}",
        "overview_failed": f"?study={broken.study.id}",
        "overview_markup": f"?study={markup}",
        "overview_compiling": f"?study={compiling}",
        "history": f"history?study={digits}",
        "history_time": f"history?study={running.study.id}&along=time",
        "curves": f"curves?study={digits}&training=true",
        "curves_loss": f"curves?study={digits}&metric=loss&axis=log",
        "curves_fit": f"curves?study={digits}&view=fit",
        "trials": f"trials?study={digits}",
        "trials_chart": f"trials?study={digits}&chart=true",
        "trials_together": f"trials?study={digits}&trials={together}",
        "trial": f"trials?study={digits}&trial={chosen[0]}",
        "pareto": f"pareto?study={two}",
        "pareto_one": f"pareto?study={digits}",
        "compare": f"compare?study={digits}&with={other}",
        "compare_none": f"compare?study={digits}",
        "why": f"why?study={digits}",
        "why_model": f"why?study={model}",
        "manual": f"manual?study={running.study.id}",
        "manual_over": f"manual?study={digits}",
        "engine": f"engine?study={digits}",
        "engine_running": f"engine?study={running.study.id}",
    }
    return pages | {f"hyperparameters_{kind}": f"hyperparameters?study={digits}&view={kind}" for kind in KINDS}


def alive(store: Path) -> None:
    """Writes what a running study writes now and then."""
    with open_writer(store) as writer:
        for study in writer.reader().studies():
            if study.state == "running":
                writer.update(study.id, state="running")


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of the pictures; the store of real studies is kept in it")
    parser.add_argument("names", nargs="*", help="only pictures whose names begin with one of these")
    parser.add_argument("--width", type=int, nargs="*", default=[1400, 700], help="of the window, in pixels")
    parser.add_argument("--scheme", nargs="*", default=["light", "dark"])
    parser.add_argument("--docs", action="store_true", help="write the pictures of docs/images instead")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    kept = given.folder / "real.db"
    real_studies(kept)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = Path(folder) / "vtune.db"
        shutil.copy(kept, store)
        pages = {name: path for name, path in views(store).items() if name.startswith(tuple(given.names) or "")}
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with served("vtune.db", folder) as full, served("none.db", folder) as empty:
            if given.docs:
                tab = browser.new_page(viewport={"width": 1400, "height": 1000})
                tab.set_default_timeout(PATIENCE)
                for target, name in DOCS.items():
                    if name in pages:
                        alive(store)
                        tab.goto(f"{full}/{pages[name]}")
                        picture(tab, given.folder / f"{name}.png", most=1250)
                        compressed(given.folder / f"{name}.png", ROOT / "docs" / "images" / f"{target}.webp")
                return
            shots = {name: f"{full}/{path}" for name, path in pages.items()} | ({} if given.names else {"empty": empty})
            for scheme, width in itertools.product(given.scheme, given.width):
                context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 1000})
                for name, address in shots.items():
                    alive(store)
                    tab = context.new_page()
                    tab.set_default_timeout(PATIENCE)
                    tab.goto(address)
                    picture(tab, given.folder / f"{name}_{scheme}_{width}.png")
                    tab.close()


def picture(tab: Any, path: Path, most: int = 6000) -> None:
    """Waits until a page is drawn, and writes it, from the top, at most so many pixels high."""
    stamp = re.compile("^(Live, u|U)pdated|Make a first study|One objective")
    tab.get_by_text(stamp).first.wait_for(timeout=PATIENCE)
    parts = tab.locator("[data-testid=stMain] [data-testid^=st]")
    before = -1
    while before != (before := parts.count()):
        tab.wait_for_timeout(1000)
        tab.wait_for_function(DRAWN, timeout=PATIENCE)
    height = tab.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    width = tab.viewport_size["width"]
    tab.set_viewport_size({"width": width, "height": min(most, max(1000, height))})
    tab.wait_for_timeout(1200)
    tab.screenshot(path=path)
    tab.set_viewport_size({"width": width, "height": 1000})


def compressed(picture: Path, target: Path) -> None:
    """The picture as WebP."""
    from PIL import Image

    Image.open(picture).save(target, quality=82, method=6)


if __name__ == "__main__":
    main()
