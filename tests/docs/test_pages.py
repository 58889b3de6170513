"""Every Python block of the README and of docs/ runs, page by page, and whatever a page names exists."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
import typer

from vtune.cli import commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>.*?) -->\n)?```(?P<language>\w*)\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"not run: needs (\w+)")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(text, language="python"):
    return [found for found in BLOCK.finditer(text) if found["language"] == language]


def needed(block):
    """The package without which a marked block cannot run."""
    found = NOT_RUN.fullmatch(block["mark"] or "")
    return found[1] if found else None


def code_in(text):
    """Shell blocks and code spans: where pages name commands and files."""
    spans = re.findall(r"`([^`]+)`", BLOCK.sub("", text))
    return [*(block["source"] for block in blocks(text, "sh")), *(" ".join(span.split()) for span in spans)]


def one_program(page):
    assert page.study.explain().compiles == 1


def optuna(page):
    assert len(page.before.trials) == page.TRIALS
    assert page.study.explain().compiles == 1
    assert page.study.frame()["state"].isin(["complete", "diverged"]).all()


def vmap(page):
    assert page.scores.shape == (page.TRIALS,)
    np.testing.assert_allclose(page.best.score, page.again, atol=0.011)
    assert page.wrapped.explain().compiles == 1
    assert page.study.explain().compiles == 2


def by_hand(page):
    np.testing.assert_allclose(page.by_hand, page.in_the_study, rtol=1e-4)
    assert page.study.verify(2).first["loss"] < 1e-4


def proposer(page):
    assert page.study.best.score < page.at_random.best.score
    assert page.again.ask(3) == page.first.ask(3)


def scheduler(page):
    states = page.study.frame()["state"].value_counts()
    assert states["stopped"] > 0
    assert states["complete"] > 0


def own_task(page):
    assert page.study.explain().compiles == 1
    assert page.study.best.score > 0.7


def hyperparameters(page):
    gaps = {name: set(explained.kinds.values()) for name, explained in page.explained.items()}
    assert page.explained["dropout"].compiles == page.explained["epochs"].compiles == 1
    assert page.explained["optimizer"].compiles == 5
    assert len(page.explained["batch size"].programs) == 1
    assert page.explained["batch size"].kinds == {"batch_size": "packed"}
    assert gaps["activation"] == {"guarded"}


def limits(page):
    text = (ROOT / "docs" / "limits.md").read_text()
    line = text[: text.index("math.sqrt(hp.x)")].count("\n") + 1
    assert f"limits.md:{line}" in page.message
    assert "exact value of hp.x" in page.message


def how_it_works(page):
    assert page.study.explain().compiles == 4
    assert page.study.explain().kinds == {"lr": "traced", "depth": "guarded", "rate": "guarded"}


def packed(page):
    kinds = page.study.explain().kinds
    assert kinds == {name: "traced" if name in ("dropout", "lr") else "packed" for name in page.space}
    assert page.check.first["loss"] < 1e-4
    assert page.outputs.shape == (500, 10)


def proposers(page):
    assert page.light.best.metrics["latency"] <= 2
    assert len(page.both.front()) > 3
    assert "trials of study 'first'" in repr(page.second.explain())
    assert page.second.best.score < page.study.best.score + 0.01


def machines(page):
    assert page.study.frame()["state"].eq("complete").sum() == 64
    importlib.import_module("ray").shutdown()


FACTS = {
    "README.md": one_program,
    "from-optuna.md": optuna,
    "from-vmap.md": vmap,
    "training-by-hand.md": by_hand,
    "add-a-proposer.md": proposer,
    "add-a-scheduler.md": scheduler,
    "add-a-task.md": own_task,
    "hyperparameters.md": hyperparameters,
    "how-it-works.md": how_it_works,
    "limits.md": limits,
    "machines.md": machines,
    "packed.md": packed,
    "proposers.md": proposers,
}
"""What a page says of its own results."""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text())], ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VTUNE_CACHE", "off")
    module = types.ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    text = page.read_text()
    for block in blocks(text):
        package = needed(block)
        if package is not None and importlib.util.find_spec(package) is None:
            continue
        if package == "ray":  # a page is no file that workers could import
            importlib.import_module("ray.cloudpickle").register_pickle_by_value(module)
        before = text[: block.start("source")].count("\n")
        with jax.default_matmul_precision("highest"):
            exec(compile("\n" * before + block["source"], str(page), "exec"), module.__dict__)
    FACTS.get(page.name, lambda module: None)(module)


@every_page
def test_a_block_is_left_out_only_for_want_of_a_package(page):
    for block in blocks(page.read_text()):
        assert block["mark"] is None or needed(block), block["mark"]


@every_page
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


@every_page
def test_files_that_are_named_exist(page):
    pattern = re.compile(r"(?<![\w/.-])(?:app|docs|experiments|tests|vtune|\.ci)/[\w./*-]*[\w/*]")
    named = {path for code in code_in(page.read_text()) for path in pattern.findall(code)}
    assert not [path for path in named if not any(ROOT.glob(path.rstrip("/")))]


@every_page
def test_make_targets_and_commands_that_are_named_exist(page):
    code = "\n".join(code_in(page.read_text()))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([\w-]+)", code)) <= targets
    subcommands = typer.main.get_command(commands).commands
    assert set(re.findall(r"(?:^|\n)vtune ([a-z]+)\b", code)) <= set(subcommands)


def test_tests_that_are_named_exist():
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "promises.md").read_text()))
    assert named
    assert not [name for name in sorted(named) if f"def {name}(" not in written]


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"index.md"}
    assert not [name for name in sorted(pages) if f"({name})" not in index]
