"""Every page without a store, with an empty one, and with studies of every state and kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_study import SPACE, TWO, Pretender, finished, simulate
from screenshots import MARKUP, ROOT
from streamlit.testing.v1 import AppTest

from vtune.space import Space
from vtune.store import Commit, Event, NewTrial, Queue, StudyRecord, open_writer

NAMES = ("overview", "history", "curves", "trials", "pareto", "compare", "hyperparameters", "why", "manual", "engine")
STUDIES = ("compiling", "waiting", "running", "finished", "failed", "bare", "two", MARKUP)
FILLED = ("running", "finished", "two")


def path(page: str) -> str:
    return f"views/{page}.py"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("store") / "study.db")
    with open_writer(place) as writer:
        Pretender(writer, "compiling", 30)
        waiting = Pretender(writer, "waiting", 30)
        trials = [NewTrial(i, waiting.simulated.configs[i], "random") for i in range(4)]
        writer.commit(waiting.study.id, Commit(clock=1, new_trials=trials))
        running = Pretender(writer, "running", 60)
        running.finish(20)
        running.wishes(2)
        running.begin(5)
        refusal = Event(0.0, "refused", {"queued": 99, "why": "lr must be <b>small</b>"})
        writer.commit(running.study.id, Commit(clock=9, events=[refusal]))
        failed = Pretender(writer, "failed", 30)
        failed.finish(3)
        failed.end("failed", "RuntimeError: <i>out of memory</i>")
        writer.create(StudyRecord(name="bare", trials=5))
        finished(writer, "two", 40, objectives=TWO)
        finished(writer, MARKUP, 12)
        finished(writer, "finished", 40)
    return place


@pytest.fixture(scope="module")
def numbers(store: str) -> dict[str, str]:
    with open_writer(store) as writer:
        return {study.name: str(study.id) for study in writer.reader().studies()}


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch):
    def start(store: str, page: str = NAMES[0], **query: str) -> AppTest:
        monkeypatch.setenv("VTUNE_STORE", store)
        test = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        if page != NAMES[0]:
            test.switch_page(path(page))
        for name, value in query.items():
            test.query_params[name] = value
        return checked(test.run())

    return start


def checked(test: AppTest) -> AppTest:
    assert not test.exception, test.exception[0].message
    return test


def shown(test: AppTest) -> str:
    kinds = (test.text, test.caption, test.markdown, test.code, test.get("html"), test.subheader)
    return "\n".join(str(getattr(element, "value", element)) for kind in kinds for element in kind)


def in_url(test: AppTest, name: str = "study") -> str | None:
    value = test.query_params.get(name)
    return value[0] if isinstance(value, list) else value


@pytest.mark.parametrize("page", NAMES)
def test_every_page_draws_every_study(app, store, numbers, page):
    test = app(store, page)
    for study in STUDIES:
        test.selectbox(key="study").set_value(int(numbers[study]))
        checked(test.run())
        assert in_url(test) == numbers[study], study
        assert "pdated" in shown(test) or any(
            word in shown(test) for word in ("No metrics", "One objective", "No space")
        )
        assert MARKUP not in "\n".join(
            str(e.value) for kind in (test.markdown, test.caption, test.header, test.subheader) for e in kind
        )


@pytest.mark.parametrize("page", NAMES)
def test_an_empty_study_says_what_comes(app, store, numbers, page):
    text = shown(app(store, page, study=numbers["compiling"]))
    expected = {
        "pareto": "metric=[",
        "compare": "Choose one or more",
        "hyperparameters": "Too few trials",
        "manual": "Nothing queued yet",
    }
    assert expected.get(page, "compiling") in text


@pytest.mark.parametrize("page", [name for name in NAMES if name not in ("pareto", "compare")])
@pytest.mark.parametrize("study", FILLED)
def test_filled_pages_have_charts_or_widgets(app, store, numbers, page, study):
    test = app(store, page, study=numbers[study], chart="true")
    assert test.get("bidi_component") or page == "manual"


def test_without_a_store_the_page_says_how_to_make_one(app, tmp_path):
    text = shown(app(str(tmp_path / "none.db"), "engine"))
    assert "none.db" in text
    assert "vtune.tune(" in text


def test_an_empty_store_says_how_to_make_a_study(app, tmp_path):
    open_writer(tmp_path / "empty.db").close()
    text = shown(app(str(tmp_path / "empty.db"), "manual"))
    assert "No studies yet" in text
    assert "vtune.tune(" in text


def test_a_file_that_is_no_store_is_named(app, tmp_path):
    (tmp_path / "notes.db").write_text("not a database, only some text that is long enough to be looked at" * 20)
    assert "notes.db" in shown(app(str(tmp_path / "notes.db")))


def test_overview_counts(app, store, numbers):
    metrics = {metric.label: metric.value for metric in app(store, study=numbers["running"]).metric}
    assert metrics["Trials"] == "22 of 60"
    assert metrics["Best score"].startswith("0.9")
    assert {metric.label for metric in app(store, study=numbers["finished"]).metric} >= {"Took", "Diverged"}


def test_a_failed_study_shows_its_error_as_text(app, store, numbers):
    test = app(store, study=numbers["failed"])
    assert test.error
    assert "RuntimeError: <i>out of memory</i>" in [code.value for code in test.code]


def test_a_running_study_can_be_held(app, store, numbers):
    test = app(store, study=numbers["running"])
    assert "Live, updated" in shown(test)
    checked(test.toggle(key="live").set_value(False).run())
    assert "Live, updated" not in shown(test)


def test_names_of_markup_are_escaped(app, store, numbers):
    test = app(store, study=numbers[MARKUP])
    html = "\n".join(str(element.proto.body) for element in test.get("html"))
    assert "<b>bold</b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html


def test_an_unknown_study_in_the_link_falls_back_to_the_newest_and_says_so(app, store, numbers):
    for number in ("999", "../etc", "running"):
        test = app(store, study=number)
        assert test.selectbox(key="study").value == int(numbers["finished"])
        assert "not in this store" in test.toast[0].value


def test_the_view_is_in_the_link(app, store, numbers):
    link = {"study": numbers["two"], "objective": "n_params", "axis": "log", "along": "time"}
    test = app(store, "history", **link)
    assert test.selectbox(key="objective").value == "n_params"
    assert {name: in_url(test, name) for name in link} == link


def test_trials_are_listed_best_first_and_filtered(app, store, numbers):
    test = app(store, "trials", study=numbers["running"])
    table = test.dataframe[0].value
    assert len(table) == 27
    assert table["score"].dropna().is_monotonic_decreasing
    test.button_group(key="states").set_value(["running"]).run()
    assert set(test.dataframe[0].value["state"]) == {"running"}
    linked = app(store, "trials", study=numbers["finished"], **{"where-activation": "gelu"})
    assert set(linked.dataframe[0].value["activation"]) == {"gelu"}
    lr = linked.select_slider(key="where-lr")
    lr.set_range(lr.options[12], lr.options[-1]).run()
    assert (linked.dataframe[0].value["lr"] >= 0.999e-3).all()


def test_one_trial_is_opened_by_the_link(app, store, numbers):
    for page in ("trials", "history", "overview"):
        test = app(store, page, study=numbers["finished"], trial="7")
        assert "Trial 7" in [heading.value for heading in test.subheader]
    python = next(code.value for code in test.code if code.value.startswith("config ="))
    values: dict = {}
    exec(python, values)
    assert values["config"] == simulate(40).configs[7]
    checked(test.button(key="close-trial").click().run())
    assert in_url(test, "trial") is None


def test_several_trials_are_compared_by_the_link(app, store, numbers):
    test = app(store, "trials", study=numbers["finished"], trials="3,5,999,x")
    assert "2 trials together" in [heading.value for heading in test.subheader]
    assert test.dataframe[1].value["trial"].tolist() == ["trial 3", "trial 5"]


def test_an_unknown_trial_in_the_link_is_said(app, store, numbers):
    assert "no trial 999" in shown(app(store, "trials", study=numbers["finished"], trial="999"))


def test_curves_read_the_best_trials(app, store, numbers):
    test = app(store, "curves", study=numbers["finished"], top="3")
    table = test.dataframe[0].value
    assert len(table) == 3
    assert table["verdict"].str.len().gt(0).all()


@pytest.mark.parametrize("view", ["importance", "slices", "contour", "interactions", "parallel", "rank"])
def test_every_view_of_the_hyperparameters(app, store, numbers, view):
    test = app(store, "hyperparameters", study=numbers["finished"], view=view)
    assert test.get("bidi_component")
    assert in_url(test, "view") in (view, None)
    assert test.button_group(key="view").value == view


def test_ranges_of_parallel_axes_are_filters_and_list_their_trials(app, store, numbers):
    test = app(store, "hyperparameters", study=numbers["finished"], view="parallel", **{"where-activation": "gelu"})
    assert set(test.dataframe[0].value["activation"]) == {"gelu"}
    assert "of 40 trials lie there" in shown(test)
    kept = constraints(test)
    assert [name for name, ends in kept.items() if ends] == ["activation"]
    lr = test.select_slider(key="where-lr")
    checked(lr.set_range(lr.options[3], lr.options[12]).run())
    low, high = constraints(test)["lr"]
    assert 0.0 < low < high < 1.0
    assert test.dataframe[0].value["lr"].between(0.99 * float(lr.options[3]), 1.01 * float(lr.options[12])).all()


def constraints(test: AppTest) -> dict:
    drawn = json.loads(test.get("bidi_component")[0].proto.bytes)["figure"]["data"][0]
    return {axis["label"]: axis.get("constraintrange") for axis in drawn["dimensions"]}


def test_trials_that_a_box_selected_are_listed_by_the_link_until_let_go(app, store, numbers):
    link = {"study": numbers["finished"], "boxed": "3,5,8,x,999"}
    assert "List them" in str([element.proto for element in app(store, "history", **link).get("page_link")])
    test = app(store, "trials", **link)
    assert sorted(test.dataframe[0].value["trial"]) == [3, 5, 8]
    checked(test.button(key="unbox").click().run())
    assert len(test.dataframe[0].value) == 40


def test_the_open_trial_has_a_ring(app, store, numbers):
    test = app(store, "history", study=numbers["finished"], trial="7")
    traces = json.loads(test.get("bidi_component")[0].proto.bytes)["figure"]["data"]
    markers = [trace["marker"] for trace in traces if "marker" in trace]
    assert [marker["size"] for marker in markers if marker.get("symbol") == "circle-open"][-1] == 17


def test_studies_are_compared_by_the_link(app, store, numbers):
    test = app(store, "compare", study=numbers["finished"], **{"with": f"{numbers[MARKUP]},{numbers['two']}"})
    assert len(test.get("bidi_component")) == 3
    assert test.dataframe[0].value["study"].tolist() == ["finished", MARKUP, "two"]


def test_manual_shows_conditional_widgets_while_their_parents_call_for_them(app, store, numbers):
    test = app(store, "manual", study=numbers["running"])
    number = numbers["running"]
    optimizer = test.selectbox(key=f"manual-{number}-optimizer")
    assert optimizer.value == "momentum"
    assert any(field.label == "momentum" for field in test.number_input)
    checked(optimizer.set_value("adam").run())
    assert not any(field.label == "momentum" for field in test.number_input)


def test_manual_queues_what_the_widgets_say_and_shows_what_became_of_it(app, store, numbers):
    number = numbers["running"]
    test = app(store, "manual", study=number)
    assert "<b>small</b>" in str(test.dataframe[0].value["why"][0])
    assert test.dataframe[1].value["trial"].tolist() == [21, 20]
    checked(test.selectbox(key=f"manual-{number}-optimizer").set_value("adam").run())
    test.number_input(key=f"manual-{number}-lr").set_value(0.02)
    test.number_input(key=f"manual-{number}-width").set_value(32)
    checked(test.button(key="queue-it").click().run())
    with Queue(store) as queue:
        ((_, config),) = queue.take("running")
        queue.mark([1])
    assert config == SPACE.validate(config)
    assert (config["lr"], config["width"], "momentum" in config) == (0.02, 32, False)
    assert "Waiting in the queue" in shown(test)


def test_manual_starts_from_a_trial(app, store, numbers):
    config = simulate(60).configs[5]
    by_link = app(store, "manual", study=numbers["running"], **{"from": "5"})
    assert by_link.number_input(key=f"manual-{numbers['running']}-lr").value == config["lr"]
    test = app(store, "manual", study=numbers["running"])
    test.number_input(key="start").set_value(5).run()
    next(button for button in test.button if button.label == "Fill in").click().run()
    assert test.number_input(key=f"manual-{numbers['running']}-lr").value == config["lr"]
    assert test.selectbox(key=f"manual-{numbers['running']}-activation").value == config["activation"]


def test_manual_takes_nothing_for_a_study_that_is_over(app, store, numbers):
    test = app(store, "manual", study=numbers["finished"])
    assert test.button(key="queue-it").disabled
    assert "enqueue=[" in shown(test)


def test_the_constraints_of_a_space_are_left_to_the_study(app, tmp_path):
    place = str(tmp_path / "study.db")
    space = Space(constraints=lambda config: config["x"] > 1, x=SPACE["width"])
    with open_writer(place) as writer:
        study = writer.create(StudyRecord(name="bound", space=space.to_json(), metrics=("loss",), trials=4))
        writer.update(study.id, state="running")
    test = app(place, "manual")
    checked(test.button(key="queue-it").click().run())
    assert "may refuse it" in shown(test)
    with Queue(place) as queue:
        assert [config for _, config in queue.take("bound")] == [{"x": 64}]


def test_the_app_never_imports_jax(store):
    script = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"test = AppTest.from_file({str(ROOT / 'app' / 'main.py')!r}, default_timeout=60).run()\n"
        f"for page in {[path(name) for name in NAMES]!r}:\n"
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
    metrics = {metric.label: metric.value for metric in app(str(tmp_path / "vtune.db"), study="1").metric}
    assert metrics["Trials"] == "64 of 64"
