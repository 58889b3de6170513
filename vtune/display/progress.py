"""The live display of a run: a bar in terminals and notebooks, a line now and then anywhere else."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vtune.display.notebook import NotebookBar, in_notebook
from vtune.errors import ArgumentError

LINE_SECONDS = 10.0
"""How often a display that cannot be redrawn prints a line."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a display shows.

    Attributes:
      ended: trials that are over.
      trials: trials asked for.
      step_share: lane-steps done of all that the run needs, 0 to 1; moves between the ends of trials.
      diverged: trials that diverged.
      best: the best score so far, None before the first.
      occupancy: lane-steps of live trials over those dispatched.
    """

    ended: int
    trials: int
    step_share: float
    diverged: int
    best: float | None
    occupancy: float


class Display:
    """Shows how a run goes; used as a context manager.

    Args:
      name: the study's name.
      metric: name of the metric that is tuned.
      mode: "auto" (a bar where it can be redrawn, in a notebook one output of its own, else lines on stderr), "bar",
        "lines" or "off".
    """

    def __init__(self, name: str, metric: str, mode: str = "auto"):
        if mode not in ("auto", "bar", "lines", "off"):
            raise ArgumentError(f"progress must be 'auto', 'bar', 'lines' or 'off', not {mode!r}")
        self._console = Console(stderr=True)
        self._mode = ("bar" if self._console.is_terminal else "lines") if mode == "auto" else mode
        self._notebook = NotebookBar(name) if mode in ("auto", "bar") and in_notebook() else None
        if self._notebook is not None:
            self._mode = "notebook"
        self._name = name
        self._metric = metric
        self._started = time.monotonic()
        self._began: float | None = None
        self._last_line = 0.0
        self._bar: Progress | None = None

    def __enter__(self) -> Display:
        self._started = time.monotonic()
        if self._mode == "bar":
            self._bar = Progress(
                TextColumn("[bold]{task.fields[study]}", markup=True),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                refresh_per_second=4,
            )
            self._task = self._bar.add_task("", total=None, study=_escaped(self._name), facts="starting")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._notebook is not None:
            self._notebook.close()

    def say(self, text: str) -> None:
        """What is going on now: "compiling 1 of 3"."""
        if self._notebook is not None:
            self._notebook.say(text)
        elif self._bar is not None:
            self._bar.update(self._task, facts=text)
        elif self._mode == "lines":
            self._print(text)

    def show(self, status: Status, *, last: bool = False) -> None:
        """Brings the display up to date."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        facts = self._facts(status, now, last)
        if self._notebook is not None:
            share = max(status.step_share, status.ended / max(1, status.trials))
            counts = f"{status.ended:,} of {status.trials:,} trials in {_duration(now - self._started)}"
            self._notebook.draw(counts, share, facts, last=last)
        elif self._bar is not None:
            self._bar.update(self._task, total=status.trials, completed=status.ended, facts=facts)
        elif self._mode == "lines" and (last or now - self._last_line >= LINE_SECONDS):
            self._last_line = now
            self._print(f"{status.ended:,}/{status.trials:,} trials  {facts}")

    def _facts(self, status: Status, now: float, last: bool) -> str:
        elapsed = now - self._started
        parts = []
        if status.best is not None:
            parts.append(f"best {self._metric} {status.best:.5g}")
        if status.ended:
            parts.append(f"{status.ended / max(elapsed, 1e-9):.3g} trials/s")
        if status.diverged:
            parts.append(f"{status.diverged:,} diverged")
        parts.append(f"lanes {status.occupancy:.0%}")
        if not last and 0.0 < status.step_share < 1.0:
            remaining = (now - (self._began or now)) * (1.0 / status.step_share - 1.0)
            parts.append(f"{_duration(remaining)} left")
        return "  ".join(parts)

    def _print(self, text: str) -> None:
        print(f"[{self._name}] {_duration(time.monotonic() - self._started):>6}  {text}", file=sys.stderr, flush=True)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[").replace("\n", " ")


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
