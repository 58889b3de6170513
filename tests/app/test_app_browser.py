"""The app in a real browser: a finished study, one that another process writes, and names that are markup."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fake_study import finished
from screenshots import CHROMIUM, FLAGS, MARKUP, ROOT, served

from vtune.store import open_writer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}: apt-get install chromium"),
]
sync_api = pytest.importorskip("playwright.sync_api")
WAIT = 60_000


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    store = str(tmp_path_factory.mktemp("browser") / "study.db")
    with open_writer(store) as writer:
        finished(writer, MARKUP, 12)
        finished(writer, "finished", 40)
    with served(store) as address:
        yield store, address


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def test_a_finished_study_is_shown_and_stays_chosen_from_page_to_page(app, chromium):
    page = chromium.new_page()
    page.goto(f"{app[1]}/?study=finished")
    sync_api.expect(page.get_by_text("40 of 40").first).to_be_visible(timeout=WAIT)
    for name in ("Trials", "History", "Curves"):
        page.get_by_role("link", name=name).click()
        sync_api.expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WAIT)
        page.wait_for_url(re.compile(f"{name.lower()}.*study=finished"), timeout=WAIT)
    sync_api.expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=WAIT)


def test_a_click_on_a_row_opens_that_trial(app, chromium):
    page = chromium.new_page()
    page.goto(f"{app[1]}/trials?study=finished")
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for(timeout=WAIT)
    sync_api.expect(page.get_by_text("best first")).to_be_visible(timeout=WAIT)
    page.wait_for_timeout(500)
    table.click(position={"x": 16, "y": 52})
    page.wait_for_url(re.compile(r"trial=\d+"), timeout=WAIT)
    number = re.search(r"trial=(\d+)", page.url)[1]
    sync_api.expect(page.get_by_role("heading", name=f"Trial {number}")).to_be_visible(timeout=WAIT)


def test_a_running_study_grows_without_a_reload_and_ends_by_itself(app, chromium):
    store, address = app
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")])}
    script = [sys.executable, str(ROOT / "tests" / "app" / "fake_study.py"), store, "growing", "40"]
    with subprocess.Popen(script, env=environment) as other:
        page = chromium.new_page()
        count = page.get_by_text(re.compile(r"^\d+ of 208$")).first
        for _ in range(30):
            page.goto(f"{address}/?study=growing")
            if page.get_by_text("running").first.is_visible():
                break
            page.wait_for_timeout(500)
        count.wait_for(timeout=WAIT)
        page.evaluate("window.loadedOnce = true")
        first = int(count.inner_text().split()[0])
        page.wait_for_function(
            "first => [...document.querySelectorAll('[data-testid=stMetricValue]')]"
            ".some(e => / of 208/.test(e.innerText) && parseInt(e.innerText) > first)",
            arg=first,
            timeout=WAIT,
        )
        sync_api.expect(page.get_by_text(re.compile("^Updated")).first).to_be_visible(timeout=WAIT)
        sync_api.expect(page.get_by_text("208 of 208").first).to_be_visible(timeout=WAIT)
        assert first < 208
        assert page.evaluate("window.loadedOnce")
        assert other.wait(60) == 0


def test_a_name_of_markup_stays_text(app, chromium):
    page = chromium.new_page()
    page.goto(f"{app[1]}/?study={quote(MARKUP)}")
    heading = page.locator("h1", has_text="bold")
    heading.wait_for(timeout=WAIT)
    assert heading.inner_text().strip() == MARKUP
    assert page.locator("a[href='http://x']").count() == 0
