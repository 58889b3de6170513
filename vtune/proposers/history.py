"""What a proposer that learns was told: configurations as rows of the unit cube, their scores, and which are known."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import check_told
from vtune.records import Config
from vtune.space import Space

SMALLEST = 64
"""The first rung of the ladder of sizes; each further one is four times as large."""

_DIGITS = 12
"""Decimals by which rows are told apart: a value and the logarithm it comes back from differ in the last bits."""
_SEGMENT = 1024
"""Rows that are stored together; a full segment is written as text once."""


@dataclass(frozen=True)
class Padded:
    """Rows of a history, padded to a rung of the ladder so that a compiled function meets few shapes.

    Attributes:
      unit: float64 [size, dim], NaN where a hyperparameter is not active and in padding.
      losses: float64 [size, objectives], finite; padding is 0.
      steps: float64 [size], NaN where unknown and in padding.
      real: bool [size], False in padding.
    """

    unit: np.ndarray
    losses: np.ndarray
    steps: np.ndarray
    real: np.ndarray


class History:
    """Told configurations, in the order of telling; grows only.

    The same configuration may be told several times (at several steps, or by hand); each telling is a row.

    Args:
      space: where the configurations lie.

    Example:
      >>> from vtune.space import Choice, Float, Space
      >>> history = History(Space(c=Choice("a", "b"), x=Float(0.0, 2.0, when={"c": "a"})))
      >>> history.tell([{"c": "a", "x": 0.5}, {"c": "b"}], [0.1, float("nan")])
      >>> history.unit.tolist(), history.diverged.tolist()
      ([[0.25, 0.25], [0.75, nan]], [False, True])
      >>> history.knows(history.encode([{"c": "b"}, {"c": "a", "x": 1.0}])).tolist()
      [True, False]
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._count = 0
        self._rows = np.empty((0, space.dim + 3))
        self._keys: dict[bytes, int] = {}
        self._segments: list[str] = []

    def __len__(self) -> int:
        return self._count

    @property
    def objectives(self) -> int:
        """Scores a row; 1 until the first telling."""
        return self._rows.shape[1] - self.space.dim - 2

    @property
    def unit(self) -> np.ndarray:
        """Rows of the unit cube, float64 [n, dim], NaN where a hyperparameter is not active."""
        return self._view(slice(0, self.space.dim))

    @property
    def scores(self) -> np.ndarray:
        """Scores as told, float64 [n, objectives], lower is better; not finite where a trial diverged."""
        return self._view(slice(self.space.dim, -2))

    @property
    def steps(self) -> np.ndarray:
        """Steps after which a score was measured, float64 [n]; NaN where nobody said."""
        return self._view(-2)

    @property
    def excess(self) -> np.ndarray:
        """By how much rows exceed what is allowed, float64 [n]; at most 0 where they do not, NaN where nobody said."""
        return self._view(-1)

    @property
    def allowed(self) -> np.ndarray:
        """Which rows keep to what is allowed, for all that is known, bool [n]."""
        return ~(self.excess > 0)

    @property
    def diverged(self) -> np.ndarray:
        """Where any score is not finite, bool [n]."""
        return ~np.isfinite(self.scores).all(axis=1)

    @property
    def losses(self) -> np.ndarray:
        """Scores [n, objectives] in which a trial that diverged has the worst of the others, or 0 without others."""
        scores, diverged = self.scores.copy(), self.diverged
        scores[diverged] = 0.0 if diverged.all() else scores[~diverged].max(axis=0)
        return scores

    def encode(self, configs: Sequence[Config]) -> np.ndarray:
        """Configurations -> rows [n, dim]; equal configurations give equal rows, bit for bit.

        Raises:
          ConfigError: a config that does not lie in the space.
        """
        return self.space.to_unit(configs) + 0.0

    def knows(self, rows: np.ndarray) -> np.ndarray:
        """Whether each row [m, dim] that `encode` gave was told -> bool [m]."""
        return np.array([key in self._keys for key in keys(rows)], dtype=bool)

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None, excess: Any = None) -> None:
        """Takes up scores.

        Args:
          configs: n configs of the space.
          scores: [n] or [n, objectives], lower is better; not finite for a trial that diverged.
          steps: [n], the optimizer steps after which each score was measured; None if all have their full budget.
          excess: [n], by how much each exceeds what is allowed, at most 0 if it keeps to it; None without a constraint.

        Raises:
          ArgumentError: scores or steps that do not fit the configs or what was told before.
          ConfigError: a config that does not lie in the space.
        """
        values = check_told(configs, scores)
        values = values[:, None] if values.ndim == 1 else values
        done = self._checked_steps(steps, len(values))
        over = _checked_excess(excess, len(values))
        if not len(values):
            return
        if not self._count:
            self._rows = np.empty((0, self.space.dim + values.shape[1] + 2))
        if values.shape[1] != self.objectives:
            raise ArgumentError(
                f"scores must have {self.objectives} objectives, as those told before; got {values.shape[1]}"
            )
        self._append(np.concatenate([self.encode(configs), values, done[:, None], over[:, None]], axis=1))

    def take(self, other: History, start: int, end: int) -> None:
        """Takes up rows of another history of the same space, bit for bit; all must have as many objectives."""
        if not self._count:
            self._rows = np.empty((0, other._rows.shape[1]))
        self._append(other._rows[start:end])

    def padded(self, rows: np.ndarray | None = None) -> Padded:
        """Rows of the history, padded to a rung of the ladder.

        Args:
          rows: numbers of the rows to take [k]; all of them unless given.
        """
        chosen = np.arange(self._count) if rows is None else rows
        missing = rung(len(chosen)) - len(chosen)
        return Padded(
            unit=np.pad(self.unit[chosen], ((0, missing), (0, 0)), constant_values=np.nan),
            losses=np.pad(self.losses[chosen], ((0, missing), (0, 0))),
            steps=np.pad(self.steps[chosen], (0, missing), constant_values=np.nan),
            real=np.arange(len(chosen) + missing) < len(chosen),
        )

    def state(self) -> dict[str, Any]:
        """All rows as JSON values: little-endian float64 in base64, a segment of rows a string."""
        full = self._count // _SEGMENT
        for segment in range(len(self._segments), full):
            self._segments.append(_packed(self._rows[segment * _SEGMENT : (segment + 1) * _SEGMENT, :-1]))
        tail = self._rows[full * _SEGMENT : self._count, :-1]
        constrained = {} if np.isnan(self.excess).all() else {"excess": _packed(self.excess)}
        return {
            "names": list(self.space.names),
            "objectives": self.objectives,
            "rows": self._segments + ([_packed(tail)] if len(tail) else []),
            **constrained,
        }

    def restore(self, state: Any) -> None:
        """Holds what `state` held, and nothing else.

        Raises:
          ProposerError: not a state, or that of another space.
        """
        must = f"a state's history must have the hyperparameters {', '.join(self.space.names)}, objectives and rows"
        if not isinstance(state, Mapping) or state.get("names") != list(self.space.names):
            raise ProposerError(f"{must}; got {state!r}")
        try:
            width = self.space.dim + int(state["objectives"]) + 1
            rows = np.concatenate([np.empty(0), *map(_unpacked, state["rows"])]).reshape(-1, width).astype(np.float64)
            excess = _unpacked(state["excess"]) if "excess" in state else np.full(len(rows), np.nan)
            rows = np.concatenate([rows, excess.reshape(len(rows), 1)], axis=1)
        except (KeyError, TypeError, ValueError) as error:
            raise ProposerError(f"{must}; got one that cannot be read ({error})") from None
        self._count, self._rows, self._keys, self._segments = 0, np.empty((0, width + 1)), {}, []
        self._append(rows)

    def _view(self, columns: Any) -> np.ndarray:
        view = self._rows[: self._count, columns]
        view.flags.writeable = False
        return view

    def _append(self, rows: np.ndarray) -> None:
        total = self._count + len(rows)
        if total > len(self._rows):
            grown = np.empty((max(total, 2 * len(self._rows), SMALLEST), rows.shape[1]))
            grown[: self._count] = self._rows[: self._count]
            self._rows = grown
        self._rows[self._count : total] = rows
        for number, key in enumerate(keys(rows[:, : self.space.dim]), start=self._count):
            self._keys.setdefault(key, number)
        self._count = total

    def _checked_steps(self, steps: Any, n: int) -> np.ndarray:
        if steps is None:
            return np.full(n, np.nan)
        try:
            done = np.asarray(steps, dtype=np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(f"steps must be numbers of optimizer steps; got {steps!r}") from None
        if done.shape != (n,) or not (np.isfinite(done) & (done >= 0)).all():
            raise ArgumentError(f"steps must be one number >= 0 for each of the {n} configs; got {steps!r}")
        return done


def rung(n: int, smallest: int = SMALLEST) -> int:
    """The least size of the ladder that holds n rows.

    Example:
      >>> [rung(n) for n in (0, 64, 65, 5000)]
      [64, 64, 256, 16384]
    """
    size = smallest
    while size < n:
        size *= 4
    return size


def keys(rows: np.ndarray) -> list[bytes]:
    """What stands for each row [n, dim] in a set or a dict."""
    data = np.ascontiguousarray(np.round(rows, _DIGITS) + 0.0).tobytes()
    width = rows.shape[1] * rows.itemsize
    return [data[start : start + width] for start in range(0, len(data), width)]


def _checked_excess(excess: Any, n: int) -> np.ndarray:
    if excess is None:
        return np.full(n, np.nan)
    try:
        over = np.asarray(excess, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"excess must be numbers, at most 0 for what is allowed; got {excess!r}") from None
    if over.shape != (n,):
        raise ArgumentError(f"excess must be one number for each of the {n} configs; got shape {list(over.shape)}")
    return over


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), "<f8")


def _packed(rows: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(rows, dtype="<f8").tobytes()).decode("ascii")
