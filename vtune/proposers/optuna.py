"""Any sampler of Optuna as a proposer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vtune.errors import ArgumentError, ProposerError
from vtune.exchange.optuna_space import distribution, optuna, params, quiet, suggested
from vtune.proposers.base import register
from vtune.proposers.fresh import Fresh
from vtune.proposers.history import History, keys
from vtune.proposers.walk import whole
from vtune.records import Config
from vtune.space import Space

_TRIES = 4
"""Suggestions that may be known already, or fail a constraint, before a config is drawn evenly instead."""


class _Outcome(NamedTuple):
    """How a trial ended: values, None if it failed; and the step at which it was stopped, None if it was not."""

    values: list[float] | None
    step: int | None


class _Differs(Exception):
    """A sampler that is asked again says something else: it has no seed."""


@register
class Optuna:
    """A sampler of Optuna (Akiba et al., 2019) behind `ask` and `tell`, on a study of its own in memory.

    Hyperparameters are suggested one after another, those that are active alone. Trials under way are running trials
    of that study: samplers that heed them, as Optuna's TPE does, spread a batch. A suggestion whose score is known is
    counted once more and not proposed again. Trials that diverged count as the worst; those that were stopped earlier
    than others are pruned ones. A state is brought back by asking the sampler everything again: give it a seed, or it
    goes on from what was told alone. Needs `pip install vtune[optuna]`.

    Args:
      sampler: as `optuna.samplers.TPESampler(seed=0)`, which it is unless given.
      space: where configurations lie; `vtune.tune(proposer=Optuna(sampler))` fills it in. The two may change places.
      seed: a whole number >= 0, for what is not up to a sampler that was given.

    Raises:
      ArgumentError: not a sampler, not a space, not a seed.

    Example:
      >>> import optuna
      >>> from vtune.space import Float, Space
      >>> proposer = Optuna(optuna.samplers.TPESampler(seed=0), Space(x=Float(-1.0, 1.0)))
      >>> for _ in range(8):
      ...     configs = proposer.ask(8)
      ...     proposer.tell(configs, [config["x"] ** 2 for config in configs])
      >>> min(abs(config["x"]) for config in configs) < 0.1
      True
    """

    name: ClassVar[str] = "optuna"

    def __init__(self, sampler: Any = None, space: Space | None = None, seed: int = 0) -> None:
        if isinstance(sampler, Space):
            sampler, space = space, sampler
        kinds = (optuna.samplers.BaseSampler, type(None)), (Space, type(None))
        for given, kind in zip((sampler, space), kinds, strict=True):
            if not isinstance(given, kind):
                raise ArgumentError(f"a sampler must be one of Optuna's, a space must be a vtune.Space; got {given!r}")
        self.space: Any = space
        self.seed = whole("seed", seed)
        self._sampler = optuna.samplers.TPESampler(seed=self.seed) if sampler is None else copy.deepcopy(sampler)
        if space is not None:
            self._begin(1)

    def over(self, space: Space) -> Optuna:
        """The same over a space, for one that was made without."""
        return Optuna(self._sampler, space, self.seed)

    def ask(self, n: int, pending: Sequence[Config] = ()) -> list[Config]:
        """Suggests up to n configs that are new; see `Proposer.ask`."""
        if self.space is None:
            raise ArgumentError("a space must be known before it can be asked: Optuna(sampler, space)")
        n = whole("n", n)
        others = [config for config, key in zip(pending, self._keys(pending), strict=True) if key not in self._open]
        configs = self._ask(n, others)
        said = {"ask": n, "beside": self.space.plain(others), "gave": self.space.plain(configs)}
        self._log.append(said)
        return configs

    def tell(self, configs: Sequence[Config], scores: Any, steps: Any = None) -> None:
        """Learns scores, of trials that were stopped after some steps too; see `Proposer.tell`."""
        before = len(self._history)
        self._history.tell(configs, scores, steps)
        if self._history.objectives != len(self._study.directions) and len(self._history):
            self._again(self._log, objectives=self._history.objectives, history=self._history)
        self._tell(before, len(self._history))
        self._log.append({"tell": len(self._history) - before})

    def origins(self) -> list[dict[str, Any]]:
        """Where each config of the last `ask` came from: "model" is the sampler's class, or "prior" (drawn evenly)."""
        return [dict(origin) for origin in self._origins]

    def state(self) -> dict[str, Any]:
        """What was asked and told, in order."""
        return {**self._own, "history": self._history.state(), "log": list(self._log)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from where `state` was taken.

        Raises:
          ProposerError: the state of another proposer, sampler, seed or space.
        """
        own = self._own
        must = f"a state of {self.name!r} must have {own}, history and log"
        if not isinstance(state, Mapping) or {key: state.get(key) for key in own} != own or "log" not in state:
            raise ProposerError(f"{must}; got {state!r}")
        history = History(self.space)
        history.restore(state.get("history"))
        self._again(list(state["log"]), objectives=history.objectives, history=history)

    @property
    def _own(self) -> dict[str, Any]:
        return {"name": self.name, "sampler": type(self._sampler).__name__, "seed": self.seed}

    def _begin(self, objectives: int) -> None:
        with quiet():
            self._study = optuna.create_study(
                sampler=copy.deepcopy(self._sampler), directions=["minimize"] * objectives
            )
        self._distributions = {name: distribution(parameter) for name, parameter in self.space.items()}
        self._history = History(self.space)
        self._row: dict[bytes, int] = {}
        self._open: dict[bytes, Any] = {}
        self._log: list[dict[str, Any]] = []
        self._origins: list[dict[str, Any]] = []

    def _again(self, log: list[dict[str, Any]], objectives: int, history: History) -> None:
        """Asks and tells everything again; if the sampler says something else now, what it said counts."""
        try:
            self._replay(log, objectives, history, said_again=True)
        except _Differs:
            self._replay(log, objectives, history, said_again=False)

    def _replay(self, log: list[dict[str, Any]], objectives: int, history: History, said_again: bool) -> None:
        self._begin(objectives)
        told = 0
        for entry in log:
            if "tell" in entry:
                self._history.take(history, told, told + entry["tell"])
                self._tell(told, told + entry["tell"])
                told += entry["tell"]
                continue
            gave = [self.space.validate(config) for config in entry["gave"]]
            if not said_again:
                self._add(gave)
            elif self._ask(entry["ask"], [self.space.validate(config) for config in entry["beside"]]) != gave:
                raise _Differs
        self._history.take(history, told, len(history))
        self._log = log

    def _keys(self, configs: Sequence[Config]) -> list[bytes]:
        return keys(self._history.encode(configs))

    def _ask(self, n: int, others: Sequence[Config]) -> list[Config]:
        rng = np.random.default_rng([self.seed, len(self._study.get_trials(deepcopy=False))])
        own = np.frombuffer(b"".join(self._open)).reshape(-1, self.space.dim)
        fresh = Fresh(self._history, np.concatenate([own, self._history.encode(others)]), rng)
        configs: list[Config] = []
        while len(configs) < n:
            found = self._suggest(fresh)
            if found is None:
                break
            configs.append(found)
        rest = self.space.from_unit(fresh.rest(n - len(configs)))
        self._origins = [{"model": type(self._sampler).__name__}] * len(configs) + [{"model": "prior"}] * len(rest)
        self._add(rest)
        return configs + rest

    def _suggest(self, fresh: Fresh) -> Config | None:
        """A new config that the sampler suggests; None if it suggests only such as cannot be proposed."""
        for _ in range(_TRIES):
            with quiet():
                trial = self._study.ask()
                config = suggested(self.space, trial)
            row = self._history.encode([config])
            if fresh.sieve(row)[0]:
                fresh.take(row)
                self._open[keys(row)[0]] = trial
                return config
            self._finish(trial, self._row.get(keys(row)[0]))
        return None

    def _add(self, configs: Sequence[Config]) -> None:
        """Has the study know of configs that its sampler did not suggest, as running trials."""
        for config, key in zip(configs, self._keys(configs), strict=True):
            with quiet():
                self._study.enqueue_trial(params(self.space, config))
                self._open[key] = self._study.ask()
                suggested(self.space, self._open[key])

    def _tell(self, start: int, end: int) -> None:
        """Finishes the trials of told rows."""
        rows = self._history.unit[start:end]
        for row, key, config in zip(range(start, end), keys(rows), self.space.from_unit(rows), strict=True):
            self._row[key] = row
            if key in self._open:
                self._finish(self._open.pop(key), row)
            else:
                self._bring(config, row)

    def _finish(self, trial: Any, row: int | None) -> None:
        """Tells the study how a trial ended: by the score of a row, or failed without one."""
        outcome = _Outcome(None, None) if row is None else self._outcome(row)
        with quiet():
            if outcome.values is None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif outcome.step is None:
                self._study.tell(trial, outcome.values)
            else:
                trial.report(outcome.values[0], outcome.step)
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def _bring(self, config: Config, row: int) -> None:
        """Has the study know of a trial of others that is over."""
        given, outcome = params(self.space, config), self._outcome(row)
        states = optuna.trial.TrialState
        ended: dict[str, Any] = {"state": states.FAIL}
        if outcome.values is not None:
            ended = {"state": states.COMPLETE, "values": outcome.values}
            if outcome.step is not None:
                stopped = {outcome.step: outcome.values[0]}
                ended = {"state": states.PRUNED, "value": outcome.values[0], "intermediate_values": stopped}
        kinds = {name: self._distributions[name] for name in given}
        self._study.add_trial(optuna.trial.create_trial(params=given, distributions=kinds, **ended))

    def _outcome(self, row: int) -> _Outcome:
        """What a row says to a study."""
        scores, steps = self._history.scores[: row + 1], self._history.steps[: row + 1]
        lost = self._history.diverged[: row + 1]
        if lost.all():
            return _Outcome(None, None)
        if lost[row]:
            return _Outcome(scores[~lost].max(axis=0).tolist(), None)
        stopped = scores.shape[1] == 1 and steps[row] < np.fmax.reduce(steps)
        return _Outcome(scores[row].tolist(), int(steps[row]) if stopped else None)
