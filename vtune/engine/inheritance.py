"""Whether the state of one config can go on under another: every array of it must mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune import rng
from vtune.engine.lane import LaneTask, StateLeaf
from vtune.engine.program import Traced
from vtune.hyper import PlainHP, matches, whole_values

Filled = Mapping[str, Any]


class Inheritance:
    """Which configs may take over the states of others.

    One program trains networks of many sizes, or with many optimizers, in arrays of one shape. A state that is copied
    can go on under another config only if the same program trains both, the plain networks and their optimizers have
    the same arrays, and no packed choice that says what those hold differs.

    Args:
      space: where configs come from.
      data: the task's data, arrays or shapes.
    """

    def __init__(self, space: Any, data: Any):
        self._space, self._data = space, data
        self._heirs: dict[Traced, _Heirs] = {}

    def allowed(self, programs: Sequence[Traced], before: Sequence[Filled], after: Sequence[Filled]) -> np.ndarray:
        """Whether states can go on.

        Args:
          programs: what trains each of n states.
          before: the filled configs that they were trained under.
          after: those that they are to be trained under.

        Returns:
          bool[n].
        """
        found = np.zeros(len(after), bool)
        for traced in dict.fromkeys(programs):
            rows = [row for row, program in enumerate(programs) if program is traced]
            found[rows] = matches(traced.guards, [after[row] for row in rows])
            if traced not in self._heirs:
                self._heirs[traced] = _Heirs(traced, self._space, self._data)
            for row in [row for row in rows if found[row]]:
                found[row] = self._heirs[traced].allow(before[row], after[row])
        return found


class _Heirs:
    """What the configs of one program may take over from one another."""

    def __init__(self, traced: Traced, space: Any, data: Any):
        self._traced, self._space, self._data = traced, space, data
        self._packed = sorted(traced.packed)
        self._known: dict[tuple[Any, ...], tuple[StateLeaf, ...]] = {}
        self._fixed = {name for name in self._packed if name in traced.lasting or self._shapes(name)}

    def allow(self, before: Filled, after: Filled) -> bool:
        differ = [name for name in self._packed if before[name] != after[name]]
        if not differ:
            return True
        return self._fixed.isdisjoint(differ) and self._leaves(before) == self._leaves(after)

    def _shapes(self, name: str) -> bool:
        """Whether a hyperparameter shapes the state of the program's exemplar: a quick answer for most changes."""
        exemplar, parameter = self._traced.exemplar, self._space[name]
        others = getattr(parameter, "values", None) or (whole_values(parameter)[0], whole_values(parameter)[-1])
        return any(self._leaves({**exemplar, name: other}) != self._leaves(exemplar) for other in others)

    def _leaves(self, config: Filled) -> tuple[StateLeaf, ...]:
        """The arrays of the state of the plain network of a config."""
        values = tuple(config[name] for name in self._packed)
        if values not in self._known:
            known = self._traced.task
            lane = LaneTask(known.task, known.rng_name, known.folds)

            def init(data: Any) -> Any:
                key = rng.trial_key(rng.study_key(0, lane.rng_name), 0)
                return lane.init(PlainHP(config), lane.seen(data, jnp.uint32(0)), key)

            jax.eval_shape(init, self._data)
            self._known[values] = lane.leaves
        return self._known[values]
