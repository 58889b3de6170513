"""`vtune report`: one file that needs nothing else, in which names are text; figures as PNG."""

from __future__ import annotations

import json
import re
import shutil
import struct

import numpy as np
import pytest
from stored import store_study
from typer.testing import CliRunner

from vtune import cli
from vtune.display.page import report_figures, report_page
from vtune.display.pictures import find_browser, write_pictures
from vtune.errors import ArgumentError, PackageError
from vtune.plots import Plots, nothing
from vtune.space import Choice, Space
from vtune.store import Commit, NewTrial, open_reader, open_writer
from vtune.store.records import Measurements, TrialUpdates

MARKUP = "</script><script>alert(1)</script><b>x</b>"
drawn = pytest.mark.skipif(not any(map(shutil.which, ("chromium", "google-chrome"))), reason="needs a browser")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "store.db"
    with open_writer(path) as writer:
        store_study(writer, "bowl", 80)
        store_study(writer, "empty", 0, report={})
        fields = {"space": Space(kind=Choice(MARKUP)).to_json(), "objectives": ((MARKUP, "max"),), "metrics": (MARKUP,)}
        odd = store_study(writer, MARKUP, 0, **fields)
        writer.commit(
            odd.id,
            Commit(
                new_trials=[NewTrial(0, {"kind": MARKUP}, MARKUP)],
                trial_updates=TrialUpdates(id=[0], state=["complete"], step=[1], score=[0.5]),
                measurements=Measurements([0], [1], [[0.5]]),
            ),
        )
    return path


@pytest.fixture(scope="module")
def reader(store):
    with open_reader(store) as reader:
        yield reader


@pytest.fixture(scope="module")
def page(reader):
    return report_page(reader, reader.study("bowl").id)


@pytest.fixture(scope="module")
def odd_page(reader):
    return report_page(reader, reader.study(MARKUP).id)


def outside(page):
    """The page without the library, which is somebody else's text."""
    return re.sub(r"<script>(?!\nconst page).{100000,}?</script>", "", page, flags=re.DOTALL)


def test_a_report_holds_figures_best_configurations_and_programs(reader, page):
    study = reader.study("bowl")
    best = reader.trials(study.id, states="complete", limit=1, order="score")[0]
    own = outside(page)
    assert f'"lr": {best.config["lr"]!r}' in own.replace("&quot;", '"')
    assert "train.py:7" in own
    assert own.count("<h2") >= 18
    data = json.loads(re.search(r'id="page">(.*?)</script>', page, re.DOTALL)[1])
    assert set(data["figures"]) == set(re.findall(r'<div id="(\w+)" style', own))
    assert "importance" in data["figures"]


def test_a_report_is_one_file_with_the_library_once(page):
    assert page.count("plotly.js v") == 1
    assert not re.findall(r'(?:src|href)="(?!#)', outside(page))
    assert "default-src 'none'" in page


def test_names_are_text_in_a_report(odd_page):
    own = outside(odd_page)
    assert "alert(1)" in own
    assert "<script>alert" not in own
    assert "<b>x" not in own


def test_a_study_without_trials_has_a_report(reader):
    own = outside(report_page(reader, reader.study("empty").id))
    assert "No trial is complete yet" in own
    assert report_figures(Plots(reader, reader.study("empty").id)) == {}


def test_the_command_writes_the_file(store, tmp_path):
    target = tmp_path / "report.html"
    done = CliRunner().invoke(cli.commands, ["report", "bowl", str(store), "-o", str(target)])
    assert done.exit_code == 0, done.output
    assert "MiB" in done.output
    assert target.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("target", "said"), [("report.pdf", "must end in .html"), ("none/r.html", "folder that exists")]
)
def test_a_file_that_cannot_be_is_refused(store, tmp_path, target, said):
    done = CliRunner().invoke(cli.commands, ["report", "bowl", str(store), "-o", str(tmp_path / target)])
    assert isinstance(done.exception, ArgumentError)
    assert said in str(done.exception)


def test_without_a_browser_pictures_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("VTUNE_BROWSER", "no-such-browser")
    with pytest.raises(PackageError, match=r"'no-such-browser'.*install"):
        find_browser()
    with pytest.raises(PackageError):
        write_pictures({"a": nothing("empty")}, tmp_path)
    monkeypatch.setenv("VTUNE_BROWSER", "true")
    with pytest.raises(ArgumentError, match="drew no"):
        write_pictures({"a": nothing("empty")}, tmp_path)
    with pytest.raises(ArgumentError, match="'light' or 'dark'"):
        write_pictures({}, tmp_path, theme="both")


@drawn
@pytest.mark.browser
def test_figures_become_png_files(reader, tmp_path):
    plots = Plots(reader, reader.study("bowl").id)
    files = write_pictures({"history": plots.history()}, tmp_path / "pictures", width=600, scale=1.0)
    data = files[0].read_bytes()
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (600, plots.history().layout.height)
    assert len(np.unique(np.frombuffer(data, np.uint8))) == 256


@drawn
@pytest.mark.browser
def test_a_report_draws_every_figure_and_runs_no_foreign_script(page, odd_page, tmp_path):
    sync = pytest.importorskip("playwright.sync_api")
    pages = {"bowl": page, MARKUP: odd_page}
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox", "--disable-gpu"])
        for name, text in pages.items():
            (tmp_path / "page.html").write_text(text)
            tab = browser.new_page()
            said, errors = [], []
            tab.on("dialog", lambda dialog, said=said: (said.append(dialog.message), dialog.dismiss()))
            tab.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            tab.goto((tmp_path / "page.html").as_uri())
            figures = tab.locator("h2[id$=-title]").count()
            tab.wait_for_function(
                f"document.querySelectorAll('.main-svg:first-child').length >= {figures}", timeout=60_000
            )
            assert figures >= (15 if name == "bowl" else 3)
            assert (said, errors) == ([], [])
            assert tab.title() == name
            tab.close()
        browser.close()
