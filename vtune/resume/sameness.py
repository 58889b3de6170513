"""Whether what a run is asked to do is the study that its store holds: any difference is refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vtune.errors import StoreError
from vtune.space import Space
from vtune.store import StudyRecord

FIELDS = ("objectives", "steps", "eval_every", "seed", "rng", "proposer", "scheduler", "task", "trials")
CHOICES = {
    "budget": "budget",
    "replicas": "number of folds and seeds",
    "rules": "scheduler",
    "constraints": "constraint",
    "devices": "number of devices",
    "precision": "precision (a setting of JAX)",
}
"""Choices that must stay as they were -> how an error names them."""
REMEDIES = {
    "trials": "A study ends as it was begun; for more trials begin another that learns from this one: "
    "name=..., warm_start=[vtune.load(store, {name!r})].",
    "devices": "Go on where there are as many (devices={before}, of those that JAX finds), or give another name.",
}
"""What to do about some differences, where it is not simply to give what was given before."""


def description(task: Any) -> dict[str, Any]:
    """What a task says of itself, as the JSON values that a store gives back."""
    return json.loads(json.dumps(task.describe())) if hasattr(task, "describe") else {}


def refuse_another(stored: StudyRecord, wanted: StudyRecord, task: Mapping[str, Any]) -> None:
    """Compares a stored study with the one that is asked for.

    Args:
      stored: the study that is to go on.
      wanted: the record that would be made of it now.
      task: what its task says of itself now.

    Raises:
      StoreError: naming the first difference, what it was and what it is now.

    >>> space = {"version": 1, "parameters": [{"name": "on", "kind": "choice", "values": [True], "default": True}]}
    >>> refuse_another(StudyRecord("a", seed=1, space=space), StudyRecord("a", seed=2, space=space), {})
    Traceback (most recent call last):
    vtune.errors.StoreError: study 'a' cannot go on: its seed was 1 and is now 2. Give what it was begun with, or ...
    """
    _same_task(stored, task)
    _same_space(stored, wanted)
    for part, words in CHOICES.items():
        now = wanted.choices.get(part)
        before = stored.choices.get(part, now if part == "rules" else None)
        if before != now:
            nothing = 1 if part == "devices" else "none"
            told = (stored.length, wanted.length) if part == "budget" else (before or nothing, now or nothing)
            remedy = REMEDIES.get(part, "").format(name=stored.name, before=told[0])
            raise _another(stored, f"its {words} was {told[0]} and is now {told[1]}", remedy)
    for field in FIELDS:
        before, now = getattr(stored, field), getattr(wanted, field)
        if before != now:
            remedy = REMEDIES.get(field, "").format(name=stored.name, before=before)
            raise _another(stored, f"its {field} was {before!r} and is now {now!r}", remedy)


def _same_task(stored: StudyRecord, now: Mapping[str, Any]) -> None:
    before = stored.choices.get("task", now)
    for part in sorted(set(before) | set(now)):
        if before.get(part) != now.get(part):
            raise _another(stored, f"the task's {part} was {before.get(part)!r} and is now {now.get(part)!r}")


def _same_space(stored: StudyRecord, wanted: StudyRecord) -> None:
    if stored.space == wanted.space:
        return
    before, now = Space.from_json(dict(stored.space)), Space.from_json(dict(wanted.space))
    for name in (*before, *now):
        old, new = before.get(name), now.get(name)
        if old is None or new is None or repr(old) != repr(new):
            raise _another(stored, f"its hyperparameter {name!r} was {old or 'not there'} and is now {new or 'gone'}")
    rules = [record.space.get("constraints", []) for record in (stored, wanted)]
    if rules[0] != rules[1]:
        raise _another(stored, f"its space was constrained by {rules[0]} and is now by {rules[1]}")
    raise _another(stored, f"its space was {before!r} and is now {now!r}")


def _another(stored: StudyRecord, difference: str, remedy: str = "") -> StoreError:
    what_to_do = remedy or "Give what it was begun with, or another name."
    return StoreError(f"study {stored.name!r} cannot go on: {difference}. {what_to_do}")
