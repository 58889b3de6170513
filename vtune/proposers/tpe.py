"""Tree-structured Parzen estimators: what good configurations have that bad ones lack, for whole batches at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.proposers.base import register
from vtune.proposers.branches import Branches
from vtune.proposers.choosing import choose, kernels
from vtune.proposers.fresh import Fresh
from vtune.proposers.history import History, rung
from vtune.proposers.mixtures import Mixtures, Settings, log, mix
from vtune.proposers.parzen import Layout
from vtune.proposers.sobol import Sobol
from vtune.proposers.standing import standing
from vtune.proposers.walk import whole
from vtune.records import Config
from vtune.space import Space

CANDIDATES = 16
"""Candidates for each configuration of a batch, the batch rounded up to a rung of the ladder."""

_REDRAWS = 3
"""Times that candidates are drawn again while most of them are known or fail a constraint."""

_BRANCHES = 4
"""Neglected branches that are served in one batch, at most."""


@register
class TPE:
    """Proposes what is likely among the good configurations and unlikely among the others.

    Tree-structured Parzen estimators (Bergstra et al., 2011), multivariate as in BOHB (Falkner et al., 2018), for
    conditional spaces as they are. Each config of a batch is picked with those before it counted as bad, as are those
    that are pending, so that a batch spreads; and a batch takes turns between narrow and wide kernels around few and
    many good trials. Branches of the space that look bad keep a share of the trials (`Branches`). No configuration
    comes twice until the space is exhausted.

    With several objectives, good is what few dominate (Ozaki et al., 2020). Trials that were stopped early count too:
    `tell` them with the steps after which they had their score.

    Args:
      space: where the configurations lie.
      seed: a whole number >= 0.

    Raises:
      ArgumentError: not a space, not a seed, a space of more than 21,201 hyperparameters.

    Example:
      >>> from vtune.space import Float, Space
      >>> proposer = TPE(Space(x=Float(-1.0, 1.0), y=Float(-1.0, 1.0)), seed=0)
      >>> for _ in range(8):
      ...     configs = proposer.ask(16)
      ...     scores = [config["x"] ** 2 + config["y"] ** 2 for config in configs]
      ...     proposer.tell(configs, scores)
      >>> min(scores) < 0.01
      True
    """

    name: ClassVar[str] = "tpe"
    follows: ClassVar[bool] = True
    settings: ClassVar[Settings] = Settings()

    def __init__(self, space: Space, seed: int = 0) -> None:
        if not isinstance(space, Space):
            raise ArgumentError(f"space must be a vtune.Space; got {space!r}")
        self.space = space
        self.seed = whole("seed", seed)
        self._history = History(space)
        self._layout = Layout(space)
        self._branches = Branches(space)
        self._begin = Sobol(space, self.seed)
        self._asked = 0
        self._origins: list[dict[str, Any]] = []
        self._ordered, self._best_first, self._branch = 0, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """Suggests up to n configs that are new; see `Proposer.ask`."""
        n = whole("n", n)
        under_way = self._history.encode(pending)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, self._asked])))
        fresh = Fresh(self._history, under_way, rng)
        modelled = n > 0 and len(self._history) >= self.settings.start and self._telling(np.arange(len(self._history)))
        rows, origins = self._branched(n, fresh, under_way, rng) if modelled else self._beginning(n, fresh)
        rest = fresh.rest(n - len(rows))
        self._origins = origins + [{"model": "prior"} for _ in range(len(rest))]
        self._asked += len(self._origins)
        return self.space.from_unit(np.concatenate([rows, rest]))

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None, excess: Any = None) -> None:
        """Learns scores; see `Proposer.tell`.

        Args:
          configs: n configs of the space.
          scores: [n], or [n, objectives]; lower is better, NaN for a trial that diverged.
          steps: [n], the steps after which each had its score, for trials that may have been stopped early; a config
            that is told again at a later step is the same trial. None if all had their full budget.
          excess: [n], by how much each exceeds what is allowed, at most 0 if it keeps to it; such that do are good
            before any that do not. None without constraints on results.
        """
        self._history.tell(configs, scores, steps, excess)

    def origins(self) -> list[dict[str, Any]]:
        """Where each config of the last `ask` came from.

        Returns:
          A dict for each: "model" is "tpe" or "prior" (drawn without a look at scores). Those of the model have "gain",
          the log of how much likelier it is among good trials than among the others, and "parents", the told trial that
          it is a variation of, counted from 0 in the order of telling, if there is one; "neglected" is True for one
          that was picked for its branch of the space, which had been tried too little to be given up.
        """
        return [dict(origin) for origin in self._origins]

    def state(self) -> dict[str, Any]:
        """What was told, and how many configs were proposed."""
        return {"name": self.name, "seed": self.seed, "asked": self._asked, "history": self._history.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken.

        Raises:
          ProposerError: the state of another proposer, seed or space.
        """
        own = {"name": self.name, "seed": self.seed}
        if not isinstance(state, Mapping) or {key: state.get(key) for key in own} != own or "asked" not in state:
            raise ProposerError(f"a state of {self.name!r} must have {own}, asked and history; got {state!r}")
        asked = whole("asked", state["asked"])
        self._history.restore(state.get("history"))
        self._asked, self._ordered = asked, 0

    def _beginning(self, n: int, fresh: Fresh) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Rows [<= n, dim] that cover the space evenly."""
        rows = self.space.snap(self._begin.points(self._asked, n))
        rows = rows[fresh.sieve(rows)]
        fresh.take(rows)
        return rows, [{"model": "prior"} for _ in range(len(rows))]

    def _branched(
        self, n: int, fresh: Fresh, pending: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Up to n rows [<= n, dim]: of neglected branches by what is known of these, then by all that is known."""
        order = self._order()
        if len(self._branches) <= 1:
            return self._modelled(n, order, fresh, pending, rng)
        told, away = self._branch, self._branches.of(pending)
        owed = self._branches.owed(np.concatenate([told, away]), n)
        rows: np.ndarray = np.empty((0, self.space.dim))
        origins: list[dict[str, Any]] = []
        counts = np.bincount(owed[owed >= 0], minlength=len(self._branches))
        for branch in np.argsort(-counts, kind="stable")[: min(_BRANCHES, np.count_nonzero(counts))].tolist():
            known = order[told == branch]
            known = known if self._telling(known) else order
            own = self._modelled(int(counts[branch]), known, fresh, pending[away == branch], rng, branch)
            rows = np.concatenate([rows, own[0]])
            origins += [{**origin, "neglected": True} for origin in own[1]]
        if len(rows) < n:
            free = self._modelled(n - len(rows), order, fresh, np.concatenate([pending, rows]), rng)
            rows, origins = np.concatenate([rows, free[0]]), origins + free[1]
        return rows, origins

    def _modelled(
        self, n: int, order: np.ndarray, fresh: Fresh, pending: np.ndarray, rng: np.random.Generator,
        branch: int | None = None,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:  # fmt: skip
        """Up to n rows [<= n, dim] that the model picks by some of the trials, and where they are from."""
        settings, layout = self.settings, self._layout
        mixtures = mix(layout, settings, self._history.unit, order, pending)
        rows, usable = self._candidates(n, mixtures, fresh, rng, branch)
        chosen = choose(
            layout,
            layout.points(rows),
            usable,
            layout.points(mixtures.rows),
            mixtures.log_good(),
            log(mixtures.bad),
            log(np.stack([mixtures.good_prior, mixtures.bad_prior])),
            kernels(layout, mixtures.good_widths),
            kernels(layout, mixtures.bad_widths),
            log(mixtures.repulsion),
            turn=self._asked % len(settings.focuses),
            n=min(n, int(usable.sum())),
            most=rung(n),
        )
        taken = rows.reshape(-1, self.space.dim)[chosen.candidate]
        fresh.take(taken)
        parents = np.where(chosen.parent < 0, -1, mixtures.told[chosen.parent])
        return taken, [
            {"model": self.name, "gain": round(gain, 4), "parents": [parent] if parent >= 0 else []}
            for gain, parent in zip(chosen.gain.tolist(), parents.tolist(), strict=True)
        ]

    def _candidates(
        self, n: int, mixtures: Mixtures, fresh: Fresh, rng: np.random.Generator, branch: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows [focuses, m, dim] drawn from the good mixture of each focus, and which of them may be picked."""
        settings = self.settings
        size = rung(n) * CANDIDATES // len(settings.focuses)
        met: set[bytes] = set()

        def sieve(rows: np.ndarray) -> np.ndarray:
            kept = np.full(len(rows), True) if branch is None else self._branches.of(rows) == branch
            kept[kept] = fresh.sieve(rows[kept], met)
            return kept

        drawn = []
        for weights, prior, widths in zip(mixtures.good, mixtures.good_prior, mixtures.good_widths, strict=True):
            centres = mixtures.rows[: len(weights)]
            rows = self._layout.draw(size, centres, weights, prior, widths, settings.crossing, rng)
            usable = sieve(rows)
            for _ in range(_REDRAWS):
                if 2 * usable.sum() >= size:
                    break
                others = self._layout.draw(size, centres, weights, prior, widths, settings.crossing, rng)
                places = np.flatnonzero(~usable)
                found = np.flatnonzero(sieve(others))[: len(places)]
                rows[places[: len(found)]] = others[found]
                usable[places[: len(found)]] = True
            drawn.append((rows, usable))
        return np.stack([rows for rows, _ in drawn]), np.stack([usable for _, usable in drawn])

    def _telling(self, rows: np.ndarray) -> bool:
        """Whether any of these told rows is better than another."""
        history = self._history
        kinds = history.diverged[rows], history.allowed[rows]
        differ = any(kind.any() and not kind.all() for kind in kinds)
        return differ or bool(len(rows) and np.ptp(history.losses[rows], axis=0).any())

    def _order(self) -> np.ndarray:
        """Told trials from best to worst; `_branch` holds the branch of each."""
        if self._ordered != len(self._history):
            self._ordered, self._best_first = len(self._history), standing(self._history)
            self._branch = self._branches.of(self._history.unit[self._best_first])
        return self._best_first
