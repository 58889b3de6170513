"""The app in a real browser: pages and links, a click on a dot, live studies, manual search, names that are markup."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_study import finished
from screenshots import CHROMIUM, FLAGS, MARKUP, ROOT, served

from vtune.store import open_reader, open_writer

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}: apt-get install chromium"),
]
sync_api = pytest.importorskip("playwright.sync_api")
WAIT = 90_000
REAL_STUDY = """
import sys, time, jax.numpy as jnp, vtune
class Slow:
    name, data = "slow", None
    def init(self, hp, data, key): return jnp.float32(1.0)
    def step(self, hp, state, data, key): return state * (1 - hp.lr), {}
    def evaluate(self, hp, state, data, key): return {"loss": state}
class Patient(vtune.proposers.Random):
    learns = True
    def ask(self, n, pending=()):
        time.sleep(0.3)
        return super().ask(min(n, 4), pending)
space = vtune.Space(lr=vtune.Float(1e-3, 0.9, log=True))
options = {"steps": 40, "eval_every": 10, "lanes": 4, "block": 4, "progress": "off", "cache": False}
proposer = Patient(space, seed=0)
vtune.tune(Slow(), space, trials=int(sys.argv[2]), proposer=proposer, store=sys.argv[1], name="real", **options)
"""


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


@pytest.fixture
def tab(chromium) -> Iterator[object]:
    page = chromium.new_page(viewport={"width": 1360, "height": 1200})
    page.set_default_timeout(WAIT)
    yield page
    page.close()


@contextlib.contextmanager
def beside(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which ends with the test at the latest."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")])}
    with subprocess.Popen(command, env=environment) as other:
        try:
            yield other
        finally:
            other.kill()


def number_of(store: str, name: str) -> int:
    with open_reader(store) as reader:
        return next((study.id for study in reader.studies() if study.name == name), 0)


def dot(tab, place: int) -> tuple[float, float]:
    """Where on the screen the dot of a trial lies, in the first chart."""
    return tab.evaluate(
        """place => {
            const chart = document.querySelector('.js-plotly-plot'), full = chart._fullLayout;
            const trace = chart._fullData.find(each => each.mode === 'markers');
            const box = chart.getBoundingClientRect(), axes = [full.xaxis, full.yaxis];
            const at = [trace.x[place], trace.y[place]].map((v, i) => axes[i].d2p(v) + axes[i]._offset);
            return [box.left + at[0], box.top + at[1]];
        }""",
        place,
    )


def test_a_study_stays_chosen_from_page_to_page_and_its_name_stays_text(app, tab):
    store, address = app
    markup = number_of(store, MARKUP)
    tab.goto(f"{address}/?study={markup}")
    heading = tab.locator("h1", has_text="bold")
    heading.wait_for()
    assert heading.inner_text().strip() == MARKUP
    for name in ("History", "Trials", "Engine"):
        tab.get_by_test_id("stSidebarNavLink").filter(has_text=name).click()
        sync_api.expect(tab.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WAIT)
        sync_api.expect(tab).to_have_url(re.compile(f"{name.lower()}.*study={markup}"), timeout=WAIT)
    tab.locator(".js-plotly-plot").first.wait_for()
    assert tab.locator("a[href='http://x']").count() == 0
    assert tab.evaluate("[...document.querySelectorAll('b')].filter(b => b.innerText === 'bold').length") == 0


def test_a_click_on_a_dot_opens_its_trial_and_a_reload_reopens_it(app, tab):
    store, address = app
    tab.goto(f"{address}/history?study={number_of(store, 'finished')}")
    tab.locator(".js-plotly-plot .points").first.wait_for()
    tab.wait_for_timeout(800)
    tab.mouse.click(*dot(tab, 3))
    sync_api.expect(tab).to_have_url(re.compile(r"trial=3(&|$)"), timeout=WAIT)
    sync_api.expect(tab.get_by_role("heading", name="Trial 3")).to_be_visible(timeout=WAIT)
    tab.reload()
    sync_api.expect(tab.get_by_role("heading", name="Trial 3")).to_be_visible(timeout=WAIT)


@pytest.mark.slow
def test_dots_and_rows_select_trials(app, tab):
    store, address = app
    tab.goto(f"{address}/trials?study={number_of(store, 'finished')}&chart=true")
    table = tab.get_by_test_id("stDataFrame").first
    table.wait_for()
    tab.locator(".js-plotly-plot .points").first.wait_for()
    tab.wait_for_timeout(800)
    tab.mouse.click(*dot(tab, 3))
    sync_api.expect(tab.get_by_role("heading", name="Trial 3")).to_be_visible(timeout=WAIT)
    table.click(position={"x": 16, "y": 52})
    sync_api.expect(tab).to_have_url(re.compile(r"trial=(?!3(&|$))\d+"), timeout=WAIT)
    first = re.search(r"trial=(\d+)", tab.url)[1]
    sync_api.expect(tab.get_by_role("heading", name=f"Trial {first}")).to_be_visible(timeout=WAIT)
    table.click(position={"x": 16, "y": 87})
    sync_api.expect(tab).to_have_url(re.compile(r"trials=\d+(%2C|,)\d+"), timeout=WAIT)
    sync_api.expect(tab.get_by_role("heading", name="2 trials together")).to_be_visible(timeout=WAIT)


@pytest.mark.slow
def test_keys_go_through_the_dots_and_a_box_selects_trials(app, tab):
    store, address = app
    tab.goto(f"{address}/history?study={number_of(store, 'finished')}")
    chart = tab.locator(".vtune-chart[data-drawn]").first
    chart.focus()
    for _ in range(3):
        chart.press("ArrowRight")
    sync_api.expect(tab.get_by_text("trial 2, complete")).to_be_attached(timeout=WAIT)
    chart.press("Enter")
    sync_api.expect(tab.get_by_role("heading", name="Trial 2")).to_be_visible(timeout=WAIT)
    chart.hover()
    chart.locator(".modebar-btn[data-val=select]").click()
    box = chart.bounding_box()
    tab.mouse.move(box["x"] + 80, box["y"] + 50)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + box["height"] - 80, steps=5)
    tab.mouse.up()
    sync_api.expect(tab).to_have_url(re.compile(r"boxed=\d+"), timeout=WAIT)
    tab.get_by_role("link", name="List them").click()
    sync_api.expect(tab.get_by_text("Only those that were selected in a chart.")).to_be_visible(timeout=WAIT)


@pytest.mark.slow
def test_a_range_dragged_along_a_parallel_axis_is_a_filter_and_lists_its_trials(app, tab):
    store, address = app
    tab.goto(f"{address}/hyperparameters?study={number_of(store, 'finished')}&view=parallel")
    chart = tab.locator(".vtune-chart[data-drawn]").first
    chart.locator(".axis-brush .background").first.wait_for(state="attached")
    box = chart.locator(".axis-brush .background").first.bounding_box()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.2 * box["height"])
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] / 2, box["y"] + 0.6 * box["height"], steps=8)
    tab.mouse.up()
    sync_api.expect(tab).to_have_url(re.compile(r"where-lr="), timeout=WAIT)
    sync_api.expect(tab.get_by_text(re.compile(r"^\d+ of 40 trials lie there"))).to_be_visible(timeout=WAIT)
    tab.get_by_role("link", name="All of them").click()
    shown = tab.get_by_text(re.compile(r"^Showing (?!40)\d+ of 40 trials"))
    sync_api.expect(shown).to_be_visible(timeout=WAIT)
    sync_api.expect(tab).to_have_url(re.compile(r"where-lr="), timeout=WAIT)


@pytest.mark.slow
def test_a_growing_study_is_drawn_without_a_reload_keeps_the_zoom_and_ends_by_itself(app, tab):
    store, address = app
    script = [sys.executable, str(ROOT / "tests" / "app" / "fake_study.py"), store, "growing", "40"]
    with beside(script) as other:
        while not number_of(store, "growing"):
            tab.wait_for_timeout(200)
        tab.goto(f"{address}/?study={number_of(store, 'growing')}")
        count = tab.get_by_text(re.compile(r"^\d+ of 208$")).first
        count.wait_for()
        tab.locator(".js-plotly-plot .points").first.wait_for()
        tab.evaluate("window.loadedOnce = true")
        box = tab.locator(".js-plotly-plot").first.bounding_box()
        tab.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 80)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + box["height"] - 120, steps=5)
        tab.mouse.up()
        tab.wait_for_timeout(500)
        zoomed = tab.evaluate("document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range")
        first = int(count.inner_text().split()[0])
        tab.wait_for_function(
            "first => [...document.querySelectorAll('[data-testid=stMetricValue]')]"
            ".some(e => / of 208/.test(e.innerText) && parseInt(e.innerText) > first + 20)",
            arg=first,
        )
        assert tab.evaluate("document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range") == zoomed
        sync_api.expect(tab.get_by_text(re.compile("^Updated")).first).to_be_visible(timeout=WAIT)
        sync_api.expect(tab.get_by_text("208 of 208").first).to_be_visible(timeout=WAIT)
        assert tab.evaluate("window.loadedOnce")
        assert other.wait(60) == 0


@pytest.mark.slow
def test_a_config_queued_by_hand_is_trained_by_the_running_study_and_shown(app, tab):
    store, address = app
    with beside([sys.executable, "-c", REAL_STUDY, store, "400"]) as other:
        while not number_of(store, "real"):
            tab.wait_for_timeout(200)
        tab.goto(f"{address}/manual?study={number_of(store, 'real')}")
        field = tab.get_by_role("spinbutton", name="lr")
        field.wait_for()
        field.fill("0.123")
        field.press("Enter")
        tab.wait_for_timeout(1000)
        tab.get_by_role("button", name="Queue it").click()
        sync_api.expect(tab.get_by_text("Trials that were queued by hand")).to_be_visible(timeout=WAIT)
        tab.locator(".js-plotly-plot").first.wait_for()
        with open_reader(store) as reader:
            study = number_of(store, "real")
            (trial,) = reader.enqueued(study)["id"]
            assert reader.trial(study, int(trial)).config == {"lr": 0.123}
        sync_api.expect(tab.get_by_text(f"#{trial} ").first).to_be_visible(timeout=WAIT)
        assert other.poll() is None
