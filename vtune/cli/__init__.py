"""The command line: look at a store, export from it, open the app, go on with a study."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vtune.cli.report import add_to as add_report
from vtune.cli.resume import add_to as add_resume
from vtune.cli.store import add_to as add_store
from vtune.display.text import as_python, duration, plain, short
from vtune.errors import ArgumentError, StoreError, VtuneError
from vtune.records import Trial, TrialState
from vtune.report import Explanation
from vtune.store import Reader, StudyRecord, open_reader, summaries

Store = Annotated[str, typer.Argument(envvar="VTUNE_STORE", help="Path or URL of the store.")]
Study = Annotated[str, typer.Argument(help="Name of the study, or its number.")]

commands = typer.Typer(
    name="vtune",
    help="Look at studies, export them, open the app.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
add_store(commands)
add_resume(commands)


def main() -> None:
    """Runs the command line; bad input ends it with one line on standard error and exit code 2."""
    try:
        commands()
    except VtuneError as error:
        print(f"vtune: {plain(str(error))}", file=sys.stderr)
        sys.exit(2)


@commands.command("ls")
def list_studies(store: Store = "vtune.db") -> None:
    """The studies of a store, newest first."""
    with open_reader(store) as reader:
        studies = [(study, reader.progress(_id(study))) for study in reversed(reader.studies())]
    table = _table("study", "state", "trials>", "best>", "metric", "age>")
    for study, progress in studies:
        metric, mode = study.objectives[0] if study.objectives else ("", "")
        lost = study.state == "running" and not progress["alive"]
        table.add_row(
            plain(study.name),
            "running, silent" if lost else study.state,
            f"{progress['done']:,}/{progress['total']:,}",
            short(progress["best_score"]),
            plain(f"{metric} {mode}".strip()),
            duration(time.time() - study.created),
        )
    _print(table if studies else Text("The store holds no studies yet."))


@commands.command()
def show(
    study: Study,
    store: Store = "vtune.db",
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials.")] = 5,
) -> None:
    """One study: how it stands, its best trials, and how it was trained."""
    with open_reader(store) as reader:
        record = find(reader, study)
        progress = reader.progress(_id(record))
        best = summaries.best_trials(reader, _id(record), top)
    rules = plain(" and ".join(record.choices.get("constraints", ())))
    metric, mode = record.objectives[0] if record.objectives else ("score", "")
    facts = _table("", "", header=False)
    facts.add_row("study", plain(record.name))
    facts.add_row("state", record.state + (f": {plain(record.error)}" if record.error else ""))
    facts.add_row("trials", f"{progress['done']:,} of {progress['total']:,}{_troubles(progress)}")
    facts.add_row("budget", f"{record.length} a trial, measured every {record.interval}")
    facts.add_row("search", plain(f"{record.proposer}, {record.scheduler or 'no scheduler'}, seed {record.seed}"))
    if rules:
        facts.add_row("constraint", rules)
    facts.add_row("time", duration(progress["seconds"]) + f" ({short(progress['trials_per_second'], 3)} trials/s)")
    _print(facts)
    if best:
        heed = f", of what keeps to {rules}" if rules else ""
        _print(Text(f"\nBest by {plain(metric)} ({mode}){heed}"), _best_table(best))
        _print(Text(f"\nTrial {best[0].id} as Python"), Text(as_python(best[0].config)))
    elif rules and progress[TrialState.COMPLETE]:
        _print(Text(f"\nNo complete trial keeps to {rules}."))
    if record.report:
        _print(Text(f"\n{_explained(record.report)}"))


@commands.command()
def export(
    study: Study,
    store: Store = "vtune.db",
    to: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")] = Path("trials.csv"),
    curves: Annotated[bool, typer.Option("--curves", help="Measurements, one row each, instead of trials.")] = False,
) -> None:
    """Writes a study's trials, or its learning curves, to a CSV or Parquet file."""
    kind = to.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise ArgumentError(f"--to must end in .csv or .parquet, given {str(to)!r}")
    if kind == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ArgumentError('writing Parquet needs pyarrow: pip install "vtune[parquet]", or export to .csv')
    if not to.resolve().parent.is_dir():
        raise ArgumentError(f"--to must lie in a folder that exists, given {str(to)!r}")
    with open_reader(store) as reader:
        number = _id(find(reader, study))
        frame = reader.curves(number) if curves else reader.frame(number)
    if kind == ".csv":
        frame.to_csv(to, index=False)
    else:
        frame.attrs.clear()
        mixed = [name for name in frame if frame[name].map(type, na_action="ignore").nunique() > 1]
        frame.astype(dict.fromkeys(mixed, "str")).to_parquet(to, index=False)
    typer.echo(f"{len(frame):,} rows written to {to}")


@commands.command("app")
def open_app(
    store: Store = "vtune.db",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port on 127.0.0.1.")] = 8501,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Opens the app on a store, on this machine only."""
    if importlib.util.find_spec("streamlit") is None:
        raise ArgumentError('the app needs Streamlit: pip install "vtune[app]"')
    location = store if "://" in store else str(Path(store).resolve())
    flags = [
        ("server.address", "127.0.0.1"),
        ("server.allowedHosts", "127.0.0.1"),
        ("server.allowedHosts", "localhost"),
        ("server.enableCORS", "true"),
        ("server.enableXsrfProtection", "true"),
        ("server.port", str(port)),
        ("server.headless", str(not browser).lower()),
        ("server.showEmailPrompt", "false"),
        ("browser.gatherUsageStats", "false"),
    ]
    os.environ["VTUNE_STORE"] = location
    sys.argv = ["streamlit", "run", str(app_script()), *(f"--{name}={value}" for name, value in flags)]
    runpy.run_module("streamlit", run_name="__main__", alter_sys=True)


def app_script() -> Path:
    """Where the app's main.py lies: in the installed package, or beside the package in a checkout.

    Raises:
      StoreError: in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for script in (package / "_app" / "main.py", package.parent / "app" / "main.py"):
        if script.is_file():
            return script
    raise StoreError(f"the app is missing beside {package}: install vtune again (pip install --force-reinstall vtune)")


def find(reader: Reader, study: str) -> StudyRecord:
    """The study of that name; else, if it is a whole number, the study of that number.

    Raises:
      StoreError: there is neither.
    """
    names = {record.name: record for record in reader.studies()}
    if study not in names and study.isdecimal():
        return reader.study(int(study))
    return names[study] if study in names else reader.study(study)


add_report(commands, find)


def _troubles(progress: dict[str, Any]) -> str:
    parts = [
        f"{progress[state]:,} {state}" for state in ("running", "stopped", "diverged", "failed") if progress[state]
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _best_table(trials: list[Trial]) -> Table:
    names = list(dict.fromkeys(name for trial in trials for name in trial.config))
    table = _table("trial>", "score>", "step>", *(plain(name) + ">" for name in names))
    for trial in trials:
        values = [plain(short(trial.config.get(name))) for name in names]
        table.add_row(str(trial.id), short(trial.score), f"{trial.step:,}", *values)
    return table


def _explained(report: Any) -> str:
    try:
        return repr(Explanation.from_json(report))
    except (KeyError, TypeError):
        return json.dumps(report, indent=2, ensure_ascii=False)


def _id(study: StudyRecord) -> int:
    assert study.id is not None
    return study.id


def _table(*columns: str, header: bool = True) -> Table:
    table = Table(box=None, show_header=header, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.removesuffix(">")), justify="right" if column.endswith(">") else "left", overflow="fold"
        )
    return table


def _print(*parts: Table | Text) -> None:
    """Prints tables and texts; where no terminal reads, lines are as long as they need to be."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=1000)
    for part in parts:
        console.print(part)
