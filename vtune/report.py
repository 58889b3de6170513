"""What `explain()` and `plan()` tell: how each hyperparameter is treated, and what the programs are and cost."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vtune.display import cards
from vtune.records import Rerun

KINDS = ("hyperparameter", "kind", "questions that Python asked")
PROGRAMS = ("program", "guards", "trials", "trace s", "compile s", "ms a lane-step", "KiB a lane")


@dataclass(frozen=True, slots=True)
class GuardReport:
    """A question that Python asked of a hyperparameter, the answer, and where it was asked."""

    question: str
    outcome: str
    place: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgramReport:
    """One compiled computation.

    Attributes:
      guards: the answers that a trial must give to be trained by it.
      lanes: width of its blocks.
      trials: how many trials it has served.
      trace_seconds: what tracing and lowering took.
      compile_seconds: what the compiler or the persistent cache took; None when it was not compiled.
      step_seconds: seconds of one step of a whole block; None before it ran.
      state_bytes: size of one lane's state.
      demotion: hyperparameters that the library code could only use as plain values; empty as a rule.
    """

    guards: tuple[GuardReport, ...]
    lanes: int
    trials: int
    trace_seconds: float
    compile_seconds: float | None
    step_seconds: float | None
    state_bytes: int
    demotion: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a study is (or would be) trained.

    Attributes:
      kinds: hyperparameter -> "traced" | "guarded" | "packed".
      programs: those used, in the order in which they were needed.
      possible: estimate of the programs that the whole space can need.
      compiles: executables made or taken from the persistent cache.
      lanes: trials side by side.
      block: lanes of one executable.
      strategy: how steps run, in words.
      threads: host threads.
      occupancy: lane-steps of live trials over lane-steps dispatched; None before anything ran.
      evaluation_share: estimated share of the device time that measuring takes; None where it cannot be told yet.
      seconds: where the time went: "trace", "compile" (summed over threads), "device" (a thread), "store", "total".
      memory_bytes: what the blocks' states take.
      expected_seconds: of a plan, or None.
      buckets: packed size -> the largest values of its ranges.
      expected: seconds that packing was expected to take before the first trial, under names of `seconds`.
      padded_share: share of the admitted trials' work that is padding; None where nothing is packed.
      notes: hyperparameter -> what else is to be said of it, such as why it was not packed.
      trials: planned or admitted trials.
      reruns: trial -> what fresh seeds made of it after the study.
      remarks: what was learned from earlier studies, lanes that leave little to learn from, and why there are fewer
        trials than asked for, in words.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x) if hp.flat == 0 else jnp.abs(hp.x)})
      >>> space = vtune.Space(x=vtune.Float(-1, 1), flat=vtune.Int(0, 1))
      >>> explained = vtune.tune(task, space, trials=16, progress="off").explain()
      >>> dict(explained.kinds), len(explained.programs)
      ({'x': 'traced', 'flat': 'guarded'}, 2)
    """

    kinds: Mapping[str, str]
    programs: tuple[ProgramReport, ...]
    possible: int
    compiles: int
    lanes: int
    block: int
    strategy: str
    threads: int
    trials: int
    occupancy: float | None = None
    evaluation_share: float | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int = 0
    expected_seconds: float | None = None
    buckets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    padded_share: float | None = None
    reruns: Mapping[int, Rerun] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The explanation as JSON values, as the store keeps it."""
        values = asdict(self)
        return {**values, "reruns": {str(trial): each for trial, each in values["reruns"].items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Explanation:
        """Reads what `to_json` wrote."""
        programs = tuple(
            ProgramReport(**{**p, "guards": tuple(_guard(g) for g in p["guards"])}) for p in values["programs"]
        )
        reruns = {int(trial): Rerun.from_json(each) for trial, each in values.get("reruns", {}).items()}
        return cls(**{**values, "programs": programs, "reruns": reruns})

    def __repr__(self) -> str:
        text = io.StringIO()
        console = Console(file=text, width=110, color_system=None, force_jupyter=False)
        for part in self._parts():
            console.print(part)
        return text.getvalue().rstrip()

    def _repr_html_(self) -> str:
        lines = [f"<div>{cards.text(line)}</div>" for line in self._headline()]
        return cards.card(*lines, cards.table(KINDS, self._kinds()), cards.table(PROGRAMS, self._programs()))

    def _parts(self) -> Sequence[Any]:
        return [Text(line) for line in self._headline()] + [self._kinds_table(), self._programs_table()]

    def _headline(self) -> list[str]:
        lines = [
            f"{self.trials:,} trials in {_count(len(self.programs), 'program')} "
            f"(the space may need {self.possible:,}); {self.lanes} lanes in blocks of {self.block}, "
            f"{_count(self.threads, 'thread')}, {self.strategy}"
        ]
        facts = []
        if self.occupancy is not None:
            facts.append(f"lanes occupied {self.occupancy:.1%}")
        if self.evaluation_share is not None:
            facts.append(f"evaluation {self.evaluation_share:.0%} of device time")
        if self.memory_bytes:
            facts.append(f"state {self.memory_bytes / 2**20:,.1f} MiB")
        if self.expected_seconds is not None:
            facts.append(f"expected about {self.expected_seconds:,.0f} s")
        if self.seconds:
            facts.append(", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items()))
        if facts:
            lines.append(", ".join(facts))
        if self.buckets:
            ranges = "; ".join(f"{name} up to {', '.join(map(str, ends))}" for name, ends in self.buckets.items())
            padded = "" if self.padded_share is None else f"; {self.padded_share:.0%} of the work is padding"
            expected = ", ".join(f"{name} {value:.1f} s" for name, value in self.expected.items())
            lines.append(f"packed in ranges: {ranges}{padded}{'; expected ' if expected else ''}{expected}")
        lines += self.remarks
        lines += [again_in_words(trial, rerun) for trial, rerun in self.reruns.items()]
        return lines

    def _kinds(self) -> list[tuple[str, str, str]]:
        """Name, kind and questions of each hyperparameter."""
        asked: dict[str, list[str]] = {}
        for program in self.programs:
            for guard in program.guards:
                for name in guard.names:
                    line = f"{guard.question}   {guard.place}"
                    if line not in asked.setdefault(name, []):
                        asked[name].append(line)
        said = {name: [note] for name, note in self.notes.items()}
        return [(name, kind, "\n".join(said.get(name, []) + asked.get(name, []))) for name, kind in self.kinds.items()]

    def _kinds_table(self) -> Table:
        table = Table(*KINDS, box=None, pad_edge=False, header_style="bold")
        for name, kind, questions in self._kinds():
            table.add_row(name, kind, Text(questions))
        return table

    def _programs(self) -> list[tuple[str, ...]]:
        """The cells of `PROGRAMS` for each program."""
        rows: list[tuple[str, ...]] = []
        for number, program in enumerate(self.programs, 1):
            guards = ", ".join(f"{guard.question} is {guard.outcome}" for guard in program.guards) or "none"
            if program.demotion:
                guards += f"; {program.demotion}"
            rows.append((
                str(number), guards, f"{program.trials:,}", f"{program.trace_seconds:.2f}",
                "-" if program.compile_seconds is None else f"{program.compile_seconds:.2f}",
                "-" if program.step_seconds is None else f"{program.step_seconds / program.lanes * 1e3:.4f}",
                f"{program.state_bytes / 1024:,.1f}",
            ))  # fmt: skip
        return rows

    def _programs_table(self) -> Table:
        table = Table(*PROGRAMS[:2], box=None, pad_edge=False, header_style="bold")
        for heading in PROGRAMS[2:]:
            table.add_column(heading, justify="right")
        for number, guards, *costs in self._programs():
            table.add_row(number, Text(guards), *costs)
        return table


def again_in_words(trial: int, rerun: Rerun) -> str:
    """What fresh seeds made of a trial, in a line.

    >>> again_in_words(7, Rerun(0.98, (0.94, 0.96), {"accuracy": (0.93, 0.95)}))
    'trial 7: selected for 0.98, with 2 fresh seeds 0.95 ± 0.01; on test data accuracy 0.94 ± 0.01'
    """
    told = f"trial {trial}: selected for {rerun.selected:.4g}, with {_count(len(rerun.scores), 'fresh seed')} "
    told += f"{rerun.score:.4g} ± {rerun.spread:.2g}"
    spread = rerun.test_spread
    tested = ", ".join(f"{name} {value:.4g} ± {spread[name]:.2g}" for name, value in rerun.test.items())
    return told + (f"; on test data {tested}" if tested else "")


def _guard(values: Mapping[str, Any]) -> GuardReport:
    return GuardReport(values["question"], values["outcome"], values["place"], tuple(values["names"]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
