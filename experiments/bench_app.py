"""How fast the app is on a study of 100,000 trials with 50 measurements each: `python experiments/bench_app.py`.

Builds the store through the Writer, then opens every page in a headless Chromium: a fresh server a page, whose modules
are loaded by a small study first. `first` is from the address to the last chart, `again` the same with warm caches,
`interaction` from a click to the last chart. `_cpu` is what the server computed meanwhile, which other work on the
machine does not blur. Medians over rounds; one JSON line a page.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "app")]

from fake_study import TWO, Pretender, finished  # noqa: E402
from screenshots import CHROMIUM, DRAWN, FLAGS, served  # noqa: E402

from vtune.store import open_writer  # noqa: E402

KEPT = ROOT / "build" / "bench_app.db"
CHUNK = 10_000
PATIENCE = 120_000

Step = Callable[[Any], None]


def press(name: str) -> Step:
    """Presses a button of a segmented control or a row of pills."""
    return lambda tab: tab.get_by_test_id("stMain").get_by_text(name, exact=True).first.click()


def slide(tab: Any) -> None:
    """Moves the first slider by one stop."""
    handle = tab.get_by_role("slider").first
    handle.focus()
    handle.press("ArrowRight")


def open_dot(tab: Any) -> None:
    """Opens the trial of a dot in the first chart, by keys."""
    chart = tab.locator(".vtune-chart").first
    chart.focus()
    chart.press("ArrowRight")
    chart.press("Enter")


PAGES: dict[str, tuple[str, Step]] = {
    "overview": ("", open_dot),
    "history": ("history", press("log")),
    "curves": ("curves", press("log")),
    "curves, fit": ("curves?view=fit", press("log")),
    "trials": ("trials", press("complete")),
    "trials, chart": ("trials?chart=true", press("diverged")),
    "trial": ("trials?trial=500", press("Close")),
    "pareto": ("pareto", open_dot),
    "compare": ("compare?with=1", press("log")),
    "importance": ("hyperparameters", press("fanova")),
    "slices": ("hyperparameters?view=slices", press("log")),
    "contour": ("hyperparameters?view=contour", press("rank")),
    "interactions": ("hyperparameters?view=interactions", press("parallel")),
    "why": ("why", slide),
    "manual": ("manual", press("Fill in the best")),
    "engine": ("engine", slide),
}


def build(place: Path, trials: int, evals: int) -> float:
    """Writes a small study (number 1) and a large one (number 2); returns the seconds that it took."""
    began = time.perf_counter()
    with open_writer(place) as writer:
        finished(writer, "small", 60, objectives=TWO)
        large = Pretender(writer, "large", trials, evals=evals, objectives=TWO)
        while large.done < trials:
            large.finish(CHUNK)
        large.end()
    return time.perf_counter() - began


def settled(tab: Any) -> None:
    """Waits until the script has run, every chart is drawn and the browser has painted."""
    stamped = "/pdated/.test(document.querySelector('[data-testid=stMain]')?.innerText)"
    tab.wait_for_function(f"() => ({DRAWN})() && {stamped}", timeout=PATIENCE, polling=20)
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    tab.wait_for_function(DRAWN, timeout=PATIENCE, polling=20)


def server(address: str) -> int:
    """The process that serves an address."""
    port = address.rsplit(":", 1)[1].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_bytes().endswith(b"--port\0" + port + b"\0"):
                return int(folder.name)
    raise RuntimeError(f"no process serves {address}")


def computed(process: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(name: str, process: int, tab: Any, act: Step) -> dict[str, float]:
    """Seconds from an act to the last chart, and what the server computed in them."""
    began, before = time.perf_counter(), computed(process)
    act(tab)
    settled(tab)
    return {name: time.perf_counter() - began, f"{name}_cpu": computed(process) - before}


def clicked(name: str, process: int, tab: Any, act: Step) -> dict[str, float]:
    """Seconds from a click to the last chart of the run that it starts."""
    tab.evaluate(
        """() => {
            window.ran = false;
            const app = document.querySelector("[data-testid=stApp]");
            new MutationObserver(() => { if (app.dataset.testScriptState !== "notRunning") window.ran = true; })
                .observe(app, {attributes: true});
        }"""
    )

    def run(tab: Any) -> None:
        act(tab)
        tab.wait_for_function("window.ran", timeout=PATIENCE, polling=10)

    return timed(name, process, tab, run)


def measure(browser: Any, store: str, path: str, act: Step) -> dict[str, float]:
    """One round of one page."""
    joined = "&" if "?" in path else "?"
    with served(store) as address:
        process, tab = server(address), browser.new_page(viewport={"width": 1360, "height": 1000})
        small, large = (f"{address}/{path}{joined}study={number}" for number in (1, 2))
        timed("warm-up", process, tab, lambda tab: tab.goto(small))
        figures = timed("first", process, tab, lambda tab: tab.goto(large))
        figures |= timed("again", process, tab, lambda tab: tab.goto(large))
        figures |= clicked("interaction", process, tab, act)
        tab.close()
    return figures


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--evals", type=int, default=50, help="measurements of a trial")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--store", type=Path, default=KEPT, help="made when it is not there, and used again")
    parser.add_argument("--pages", nargs="*", default=list(PAGES), choices=list(PAGES), metavar="PAGE")
    parser.add_argument("--output", type=Path, help="append the JSON lines to this file")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        store = given.store.resolve()
        if not store.exists():
            store.parent.mkdir(parents=True, exist_ok=True)
            print(f"built in {build(store, given.trials, given.evals):.1f} s, {os.path.getsize(store) / 1e6:,.0f} MB")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for page in given.pages:
            rounds = [measure(browser, str(store), *PAGES[page]) for _ in range(given.rounds)]
            median = {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}
            line = json.dumps({"page": page, "trials": given.trials, "measurements": given.evals, **median})
            print(line, flush=True)
            if given.output is not None:
                with given.output.open("a") as file:
                    file.write(line + "\n")
        browser.close()


if __name__ == "__main__":
    main()
