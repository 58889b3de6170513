"""What may be packed in a program, found out before it is traced, once for all configs that ask alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vtune.hyper import Guard, Packing, PlainHP, matches
from vtune.optim.padding import check_padding
from vtune.tasks.padded_rows import Parts, objection, packed_names
from vtune.tasks.readings import variants
from vtune.tasks.structure import structure

_SAMPLE = 256


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rehearsal has found.

    Attributes:
      packs_rows: whether batches may be padded.
      notes: hyperparameter -> why it is not packed.
      packed: hyperparameters whose sizes are packed.
    """

    packs_rows: bool
    notes: Mapping[str, str]
    packed: frozenset[str]


@dataclass
class Rehearsals:
    """The rehearsals of a task."""

    _known: list[tuple[frozenset[str] | None, tuple[Guard, ...], Finding]] = field(default_factory=list)

    def find(
        self, plain: Parts, padded: Parts, config: Mapping[str, Any], space: Any, packing: Packing, key: Any
    ) -> Finding:
        """What was found for configs that ask alike, or is found now.

        Args:
          plain: of the task as it is without padded batches.
          padded: of the task with padded batches.
          config: a filled config.
          space: where it comes from.
          packing: what the program packs.
          key: a trial's key, of the generator that the trials use.

        Raises:
          TaskError: padding that would change what is trained, and what to do about it.
        """
        for names, guards, found in self._known:
            if names == packing.names and matches(guards, [config])[0]:
                return found
        guards = _structure(plain, config, space, packing, key)
        rows = packed_names(plain.batch_size, config, space, packing) if callable(plain.batch_size) else ()
        for each in space.fill(space.sample(_SAMPLE, np.random.default_rng(0))) if rows else ():
            plain.rows(PlainHP(each))
        reason = objection(padded, rows, config, space, key) if rows else None
        sizes = frozenset(name for each in guards if each.kind == "packed" for name in each.names)
        found = Finding(
            packs_rows=bool(rows) and reason is None,
            notes={} if reason is None else dict.fromkeys(rows, f"not packed: {reason}"),
            packed=sizes | frozenset(rows if reason is None else ()),
        )
        own = [each for each in guards if each.kind != "packed" and not (each.kind == "int" and each.names <= {*rows})]
        self._known.append((packing.names, tuple(own), found))
        return found


def _structure(parts: Parts, config: Mapping[str, Any], space: Any, packing: Packing, key: Any) -> tuple[Guard, ...]:
    """Checks the network and the optimizer; gives what Python asked of the hyperparameters."""

    def use(hp: Any, params: Any, extra: Any, key: Any) -> None:
        parts.optimizer(hp).init(params)
        size = parts.rows(hp)
        batch = jax.tree.map(lambda leaf: jnp.zeros((size.cap, *leaf.shape[1:]), leaf.dtype), parts.train)
        parts.objective(hp, extra, batch, size, key)(params)

    found = structure(parts.fresh, use, config, space, packing, key)
    if found.small is not None:
        for chosen in variants(parts.optimizer, config, space, packing):
            check_padding(parts.optimizer(PlainHP({**config, **chosen})), found.small, found.wide)
    return found.guards
