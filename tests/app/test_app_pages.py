"""Every page with no store, an empty one, a running, a finished, a failed and a study named with markup."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_study import Pretender, finished, simulate
from screenshots import MARKUP, ROOT
from streamlit.testing.v1 import AppTest

from vtune.store import Commit, NewTrial, StudyRecord, open_writer

PAGES = ["views/overview.py", "views/trials.py", "views/history.py", "views/curves.py"]
STUDIES = ["compiling", "waiting", "running", "finished", "failed", "bare", MARKUP]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("store") / "study.db")
    with open_writer(path) as writer:
        Pretender(writer, "compiling", 30)
        waiting = Pretender(writer, "waiting", 30)
        trials = [NewTrial(i, waiting.simulated.configs[i], "random") for i in range(4)]
        writer.commit(waiting.study.id, Commit(clock=1, new_trials=trials))
        running = Pretender(writer, "running", 30)
        running.finish(10)
        running.begin(5)
        failed = Pretender(writer, "failed", 30)
        failed.finish(3)
        failed.end("failed", "RuntimeError: <i>out of memory</i>")
        writer.create(StudyRecord(name="bare", trials=5))
        finished(writer, MARKUP, 12)
        finished(writer, "finished", 40)
    return path


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch):
    def start(store: str, study: str | None = None, page: str = PAGES[0], **query: str) -> AppTest:
        monkeypatch.setenv("VTUNE_STORE", store)
        test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=30)
        query |= {} if study is None else {"study": study}
        for name, value in query.items():
            test.query_params[name] = value
        test.run()
        if page != PAGES[0]:
            for name, value in query.items():
                test.query_params[name] = value
            test.switch_page(page).run()
        assert not test.exception, test.exception[0].message
        return test

    return start


def shown(test: AppTest) -> str:
    texts = [element.value for kind in (test.text, test.caption, test.markdown, test.code) for element in kind]
    return "\n".join(map(str, texts))


def in_url(test: AppTest) -> str:
    value = test.query_params["study"]
    return value if isinstance(value, str) else value[0]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("study", STUDIES)
def test_every_page_draws_every_study(app, store, study, page):
    test = app(store, study, page)
    assert test.selectbox(key="study").value == study
    assert in_url(test) == study
    assert "pdated" in shown(test) or "No metrics yet" in shown(test)


@pytest.mark.parametrize("page", PAGES)
def test_without_a_store_every_page_says_how_to_make_one(app, tmp_path, page):
    test = app(str(tmp_path / "none.db"), page=page)
    assert "none.db" in shown(test)
    assert "vtune.tune(" in shown(test)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_store_says_how_to_make_a_study(app, tmp_path, page):
    open_writer(tmp_path / "empty.db").close()
    test = app(str(tmp_path / "empty.db"), page=page)
    assert "No studies yet" in shown(test)
    assert "vtune.tune(" in shown(test)


def test_a_file_that_is_no_store_is_named(app, tmp_path):
    (tmp_path / "notes.db").write_text("not a database, only some text that is long enough to be looked at" * 20)
    assert "notes.db" in shown(app(str(tmp_path / "notes.db")))


def test_overview_counts(app, store):
    metrics = {metric.label: metric.value for metric in app(store, "running").metric}
    assert metrics["Trials"] == "10 of 30"
    assert metrics["Best score"].startswith("0.9")
    assert {metric.label for metric in app(store, "finished").metric} >= {"Took", "Diverged"}


def test_a_failed_study_shows_its_error_as_text(app, store):
    test = app(store, "failed")
    assert test.error
    assert "RuntimeError: <i>out of memory</i>" in [code.value for code in test.code]


def test_a_study_that_compiles_says_so_on_every_page(app, store):
    assert all("compiling" in shown(app(store, "compiling", page)) for page in PAGES)


def test_markup_in_names_never_reaches_markdown(app, store):
    for page in PAGES:
        test = app(store, MARKUP, page)
        rendered = [e.value for kind in (test.markdown, test.caption, test.header, test.subheader) for e in kind]
        assert not any(MARKUP in str(text) for text in rendered)


def test_an_unknown_study_in_the_link_falls_back_to_the_newest_and_says_so(app, store):
    test = app(store, "gone")
    assert test.selectbox(key="study").value == "finished"
    assert "not in this store" in test.toast[0].value


def test_the_study_is_kept_when_the_page_changes(app, store):
    test = app(store, "failed")
    test.switch_page(PAGES[1]).run()
    assert in_url(test) == "failed"


def test_trials_are_listed_best_first_and_filtered_by_state(app, store):
    test = app(store, "running", PAGES[1])
    table = test.dataframe[0].value
    assert len(table) == 15
    assert table["score"].dropna().is_monotonic_decreasing
    test.pills(key="states").set_value(["running"]).run()
    assert set(test.dataframe[0].value["state"]) == {"running"}


def test_trials_are_filtered_by_hyperparameters(app, store):
    test = app(store, "finished", PAGES[1])
    test.multiselect[0].set_value(["gelu"]).run()
    assert set(test.dataframe[0].value["activation"]) == {"gelu"}
    lr = next(slider for slider in test.select_slider if slider.label == "lr")
    lr.set_range(lr.options[12], lr.options[-1]).run()
    assert (test.dataframe[0].value["lr"] >= 0.999e-3).all()


def test_one_trial_is_opened_by_the_link(app, store):
    test = app(store, "finished", PAGES[1], trial="7")
    assert "Trial 7" in [heading.value for heading in test.subheader]
    python = next(code.value for code in test.code if code.value.startswith("config ="))
    values: dict = {}
    exec(python, values)
    assert values["config"] == simulate(40).configs[7]


def test_an_unknown_trial_in_the_link_is_said(app, store):
    assert "no trial 999" in shown(app(store, "finished", PAGES[1], trial="999"))


def test_curves_read_the_best_trials(app, store):
    test = app(store, "finished", PAGES[3])
    assert len(test.dataframe[0].value) == 10
    assert test.dataframe[0].value["verdict"].str.len().gt(0).all()
    test.slider(key="curves-top").set_value(3).run()
    assert len(test.dataframe[0].value) == 3


def test_the_app_never_imports_jax(store):
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"test = AppTest.from_file({str(ROOT / 'app' / 'main.py')!r}, default_timeout=60).run()\n"
        f"for page in {PAGES!r}:\n"
        "    test.switch_page(page).run()\n"
        "    assert not test.exception\n"
        "assert 'jax' not in sys.modules, 'jax was imported'\n"
    )
    environment = {"VTUNE_STORE": store, "PYTHONPATH": str(ROOT), "PATH": str(Path(sys.executable).parent)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_the_first_steps_that_the_empty_page_shows_make_a_study(app, tmp_path):
    empty = app(str(tmp_path / "none.db"))
    script = next(code.value for code in empty.code if "vtune.tune(" in code.value)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = {metric.label: metric.value for metric in app(str(tmp_path / "vtune.db"), "digits").metric}
    assert metrics["Trials"] == "64 of 64"
