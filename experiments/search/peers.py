"""The searchers that are compared, each behind ask and tell: vtune's own and those of others.

A peer is a function of a space, a seed, the size of a batch and the number of evaluations. Those that know no
conditions search the flat space in which every hyperparameter is always there, and what is not active is left out
before it is scored.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from vtune import proposers
from vtune.space import Choice, Float, Int, Space

Config = dict[str, Any]


class Searcher(Protocol):
    """Proposes configurations and learns their scores; lower is better."""

    def ask(self, n: int) -> list[Config]: ...

    def tell(self, configs: Sequence[Config], scores: np.ndarray) -> None: ...

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        """Learns of configurations that it did not propose; one that cannot tries as many of its own."""
        ...


def active(space: Space, values: Config) -> Config:
    """Values for all hyperparameters -> the config that has only the active ones."""
    config: Config = {}
    for name in ordered(space):
        if _holds(space[name].when, config):
            config[name] = values[name]
    return config


def ordered(space: Space) -> list[str]:
    """Names such that parents come before children."""
    names: list[str] = []
    while len(names) < len(space):
        names += [n for n, p in space.items() if n not in names and all(parent in names for parent in p.when or {})]
    return names


def _holds(when: Any, config: Config) -> bool:
    return all(
        parent in config and config[parent] in (wanted if isinstance(wanted, tuple) else (wanted,))
        for parent, wanted in (when or {}).items()
    )


class Optuna:
    """Optuna's TPE in its best form for batches and conditions: multivariate, in groups, with the constant liar."""

    def __init__(self, space: Space, seed: int, batch: int, evaluations: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
        self.space = space
        self.study = optuna.create_study(sampler=sampler)
        self.trials: list[Any] = []

    def ask(self, n: int) -> list[Config]:
        self.trials = [self.study.ask() for _ in range(n)]
        return [self._suggested(trial) for trial in self.trials]

    def tell(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        for trial, score in zip(self.trials, scores, strict=True):
            self.study.tell(trial, float(score))

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        import optuna

        kinds = {name: _distribution(parameter) for name, parameter in self.space.items()}
        self.study.add_trials(
            [
                optuna.create_trial(
                    params=config, distributions={name: kinds[name] for name in config}, value=float(score)
                )
                for config, score in zip(configs, scores, strict=True)
            ]
        )

    def _suggested(self, trial: Any) -> Config:
        config: Config = {}
        for name in ordered(self.space):
            parameter = self.space[name]
            if not _holds(parameter.when, config):
                continue
            if isinstance(parameter, Choice):
                config[name] = trial.suggest_categorical(name, parameter.values)
            else:
                suggest = trial.suggest_int if isinstance(parameter, Int) else trial.suggest_float
                config[name] = suggest(name, parameter.low, parameter.high, log=parameter.log)
        return config


def _distribution(parameter: Any) -> Any:
    from optuna import distributions

    if isinstance(parameter, Choice):
        return distributions.CategoricalDistribution(parameter.values)
    kind = distributions.IntDistribution if isinstance(parameter, Int) else distributions.FloatDistribution
    return kind(parameter.low, parameter.high, log=parameter.log)


class Hyperopt:
    """Hyperopt's TPE; conditions become nested choices."""

    def __init__(self, space: Space, seed: int, batch: int, evaluations: int) -> None:
        import hyperopt

        warnings.simplefilter("ignore")
        self.hyperopt = hyperopt
        self.space = space
        self.domain = hyperopt.Domain(lambda config: 0.0, self._tree())
        self.trials = hyperopt.Trials()
        self.rng = np.random.default_rng(seed)
        self.documents: list[Any] = []

    def ask(self, n: int) -> list[Config]:
        self._suggest(self.hyperopt.tpe.suggest, n)
        points = [self.hyperopt.base.spec_from_misc(document["misc"]) for document in self.documents]
        return [self._config(self.hyperopt.space_eval(self.domain.expr, point)) for point in points]

    def tell(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        for document, score in zip(self.documents, scores, strict=True):
            document["state"] = self.hyperopt.JOB_STATE_DONE
            document["result"] = {"loss": float(score), "status": self.hyperopt.STATUS_OK}
        self.trials.insert_trial_docs(self.documents)
        self.trials.refresh()

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self._suggest(self.hyperopt.rand.suggest, len(configs))
        self.tell(configs, scores)

    def _suggest(self, how: Any, n: int) -> None:
        self.documents = how(self.trials.new_trial_ids(n), self.domain, self.trials, int(self.rng.integers(2**31)))

    def _tree(self) -> dict[str, Any]:
        return {name: self._node(name, name) for name, parameter in self.space.items() if not parameter.when}

    def _node(self, name: str, label: str) -> Any:
        hp, parameter = self.hyperopt.hp, self.space[name]
        if isinstance(parameter, Choice):
            below = {value: self._below(name, value) for value in parameter.values}
            return hp.choice(
                label,
                [
                    (value, {child: self._node(child, f"{child} of {label} {value}") for child in below[value]})
                    for value in parameter.values
                ],
            )
        if isinstance(parameter, Int) and not parameter.log:
            return hp.uniformint(label, parameter.low, parameter.high)
        if isinstance(parameter, Int):
            return hp.qloguniform(label, math.log(parameter.low), math.log(parameter.high), 1)
        if parameter.log:
            return hp.loguniform(label, math.log(parameter.low), math.log(parameter.high))
        return hp.uniform(label, parameter.low, parameter.high)

    def _below(self, name: str, value: Any) -> list[str]:
        return [c for c, p in self.space.items() if name in (p.when or {}) and _holds(p.when, {name: value})]

    def _config(self, tree: dict[str, Any]) -> Config:
        config: Config = {}
        left = dict(tree)
        while left:
            name, value = left.popitem()
            if isinstance(value, tuple):
                value, below = value
                left.update(below)
            parameter = self.space[name]
            if isinstance(parameter, Int):
                value = min(max(round(value), parameter.low), parameter.high)
            elif isinstance(parameter, Float):
                value = min(max(float(value), parameter.low), parameter.high)
            config[name] = value
        return config


class Flat:
    """Searches the unit cube of the filled space; children propose rows and learn their scores."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.rows = np.empty((0, space.dim))

    def propose(self, n: int) -> np.ndarray:
        """Rows of the unit cube [n, dim]."""
        raise NotImplementedError

    def learn(self, rows: np.ndarray, scores: np.ndarray) -> None:
        """Takes the scores [n] of the rows last proposed."""
        raise NotImplementedError

    def ask(self, n: int) -> list[Config]:
        self.rows = np.clip(self.propose(n), 0.0, 1.0)
        return self.space.from_unit(self.rows)

    def tell(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self.learn(self.rows, np.asarray(scores, dtype=np.float64))

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self.ask(len(configs))
        self.tell(configs, scores)


class CMAES(Flat):
    """CMA-ES with margin for discrete values (Hamano et al., 2022) where there are any, from `cmaes`.

    A population is a batch, or the usual one where that is larger and fills from several batches.
    """

    def __init__(self, space: Space, seed: int, batch: int, evaluations: int) -> None:
        import cmaes

        super().__init__(space)
        usual = 4 + math.floor(3 * math.log(space.dim))
        sizes = np.array([parameter.size or 0 for parameter in space.values()])
        bounds = np.stack([np.where(sizes > 0, 0.5 / np.maximum(sizes, 1), 0.0)] * 2, axis=1)
        bounds[:, 1] = 1.0 - bounds[:, 1]
        arguments = {
            "mean": np.full(space.dim, 0.5), "sigma": 1 / 6, "bounds": bounds, "seed": seed,
            "population_size": max(usual, batch),
        }  # fmt: skip
        if (sizes > 0).any():
            arguments["steps"] = np.where(sizes > 0, 1.0 / np.maximum(sizes, 1), 0.0)
        self.optimizer = (cmaes.CMAwM if (sizes > 0).any() else cmaes.CMA)(**arguments)
        self.inner: list[np.ndarray] = []
        self.waiting: deque[tuple[np.ndarray, float]] = deque()

    def propose(self, n: int) -> np.ndarray:
        asked = [self.optimizer.ask() for _ in range(n)]
        pairs = [one if isinstance(one, tuple) else (one, one) for one in asked]
        self.inner = [told for _, told in pairs]
        return np.stack([row for row, _ in pairs])

    def learn(self, rows: np.ndarray, scores: np.ndarray) -> None:
        self.waiting.extend(zip(self.inner, scores.tolist(), strict=True))
        size = self.optimizer.population_size
        while len(self.waiting) >= size:
            self.optimizer.tell([self.waiting.popleft() for _ in range(size)])


class TBPSA(Flat):
    """Nevergrad's population control for noisy functions."""

    def __init__(self, space: Space, seed: int, batch: int, evaluations: int) -> None:
        import nevergrad

        super().__init__(space)
        warnings.simplefilter("ignore")
        array = nevergrad.p.Array(init=np.full(space.dim, 0.5)).set_bounds(0.0, 1.0)
        array.random_state = np.random.RandomState(seed)
        self.optimizer = nevergrad.optimizers.TBPSA(array, budget=evaluations, num_workers=batch)
        self.asked: list[Any] = []

    def propose(self, n: int) -> np.ndarray:
        self.asked = [self.optimizer.ask() for _ in range(n)]
        return np.stack([one.value for one in self.asked])

    def learn(self, rows: np.ndarray, scores: np.ndarray) -> None:
        for one, score in zip(self.asked, scores.tolist(), strict=True):
            self.optimizer.tell(one, score)


class HEBO:
    """Huawei's HEBO (Cowen-Rivers et al., 2022), with its own kinds of hyperparameters."""

    def __init__(self, space: Space, seed: int, batch: int, evaluations: int) -> None:
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO as Optimizer

        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - where HEBO draws from
        self.space = space
        design = DesignSpace().parse([_design(name, parameter) for name, parameter in space.items()])
        self.optimizer = Optimizer(design, scramble_seed=seed)
        self.frame: Any = None

    def ask(self, n: int) -> list[Config]:
        self.frame = self.optimizer.suggest(n_suggestions=n)
        rows = [{name: self._value(name, row[name]) for name in self.space} for _, row in self.frame.iterrows()]
        return [active(self.space, row) for row in rows]

    def tell(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self.optimizer.observe(self.frame, np.asarray(scores, dtype=np.float64)[:, None])

    def teach(self, configs: Sequence[Config], scores: np.ndarray) -> None:
        self.frame = self.optimizer.space.sample(len(configs))
        self.tell(configs, scores)

    def _value(self, name: str, value: Any) -> Any:
        parameter = self.space[name]
        if isinstance(parameter, Choice):
            return parameter.values[int(value)]
        kind: Any = int if isinstance(parameter, Int) else float
        return min(max(kind(value), parameter.low), parameter.high)


def _design(name: str, parameter: Any) -> dict[str, Any]:
    if isinstance(parameter, Choice):
        return {"name": name, "type": "cat", "categories": list(range(len(parameter.values)))}
    kind = {(True, True): "pow_int", (True, False): "int", (False, True): "pow", (False, False): "num"}
    named = kind[isinstance(parameter, Int), parameter.log]
    return {"name": name, "type": named, "lb": parameter.low, "ub": parameter.high}


def _turbo(space: Space, seed: int, batch: int, evaluations: int) -> Searcher:
    from search.turbo import TuRBO

    return TuRBO(space, seed)


class Own:
    """One of vtune's proposers."""

    def __init__(self, proposer: proposers.Proposer) -> None:
        self.ask, self.tell, self.teach = proposer.ask, proposer.tell, proposer.tell


def _own(name: str) -> Callable[[Space, int, int, int], Searcher]:
    return lambda space, seed, batch, evaluations: Own(proposers.make(name, space, seed))


def _gp(acquisition: str) -> Callable[[Space, int, int, int], Searcher]:
    return lambda space, seed, batch, evaluations: Own(proposers.GP(space, seed, acquisition=acquisition))


PEERS: dict[str, tuple[str, Callable[[Space, int, int, int], Searcher]]] = {
    "bayes": ("jax", _own("bayes")),
    "tpe": ("jax", _own("tpe")),
    "random": ("numpy", _own("random")),
    "sobol": ("numpy", _own("sobol")),
    "optuna": ("optuna", Optuna),
    "hyperopt": ("hyperopt", Hyperopt),
    "cmaes": ("cmaes", CMAES),
    "tbpsa": ("nevergrad", TBPSA),
    "hebo": ("hebo", HEBO),
    "turbo": ("botorch", _turbo),
    "logei": ("jax", _gp("logei")),
    "thompson": ("jax", _gp("thompson")),
}
"""Name -> the package that it needs, and how it is made."""

VARIANTS = ("logei", "thompson")
"""Names of those that are parts of another one: compared with it where asked for, and with nobody else."""


def lacking(peer: str) -> str | None:
    """The package that a peer needs and that is not here."""
    package = PEERS[peer][0]
    try:
        importlib.import_module(package)
    except ImportError:
        return package
    return None
