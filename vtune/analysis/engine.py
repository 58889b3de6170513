"""How a study was trained, as tables: its programs, and the questions that Python asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def programs(report: Mapping[str, Any]) -> pd.DataFrame:
    """The programs of a study and what each cost.

    Args:
      report: `StudyRecord.report`, or `Explanation.to_json()`.

    Returns:
      One row a program: `program` (from 1), `trials`, `guards` (as text), `trace`, `compile` (seconds; NaN when it was
      not compiled), `step` (milliseconds of a lane's step; NaN before it ran), `kib` (state of a lane).

    >>> programs({})["program"].tolist()
    []
    """
    rows = []
    for number, program in enumerate(report.get("programs") or (), 1):
        guards = ", ".join(f"{guard['question']} is {guard['outcome']}" for guard in program.get("guards", ()))
        step = program.get("step_seconds")
        rows.append(
            {
                "program": number,
                "trials": program.get("trials", 0),
                "guards": guards or "none",
                "trace": program.get("trace_seconds", np.nan),
                "compile": np.nan if program.get("compile_seconds") is None else program["compile_seconds"],
                "step": np.nan if step is None else 1e3 * step / max(1, program.get("lanes", 1)),
                "kib": program.get("state_bytes", 0) / 1024,
            }
        )
    return pd.DataFrame(rows, columns=["program", "trials", "guards", "trace", "compile", "step", "kib"])


def guards(report: Mapping[str, Any]) -> pd.DataFrame:
    """What Python asked of each hyperparameter, and where.

    Args:
      report: `StudyRecord.report`, or `Explanation.to_json()`.

    Returns:
      One row a question (or a hyperparameter that was asked nothing): `hyperparameter`, `kind` ("traced", "guarded" or
      "packed"), `question`, `place` (file:line), `answers` (answer and how many programs gave it), `note`.

    >>> guards({"kinds": {"lr": "traced"}})["question"].tolist()
    ['']
    """
    kinds, notes = report.get("kinds") or {}, report.get("notes") or {}
    asked: dict[tuple[str, str, str], dict[str, int]] = {}
    for program in report.get("programs") or ():
        for guard in program.get("guards", ()):
            for name in guard.get("names", ()):
                answers = asked.setdefault((name, guard["question"], guard["place"]), {})
                answers[guard["outcome"]] = answers.get(guard["outcome"], 0) + 1
    rows = []
    for name, kind in kinds.items():
        found = [(key, answers) for key, answers in asked.items() if key[0] == name] or [((name, "", ""), {})]
        for (_, question, place), answers in found:
            told = ", ".join(f"{answer} in {count:,}" for answer, count in answers.items())
            rows.append((name, kind, question, place, told, notes.get(name, "")))
    return pd.DataFrame(rows, columns=["hyperparameter", "kind", "question", "place", "answers", "note"])
