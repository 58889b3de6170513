"""Constraints on results, as conditions on what a store holds."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Table

from vtune.requirement import Requirement
from vtune.store import schema
from vtune.store.records import StudyRecord


@lru_cache(maxsize=64)
def curves_of(study_id: int, metrics: int) -> Table:
    """The curves of a study: one object a table, since SQLAlchemy takes two for two tables."""
    return schema.curves(study_id, metrics)


def bounds(study: StudyRecord) -> list[Any]:
    """What a trial's last values must keep to, as conditions on the study's curves; missing values do not."""
    table = curves_of(study.id or 0, len(study.metrics))
    rules = [Requirement.parse(text) for text in study.choices.get("constraints", ())]
    known = [(table.c[f"m{study.metrics.index(rule.metric)}"], rule) for rule in rules if rule.metric in study.metrics]
    return [column <= rule.bound if rule.sense == "<=" else column >= rule.bound for column, rule in known]
