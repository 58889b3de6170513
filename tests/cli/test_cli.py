"""The command line on a real store: what it prints, what it writes, and one clear line for every mistake."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from vtune import cli
from vtune.report import Explanation
from vtune.space import Choice, Float, Space
from vtune.store import Commit, Measurements, NewTrial, StudyRecord, TrialUpdates, open_writer

MARKUP = "[bold]odd[/bold] :smile: \x1b[31m"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("cli") / "study.db")
    space = Space(lr=Float(1e-5, 1e-1, log=True), act=Choice("relu", "tanh"), mom=Float(0, 1, when={"act": "tanh"}))
    report = Explanation({"lr": "traced", "act": "guarded"}, (), 2, 2, 64, 32, "vmapped scan", 2, 6).to_json()
    with open_writer(path) as writer:
        study = writer.create(
            StudyRecord(
                name="digits",
                space=space.to_json(),
                objectives=(("loss", "min"),),
                metrics=("loss",),
                trials=6,
                steps=20,
                eval_every=10,
                report=report,
            )
        )
        ids, now = np.arange(6), time.time()
        configs = space.sample(6, np.random.default_rng(0))
        states = ["complete"] * 5 + ["diverged"]
        scores = np.array([0.6, 0.5, 0.1, 0.4, 0.3, np.nan])
        values = np.arange(12.0)[:, None]
        writer.commit(
            study.id,
            Commit(
                clock=1,
                new_trials=[NewTrial(int(i), config, "random") for i, config in zip(ids, configs, strict=True)],
                trial_updates=TrialUpdates(id=ids, state=states, step=[20] * 6, score=scores, finished=[now] * 6),
                measurements=Measurements(np.repeat(ids, 2), np.tile([10, 20], 6), values),
            ),
        )
        writer.update(study.id, state="complete")
        writer.create(StudyRecord(name=MARKUP, trials=3))
    return path


@pytest.fixture
def vtune(monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vtune", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_ls_shows_every_study_newest_first(vtune, store):
    code, out, _ = vtune("ls", store)
    lines = out.splitlines()
    assert code == 0
    assert "[bold]odd[/bold] :smile:" in lines[1]
    assert "\x1b" not in out
    assert lines[2].split()[:5] == ["digits", "complete", "6/6", "0.1", "loss"]


def test_the_store_is_taken_from_the_environment_else_from_the_working_folder(vtune, store, monkeypatch, tmp_path):
    monkeypatch.setenv("VTUNE_STORE", store)
    assert "digits" in vtune("ls")[1]
    monkeypatch.delenv("VTUNE_STORE")
    monkeypatch.chdir(tmp_path)
    code, _, err = vtune("ls")
    assert code == 2
    assert "vtune.db" in err


def test_show_ranks_trials_and_explains(vtune, store):
    code, out, _ = vtune("show", "digits", store, "--top", "2")
    assert code == 0
    assert "6 of 6 (1 diverged)" in out
    table = out[out.index("Best by loss") :].splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["2", "4"]
    assert "Trial 2 as Python" in out
    assert "vmapped scan" in out


def test_show_finds_a_study_by_its_number(vtune, store):
    assert "digits" in vtune("show", "1", store)[1]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("flags", "rows"), [([], 6), (["--curves"], 12)])
def test_export_writes_what_the_store_holds(vtune, store, tmp_path, kind, flags, rows):
    target = tmp_path / f"out.{kind}"
    code, out, _ = vtune("export", "digits", store, "--to", str(target), *flags)
    assert code == 0
    assert f"{rows} rows" in out
    frame = pd.read_csv(target) if kind == "csv" else pd.read_parquet(target)
    assert len(frame) == rows
    assert frame["loss"].max() == 11.0
    if not flags:
        assert frame["score"].isna().sum() == 1
        assert (frame["mom"].isna() == (frame["act"] == "relu")).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "nope"], "nope"),
        (["export", "digits", "--to", "x.txt"], ".csv or .parquet"),
        (["export", "digits", "--to", "nowhere/x.csv"], "folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(vtune, store, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VTUNE_STORE", store)
    code, _, err = vtune(*arguments)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("package", "arguments", "remedy"),
    [
        ("pyarrow", ["export", "digits", "--to", "x.parquet"], 'pip install "vtune[parquet]"'),
        ("streamlit", ["app"], 'pip install "vtune[app]"'),
    ],
)
def test_a_missing_package_is_said_with_the_remedy(vtune, store, monkeypatch, tmp_path, package, arguments, remedy):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VTUNE_STORE", store)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else real(name))
    code, _, err = vtune(*arguments)
    assert code == 2
    assert remedy in err


def test_the_app_is_found():
    assert cli.app_script().name == "main.py"
    assert cli.app_script().is_file()


def test_the_command_line_starts_without_jax():
    script = "import sys, vtune.cli; print([name for name in ('jax', 'streamlit') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []
