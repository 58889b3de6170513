"""A program: the compiled computation of one block of lanes, and the guards that say whom it serves.

One executable does everything that a chunk needs: it fills fresh lanes with an initialised state, trains every lane
for a number of steps that is an argument, and measures. Nothing of a study is a constant in it: data, seed,
hyperparameters, step counts and trial ids are arguments, so that it is compiled once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun

from vtune import rng
from vtune.engine import sharding
from vtune.engine.columns import joined, split
from vtune.engine.lane import LaneTask, StateLeaf
from vtune.engine.strategy import Strategy
from vtune.hyper import Guard, Layout, Packing, trace_with_ladder
from vtune.tasks.convolution import convolutions

IDS, REPLICA, START, FRESH, DUE, LIVE = range(6)
"""Rows of the lane table: trial id, which of its folds and seeds, steps done before, whether the lane starts anew,
whether it is to be measured, whether it holds a trial."""
COUNT, MEASURE = range(2)
"""Entries of the clock: steps to do, whether to measure after them."""
MOST_STEP_METRICS = 16
"""Scalars that a step may return: their running sums are carried in one array of this width."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A program before it is compiled.

    Attributes:
      exemplar: the filled config whose answers the guards hold.
      guards: what a config must satisfy to be trained by this program.
      layout: makes the hyperparameter columns of a batch of configs.
      kinds: hyperparameter -> "traced", "guarded" or "packed".
      packed: hyperparameters that packed code uses.
      lasting: those of them that say what the arrays of a state mean.
      demotion: what the ladder had to take from Hyper to plain values, readable; empty as a rule.
      metrics: names of the measured values.
      leaves: the arrays of one lane's state.
      task: the task seen from one lane.
      lowered: the program, not compiled yet.
      renewed: (columns, data) -> the hyperparameters that live in fresh states, [lanes, ...] for each leaf with one.
      seconds: what tracing took, with all that was tried before it.
      lowering_seconds: what tracing and lowering the program itself took.
    """

    exemplar: Mapping[str, Any]
    guards: tuple[Guard, ...]
    layout: Layout
    kinds: Mapping[str, str]
    packed: frozenset[str]
    lasting: frozenset[str]
    demotion: str
    metrics: tuple[str, ...]
    leaves: tuple[StateLeaf, ...]
    strategy: Strategy
    task: LaneTask
    lowered: Any
    renewed: Callable[[Any, Any], list[Any]]
    seconds: float
    lowering_seconds: float

    @property
    def notes(self) -> Mapping[str, str]:
        """What the task says of single hyperparameters, such as why one was not packed."""
        return getattr(self.task.task, "notes", {})

    @property
    def bytes_per_lane(self) -> int:
        """Size of one lane's state."""
        return sum(int(np.prod(leaf.shape)) * np.dtype(leaf.dtype).itemsize for leaf in self.leaves)

    @property
    def factorises(self) -> bool:
        """Whether the program calls LAPACK, as QR decompositions and linear solvers do on a CPU."""
        return "lapack_" in self.lowered.as_text()

    @property
    def convolves(self) -> bool:
        """Whether the program holds convolutions as such."""
        return "stablehlo.convolution" in self.lowered.as_text()

    @property
    def compiler_options(self) -> dict[str, str] | None:
        """How hard the compiler tries.

        On a CPU, packed programs are large and their time goes into matrix products, which come from a library: LLVM's
        lighter passes compile them in three quarters of the time and make them no slower.
        """
        packs = "packed" in self.kinds.values()
        return {"xla_backend_optimization_level": "1"} if packs and jax.default_backend() == "cpu" else None

    def compile(self) -> Program:
        """Compiles, or takes the executable from the persistent cache."""
        started = time.perf_counter()
        executable = self.lowered.compile(compiler_options=self.compiler_options)
        return Program(self, executable, time.perf_counter() - started)


@dataclass(slots=True, eq=False)
class Program:
    """A compiled program.

    Attributes:
      traced: guards, layout and names.
      executable: (state, lane table uint32[6, lanes], clock uint32[2], columns, seed words, data) ->
        (state, values float32[lanes, metrics], finite bool[lanes]); the state is donated.
      compile_seconds: what the compiler or the persistent cache took.
      step_seconds: the last measured seconds of one step of a block; None before the first chunk.
    """

    traced: Traced
    executable: Any
    compile_seconds: float
    step_seconds: float | None = None

    def empty_state(self) -> Any:
        """The state of a block in which no lane has begun."""
        traced = self.traced
        lanes = traced.strategy.block
        leaves = [np.zeros((lanes, *leaf.shape), leaf.dtype) for leaf in traced.leaves]
        return leaves, np.zeros((lanes, 2, MOST_STEP_METRICS), np.float32)


def trace(
    task: Any,
    space: Any,
    exemplar: Mapping[str, Any],
    data: Any,
    strategy: Strategy,
    rng_name: str,
    packing: Packing = Packing(),
    folds: int = 1,
) -> Traced:
    """Traces and lowers the program that serves `exemplar`.

    Args:
      task: a `vtune.tasks.Task`.
      space: the space that the config comes from.
      exemplar: a filled config.
      data: the task's data, on the device or as shapes.
      strategy: block width and the way a step runs.
      rng_name: the generator that makes the trials' keys.
      packing: which hyperparameters packed code may trace, and in which ranges.
      folds: how many parts the data are divided into, each the validation data of one replica; 1 for no division.

    Returns:
      The traced program, with the guards that it asked.

    Raises:
      GuardError: Python asked for the exact value of a continuous hyperparameter.
      TaskError: the task's functions do not fit together.
    """
    started = time.perf_counter()
    if hasattr(task, "rehearsed"):
        task = task.rehearsed(exemplar, space, packing, rng.study_key(0, rng_name))
    lane = LaneTask(task, rng_name, folds)
    rehearsed = time.perf_counter()

    def attempt(session: Any) -> Any:
        with convolutions(strategy.convolutions):
            return _lower(lane, session, data, strategy)

    session, (lowered, renewed) = trace_with_ladder(attempt, exemplar, space, packing)
    return Traced(
        exemplar=exemplar,
        guards=session.guards,
        layout=session.layout,
        kinds=session.kinds(),
        packed=frozenset(session.packed),
        lasting=frozenset(session.lasting),
        demotion=str(session.demotion) if session.demotion else "",
        metrics=lane.metric_names,
        leaves=lane.leaves,
        strategy=strategy,
        task=lane,
        lowered=lowered,
        renewed=renewed,
        seconds=time.perf_counter() - started,
        lowering_seconds=time.perf_counter() - rehearsed,
    )


def _lower(lane: LaneTask, session: Any, data: Any, strategy: Strategy) -> Any:
    shape = jax.ShapeDtypeStruct
    column = session.abstract_columns(None)
    data = jax.tree.map(lambda array: shape(array.shape, array.dtype), data)
    row, clock, words = shape((6,), jnp.uint32), shape((2,), jnp.uint32), shape((2,), jnp.uint32)

    number = shape((), jnp.uint32)
    trial_words, trial = traced_once(lane.trial_words, words, number, number)

    def init_lane(hp: Any, trial: Any, replica: Any, data: Any) -> Any:
        return lane.init(hp, lane.seen(data, replica), lane.trial_key(trial))

    init, leaves = traced_once(session.bind(init_lane), column, trial, number, data)

    def renewed(columns: Any, data: Any) -> list[Any]:
        nobody, first = jnp.zeros(trial.shape, trial.dtype), jnp.uint32(0)
        new = jax.vmap(lambda row: init(split(row, column), nobody, first, data))(columns)
        return [values for values, leaf in zip(new, lane.leaves, strict=True) if leaf.resident]

    def chunk_of_lane(hp: Any, leaves: Any, sums: Any, row: Any, clock: Any, trial: Any, data: Any) -> Any:
        key, data = lane.trial_key(trial), lane.seen(data, row[REPLICA])
        model = rng.purpose_key(key, "model")
        done = row[START] + clock[COUNT]

        def trace_step(leaves: Any) -> Any:
            return traced_once(lambda x, t: lane.step(hp, x, data, key, model, t), leaves, row[START])

        step, (after, one) = trace_step(leaves)
        while lane.settle(after):
            leaves = lane.typed(leaves)
            step, (after, one) = trace_step(leaves)
        evaluate, measured = traced_once(lambda x, t: lane.evaluate(hp, x, data, key, t), leaves, done)

        def accumulate(i: Any, carry: Any) -> Any:
            leaves, values = step(carry[0], row[START] + i)
            known = ~jnp.isnan(values)
            return leaves, carry[1] + jnp.stack([jnp.where(known, values, 0.0), known.astype(jnp.float32)])

        carry = (leaves, sums[:, : one.shape[0]])
        count, measure = _own(row, clock) if strategy.kind == "map" else (clock[COUNT], clock[MEASURE])
        carry = jax.lax.fori_loop(jnp.uint32(0), count, accumulate, carry) if strategy.loop else accumulate(0, carry)
        leaves, totals = carry
        measured, finite = jax.lax.cond(
            measure > 0,
            lambda: (evaluate(leaves, done), _all_finite(leaves)),
            lambda: (jnp.full(measured.shape, jnp.nan, jnp.float32), jnp.bool_(True)),
        )
        average = jnp.where(totals[1] > 0, totals[0] / totals[1], jnp.nan)
        sums = sums.at[:, : one.shape[0]].set(jnp.where(row[DUE] > 0, 0.0, totals))
        return leaves, sums, jnp.concatenate([average, measured]), finite

    chunk, _ = traced_once(
        session.bind(chunk_of_lane), column, leaves, shape((2, MOST_STEP_METRICS), jnp.float32), row, clock, trial, data
    )

    def run(state: Any, table: Any, clock: Any, columns: Any, words: Any, data: Any) -> Any:
        leaves, sums = state
        fresh = table[FRESH] > 0
        trials = jax.vmap(lambda trial, replica: trial_words(words, trial, replica))(table[IDS], table[REPLICA])

        def admit() -> Any:
            new = strategy.batch(
                lambda row, trial, replica: init(split(row, column), trial, replica, data),
                columns,
                trials,
                table[REPLICA],
            )
            return [
                jnp.where(fresh.reshape((-1,) + (1,) * (a.ndim - 1)), a, b) for a, b in zip(new, leaves, strict=True)
            ]

        leaves = jax.lax.cond(fresh.any(), admit, lambda: leaves)
        sums = jnp.where(fresh[:, None, None], 0.0, sums)
        leaves, sums, values, finite = strategy.batch(
            lambda own, x, s, row, trial: chunk(split(own, column), x, s, row, clock, trial, data),
            columns, leaves, sums, table.T, trials,
        )  # fmt: skip
        return (leaves, sums), values, finite

    lanes = strategy.block
    wide = jax.tree.map(lambda x: shape((lanes, *x.shape), x.dtype), leaves)
    state = (wide, shape((lanes, 2, MOST_STEP_METRICS), jnp.float32))
    table = shape((6, lanes), jnp.uint32)
    zeros = joined(jax.tree.map(lambda one: np.zeros(lanes, one.dtype), column))
    columns = jax.tree.map(lambda x: shape(x.shape, x.dtype), zeros)
    inputs = (sharding.LANES, sharding.COLUMNS, sharding.WHOLE, sharding.LANES, sharding.WHOLE, sharding.WHOLE)
    whole = sharding.jitted(run, strategy.devices, inputs, sharding.LANES)
    return whole.lower(state, table, clock, columns, words, data), jax.jit(renewed)


def traced_once(function: Any, *arguments: Any) -> tuple[Any, Any]:
    """Runs a Python function once, abstractly, and returns it as a traced one, with the shapes of what it returns."""
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    structure = jax.tree.structure(shapes)
    traced = jaxpr_as_fun(closed)
    return lambda *given: jax.tree.unflatten(structure, traced(*jax.tree.leaves(given))), shapes


def _own(row: Any, clock: Any) -> tuple[Any, Any]:
    """Steps and whether to measure for one lane: where lanes run one after another, each does only what it must."""
    return clock[COUNT] * row[LIVE], clock[MEASURE] * row[DUE]


def _all_finite(leaves: Any) -> Any:
    floating = [leaf.ravel() for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.isfinite(jnp.concatenate(floating)).all() if floating else jnp.bool_(True)
