"""Puts together what `explain()` shows, from the executor's programs and the loop's counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vtune.driver.tally import Tally
from vtune.engine.program import Traced
from vtune.executors.local import LocalExecutor
from vtune.hyper import Guard
from vtune.report import Explanation, GuardReport, ProgramReport

SAMPLE = 1024
"""Configs from which the number of programs that a space needs is estimated."""


def explanation(
    executor: LocalExecutor, space: Any, tally: Tally, seconds: float, threads: int, seed: int
) -> Explanation:
    """Makes the explanation of a study as it stands.

    Args:
      executor: with the programs.
      space: the search space.
      tally: the loop's counts.
      seconds: since the run began.
      threads: host threads.
      seed: of the sample that the number of programs is estimated from.
    """
    planner, strategy = executor.planner, executor.strategy
    sample = space.fill(space.sample(SAMPLE, np.random.default_rng(seed)))
    traces = sum(traced.seconds for traced in planner.traced)
    compiles = sum(program.compile_seconds for program in planner.compiled.values())
    abreast = max(1, min(threads, executor.blocks))
    cost = executor.division
    expected = {} if cost is None else {"compile": cost.compile_seconds, "device": cost.train_seconds / abreast}
    return Explanation(
        kinds=_kinds(planner.traced, space),
        programs=tuple(_program(executor, number) for number in range(len(planner.traced))),
        possible=planner.possible(sample),
        compiles=len(planner.compiled),
        lanes=executor.lanes,
        block=strategy.block,
        strategy=f"steps by {strategy.kind}, convolutions {strategy.convolutions}",
        threads=threads,
        trials=tally.asked,
        occupancy=tally.occupancy if tally.dispatched_steps else None,
        evaluation_share=evaluation_share(tally.chunks),
        seconds={
            "trace": traces,
            "compile": compiles,
            "device": tally.device_seconds / abreast,
            "store": tally.store_seconds,
            "total": seconds,
        },
        memory_bytes=executor.lanes * max((traced.bytes_per_lane for traced in planner.traced), default=0),
        buckets={name: list(ends) for name, ends in executor.buckets.ends.items()},
        expected=expected,
        padded_share=executor.padded_share,
        notes={name: text for traced in planner.traced for name, text in traced.notes.items()},
    )


def evaluation_share(chunks: Sequence[tuple[int, int, bool, float]]) -> float | None:
    """Estimates which share of the device time measuring takes.

    Seconds of a chunk are fitted as steps times a cost a step plus a cost a measurement, by least squares, for each
    program; chunks that were not measured and chunks of different lengths tell the two apart.

    Args:
      chunks: (program, steps, measured, seconds).

    Returns:
      A share from 0 to 1, or None where the chunks cannot tell.
    """
    measuring = total = 0.0
    for program in {chunk[0] for chunk in chunks}:
        rows = np.array([chunk[1:] for chunk in chunks if chunk[0] == program], np.float64)
        parts = rows[:, :2]
        if len(rows) < 3 or np.linalg.matrix_rank(parts) < 2:
            continue
        cost = np.linalg.lstsq(parts, rows[:, 2], rcond=None)[0]
        measuring += max(0.0, float(cost[1])) * parts[:, 1].sum()
        total += rows[:, 2].sum()
    return min(1.0, measuring / total) if total else None


def _kinds(traced: Sequence[Traced], space: Any) -> dict[str, str]:
    found: dict[str, str] = dict.fromkeys(space, "traced")
    for program in traced:
        for name, kind in program.kinds.items():
            if kind != "traced":
                found[name] = kind
    return found


def _program(executor: LocalExecutor, number: int) -> ProgramReport:
    traced = executor.planner.traced[number]
    program = executor.planner.compiled.get(number)
    return ProgramReport(
        guards=tuple(_guard(guard) for guard in traced.guards),
        lanes=traced.strategy.block,
        trials=executor.served.get(number, 0),
        trace_seconds=traced.seconds,
        compile_seconds=program.compile_seconds if program else None,
        step_seconds=program.step_seconds if program else None,
        state_bytes=traced.bytes_per_lane,
        demotion=traced.demotion,
    )


def _guard(guard: Guard) -> GuardReport:
    answer = guard.exception.__name__ if guard.exception else repr(guard.outcome)
    return GuardReport(guard.question, answer, guard.place, tuple(sorted(guard.names)))
