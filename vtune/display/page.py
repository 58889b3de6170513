"""A study on one page: an HTML file that needs nothing else, for people who do not have the store."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from vtune import analysis
from vtune.display.text import as_python, duration, plain, short
from vtune.plots.look import INKS, themed
from vtune.plots.namespace import Plots
from vtune.space import Space
from vtune.store import Reader, StudyRecord, summaries

TOP = 10
FIGURES = (
    ("history", "History", "Every trial, and the best so far."),
    ("curves", "Learning curves", "The best trials above bands of all others."),
    ("generalization", "Training against validation", "Trials on the diagonal do as well on both."),
    ("importance", "What matters", "Each hyperparameter by itself; the whiskers hold nine tenths of the bootstrap."),
    (
        "interactions",
        "What matters together",
        "Shares of the variance: alone on the diagonal, pairs below.",
    ),
    ("slices", "Slices", "The score against each hyperparameter."),
    ("contour", "The two that matter most", "The expected score, averaged over all others."),
    ("parallel", "Parallel coordinates", "Drag along an axis to keep the lines through a range; click to let go."),
    ("front", "Front", "Trials that no other beats in every objective."),
    ("hypervolume", "Hypervolume", "The volume that the trials dominate."),
    ("predictions", "Expected and come", "What the proposer's model expected of its trials."),
    ("gain", "Expected gain", "What the proposer's model still hoped for."),
    ("room", "Room left", "What more trials like these are likely to bring."),
    ("edf", "Distribution", "Which share of the trials reaches a score."),
    ("timeline", "Lanes", "Which trial sat in which lane."),
    ("occupancy", "Occupancy", "How many lanes were busy."),
    ("costs", "Programs", "What each cost to trace, compile and run."),
)
"""The figures of a report, in order: method of `Plots`, title, one line."""

_STYLE = """
:root { color-scheme: light dark; --ground: #fcfcfb; --ink: #23292f; --quiet: #5c646c; --line: #e1e3df;
  --soft: #f2f3f1 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #15181c; --ink: #e3e6e8; --quiet: #a3abb3; --line: #2f353c; --soft: #1e2227 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 "Source Sans 3", system-ui, sans-serif }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 80px }
h1 { font-size: 30px; margin: 0 0 4px; overflow-wrap: anywhere } h2 { font-size: 21px; margin: 48px 0 0 }
p { margin: 2px 0 12px; color: var(--quiet) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px 24px; margin: 24px 0 }
dt { font-size: 13px; color: var(--quiet) } dd { margin: 0; font-size: 20px; font-weight: 600; overflow-wrap: anywhere }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); font-weight: 400 }
th { color: var(--quiet); font-size: 13px } th:first-child, td:first-child { text-align: left }
td.text, th.text { text-align: left }
pre { background: var(--soft); padding: 16px; border-radius: 8px; overflow-x: auto; font-size: 14px }
nav { display: flex; flex-wrap: wrap; gap: 2px 16px } nav a { color: var(--quiet) }
"""

_SCRIPT = """
const page = JSON.parse(document.getElementById("page").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function draw() {
  const theme = dark.matches ? "dark" : "light";
  for (const [name, figure] of Object.entries(page.figures)) {
    figure.layout.template = page.templates[theme];
    for (const trace of figure.data) if (trace.type === "parcoords")
      for (const font of ["labelfont", "tickfont"]) trace[font].color = page.inks[theme];
    Plotly.react(name, figure.data, figure.layout, {displaylogo: false, responsive: true});
  }
}
dark.addEventListener("change", draw);
draw();
"""


def write_report(reader: Reader, study_id: int, path: str | Path) -> Path:
    """Writes a report of a study into one HTML file, with figures to zoom and hover, that needs no network.

    Args:
      reader: of the store.
      study_id: which study.
      path: of the file; its folder must exist.

    Returns:
      The file.

    Raises:
      StoreError: when there is no such study.
    """
    file = Path(path)
    file.write_text(report_page(reader, study_id), encoding="utf-8")
    return file


def report_page(reader: Reader, study_id: int) -> str:
    """The text of the file that `write_report` writes."""
    study, plots = reader.study(study_id), Plots(reader, study_id)
    figures = report_figures(plots)
    sections = [_figure(name, figures) for name in figures]
    names = {name: title for name, title, _ in FIGURES}
    links = "".join(f'<a href="#{name}-title">{names[name]}</a>' for name in figures)
    templates = {theme: themed(go.Figure(), theme).layout.template.to_plotly_json() for theme in ("light", "dark")}
    page = {
        "figures": {name: json.loads(figure.to_json()) for name, figure in figures.items()},
        "templates": templates,
        "inks": INKS,
    }
    for figure in page["figures"].values():
        figure["layout"].pop("template", None)
    title = html.escape(plain(study.name))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:\">",
            f"<title>{title}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{title}</h1><p>{html.escape(_subtitle(study))}</p>",
            _facts(study, reader),
            f"<nav>{links}</nav>",
            *_best(study, reader),
            *sections,
            *_tables(study, reader),
            "</main>",
            f'<script type="application/json" id="page">{_inert(json.dumps(page))}</script>',
            f"<script>{get_plotlyjs()}</script>",
            f"<script>{_SCRIPT}</script></body></html>",
        ]
    )


def report_figures(plots: Plots, names: Iterable[str] | None = None) -> dict[str, go.Figure]:
    """The figures of a report that have something to show, by their names in `Plots`."""
    there = set(plots.available())
    wanted = [name for name, _, _ in FIGURES] if names is None else list(names)
    return {name: getattr(plots, name)() for name in wanted if name in there}


def _figure(name: str, figures: dict[str, go.Figure]) -> str:
    title, line = next((title, line) for known, title, line in FIGURES if known == name)
    height = int(figures[name].layout.height or 450)
    return f'<h2 id="{name}-title">{title}</h2><p>{line}</p><div id="{name}" style="height:{height}px"></div>'


def _subtitle(study: StudyRecord) -> str:
    goal = ", ".join(f"{name} ({mode})" for name, mode in study.objectives)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(study.updated))
    parts = [goal, study.state, f"{study.proposer}, {study.scheduler or 'no scheduler'}, seed {study.seed}"]
    return plain(" · ".join([*parts, f"as of {when} UTC"]))


def _facts(study: StudyRecord, reader: Reader) -> str:
    progress = reader.progress(study.id or 0)
    facts = {
        "best score": short(progress["best_score"]) if len(study.objectives) < 2 else "see the front",
        "trials": f"{progress['done']:,} of {progress['total']:,}",
        "diverged": f"{progress['diverged']:,}",
        "budget of a trial": study.length,
        "time": duration(progress["seconds"]),
        "trials a second": short(progress["trials_per_second"], 3),
        "programs": f"{len(study.report.get('programs') or ()):,}",
        "lanes": f"{study.report.get('lanes', 0):,}",
    }
    cells = (
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(plain(value))}</dd></div>" for name, value in facts.items()
    )
    return f"<dl>{''.join(cells)}</dl>"


def _best(study: StudyRecord, reader: Reader) -> list[str]:
    best = summaries.best_trials(reader, study.id or 0, TOP)
    rules = ", ".join(map(str, study.choices.get("constraints", ())))
    kept = f" and keeps to {html.escape(plain(rules))}" if rules else ""
    if not best:
        return [f"<h2>Best configurations</h2><p>No trial is complete{kept} yet.</p>"]
    names = list(dict.fromkeys(name for trial in best for name in trial.config))
    rows = [[trial.id, trial.score, trial.step, *(trial.config.get(name) for name in names)] for trial in best]
    about = f"<p>Of the trials that keep to {html.escape(plain(rules))}.</p>" if rules else ""
    parts = [f"<h2>Best configurations</h2>{about}", _table(["trial", "score", "step", *names], rows)]
    if again := [
        f"trial {trial.id}: {short(trial.rerun.score)} ± {short(trial.rerun.spread, 2)}"
        for trial in best
        if trial.rerun
    ]:
        parts.append(f"<p>Trained again with fresh seeds: {html.escape('; '.join(again))}</p>")
    python = html.escape(plain_lines(as_python(best[0].config)))
    return [*parts, f"<p>Trial {best[0].id} as Python:</p><pre>{python}</pre>"]


def plain_lines(text: str) -> str:
    """A text of several lines without other control characters."""
    return "\n".join(plain(line) for line in text.splitlines())


def _tables(study: StudyRecord, reader: Reader) -> list[str]:
    parts = []
    frame = summaries.sample(reader, study.id or 0)
    mode = study.objectives[0][1] if study.objectives else "min"
    if (frame["state"] == "complete").sum() >= 20:
        looked = analysis.where_to_look(frame, Space.from_json(dict(study.space)), mode)
        parts += ["<h2>Where to look next</h2>", _frame(looked, text=range(5))]
    if len(programs := analysis.programs(study.report)):
        parts += ["<h2>Programs</h2>", _frame(programs.head(50), text=(2,))]
    if len(asked := analysis.guards(study.report)):
        parts += ["<h2>What Python asked of each hyperparameter</h2>", _frame(asked, text=range(6))]
    return parts


def _frame(frame: pd.DataFrame, text: Iterable[int] = ()) -> str:
    return _table(list(frame.columns), frame.astype(object).to_numpy().tolist(), text)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], text: Iterable[int] = ()) -> str:
    left = set(text)

    def cell(kind: str, index: int, value: Any) -> str:
        style = ' class="text"' if index in left else ""
        return f"<{kind}{style}>{html.escape(plain(value if kind == 'th' else short(value)))}</{kind}>"

    top = "".join(cell("th", index, name) for index, name in enumerate(head))
    body = "".join(f"<tr>{''.join(cell('td', i, value) for i, value in enumerate(row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _inert(text: str) -> str:
    """JSON that cannot end the element in which it stands."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
