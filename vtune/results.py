"""What a study has found, read from its store: the part of a study that needs neither the task nor JAX's devices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.analysis import hypervolume, non_dominated, reference_point
from vtune.display import cards
from vtune.errors import ResultError
from vtune.records import Trial, TrialState
from vtune.report import Explanation
from vtune.requirement import Requirement, exceeding
from vtune.space import Space
from vtune.store import open_reader
from vtune.variables import read_variables, variables_folder

if TYPE_CHECKING:
    import pandas as pd

    from vtune.plots.namespace import Plots
    from vtune.room import RoomLeft
    from vtune.store import Reader, StudyRecord


class SavedStudy:
    """A study as its store knows it, read-only; `vtune.load` returns one.

    Args:
      reader: an open reader of the store.
      record: the study's record.
      files: folder in which trained variables are kept; None for a store in memory.

    Example:
      >>> import jax.numpy as jnp, vtune
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> study = vtune.tune(task, vtune.Space(x=vtune.Int(-2, 2)), proposer="grid", trials=5, progress="off")
      >>> study.best.config, study.frame()["loss"].tolist()
      ({'x': 0}, [4.0, 1.0, 0.0, 1.0, 4.0])
    """

    def __init__(self, reader: Reader, record: StudyRecord, files: Path | None):
        self._reader = reader
        self._study = record.id
        self._files = files

    @property
    def record(self) -> StudyRecord:
        """The study's record, as it is in the store now."""
        return self._reader.study(self._study)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.name

    @property
    def state(self) -> str:
        """ "created", "running", "complete", "interrupted" or "failed"."""
        return self.record.state

    @property
    def space(self) -> Space:
        """The search space. Constraints are functions and not stored."""
        return Space.from_json(dict(self.record.space))

    @property
    def best(self) -> Trial:
        """The complete trial with the best score, of those that keep to the constraints.

        Raises:
          ResultError: no trial is complete or keeps to the constraints, or there are several objectives (see `front`).
        """
        record = self.record
        if len(record.objectives) > 1:
            names = ", ".join(name for name, _ in record.objectives)
            raise ResultError(f"a study of several objectives ({names}) has no single best trial; see study.front()")
        found = self.top(1)
        if not found:
            raise ResultError(f"no trial of study {record.name!r} is complete yet: {self._counts()}")
        rules, metrics = self.constraints, found[0].metrics
        if not all(rule.holds(metrics) for rule in rules):
            near = ", ".join(f"{rule.metric} {metrics.get(rule.metric, math.nan):g}" for rule in rules)
            raise ResultError(
                f"no complete trial of study {record.name!r} keeps to {' and '.join(map(str, rules))}; the nearest is "
                f"trial {found[0].id} with {near}"
            )
        return found[0]

    @property
    def constraints(self) -> tuple[Requirement, ...]:
        """What results must keep to; see `constraint=` of `vtune.tune`."""
        return tuple(map(Requirement.parse, self.record.choices.get("constraints", ())))

    def top(self, n: int = 5) -> list[Trial]:
        """The n best complete trials, best first; those beyond the constraints follow, the nearest first."""
        rules = self.constraints
        found = self._reader.trials(
            self._study, states=(TrialState.COMPLETE,), order="score", limit=None if rules else n
        )
        if not rules:
            return found
        over = exceeding(rules, [trial.metrics for trial in found])
        order = np.argsort(np.where(np.isnan(over), np.inf, np.maximum(over, 0.0)), kind="stable")
        return [found[place] for place in order[:n].tolist()]

    def front(self) -> pd.DataFrame:
        """The complete trials that no other beats in every objective, as rows of `frame()`.

        Only trials that keep to the constraints are looked at.
        """
        objectives = self.record.objectives
        frame = self.frame()
        frame = frame[frame["state"] == TrialState.COMPLETE]
        for rule in self.constraints:
            frame = frame[rule.excess(frame[rule.metric].to_numpy(float)) <= 0]
        return frame[non_dominated(frame[[name for name, _ in objectives]], [mode for _, mode in objectives])]

    def hypervolume(self, reference: Sequence[float] | None = None) -> float:
        """The volume that the front dominates (Zitzler and Thiele, 1998): how far a study of several metrics has come.

        Args:
          reference: a point that is worse than what counts, a value a metric; a tenth beyond the worst complete trials
            unless given. Compare studies by one reference only.

        Example:
          >>> import jax.numpy as jnp, vtune
          >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x), "size": 3.0 - hp.x})
          >>> space, both = vtune.Space(x=vtune.Int(0, 2)), ["loss", "size"]
          >>> study = vtune.tune(task, space, metric=both, mode="min", proposer="grid", trials=3, progress="off")
          >>> study.front()[both].values.tolist(), study.hypervolume([4.0, 4.0])
          ([[0.0, 3.0], [1.0, 2.0], [4.0, 1.0]], 7.0)
        """
        names, modes = zip(*self.record.objectives, strict=True)
        frame = self.frame()
        complete = frame[frame["state"] == TrialState.COMPLETE][list(names)]
        corner = reference_point(complete, modes) if reference is None else reference
        return hypervolume(self.front()[list(names)], modes, corner)

    def room_left(self) -> RoomLeft:
        """How much more trials could still gain, with its uncertainty, whatever the proposer was.

        A Gaussian process learns all ended trials; the best of the space under draws from it says what there is left.

        Raises:
          ResultError: too few trials have a score.
          ArgumentError: a study of several metrics.

        Example:
          >>> import jax.numpy as jnp, vtune
          >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x - 0.3)})
          >>> study = vtune.tune(task, vtune.Space(x=vtune.Float(0, 1)), trials=16, progress="off")
          >>> room = study.room_left()
          >>> room.best == study.best.score, 0.0 <= room.gain < 0.01
          (True, True)
        """
        from vtune.room import room_left  # brings JAX

        return room_left(self)

    def trials(self, states: Iterable[str] | None = None) -> list[Trial]:
        """All trials by id, or those in the given states."""
        return self._reader.trials(self._study, states=states)

    def trial(self, trial: int) -> Trial:
        """One trial by its id."""
        return self._reader.trial(self._study, trial)

    def frame(self) -> pd.DataFrame:
        """One row a trial: id, state, step, score, origin, one column a hyperparameter, one a metric."""
        return self._reader.frame(self._study)

    def curves(self) -> pd.DataFrame:
        """One row a measurement: trial, step, one column a metric."""
        return self._reader.curves(self._study)

    def placement(self) -> pd.DataFrame:
        """Where and when trials ran: id, state, program, block, lane, started, finished, clock, queued."""
        return self._reader.placement(self._study)

    def to_optuna(self, storage: Any = None, name: str | None = None) -> Any:
        """Writes the study to a storage of Optuna, where optuna-dashboard and Optuna's plots open it.

        Complete trials are complete ones there, stopped ones pruned, diverged ones failed; those that are not over are
        running. Measurements of the metric are intermediate values, other metrics are user attributes. Needs
        `pip install vtune[optuna]`.

        Args:
          storage: a URL ("sqlite:///optuna.db"), a path, or a storage of Optuna; None for one in memory.
          name: of the study there; the same as here unless given.

        Returns:
          The `optuna.Study`.

        Raises:
          StoreError: the storage has a study of that name.
          PackageError: Optuna is not installed.

        Example:
          >>> import jax.numpy as jnp, vtune
          >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
          >>> space = vtune.Space(x=vtune.Int(-2, 2))
          >>> study = vtune.tune(task, space, proposer="grid", trials=5, progress="off")
          >>> study.to_optuna().best_trial.params
          {'x': 0}
        """
        from vtune.exchange.optuna_study import export  # brings Optuna

        return export(self, storage, name)

    def explain(self) -> Explanation:
        """How the trials were trained: what is traced, guarded or packed, the programs, and where the time went."""
        report = self.record.report
        if not report:
            raise ResultError(f"study {self.name!r} has not traced a program yet")
        return Explanation.from_json(report)

    def best_params(self, trial: int | None = None) -> Any:
        """The trained variables of the best trial, or of another one whose variables were kept.

        Args:
          trial: a trial's id; the best by default.

        Returns:
          For `Supervised` what the plain Flax network takes: `model.apply(variables, x)`.

        Raises:
          ResultError: the variables of that trial were not kept (see `keep=` of `vtune.tune`).
        """
        number = self.best.id if trial is None else trial
        variables = read_variables(self._files, number)
        if variables is None:
            raise ResultError(
                f"the variables of trial {number} of study {self.name!r} are not kept; `keep=` sets how many of the "
                "best trials keep theirs, and study.retrain(trial) trains one again"
            )
        return variables

    def _counts(self) -> str:
        counts = self._reader.counts(self._study)
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no trials"

    @property
    def plot(self) -> Plots:
        """Figures of the study for notebooks: `study.plot.history()`, `study.plot.importance()` and others."""
        from vtune.plots.namespace import Plots  # brings Plotly

        return Plots(self._reader, self._study)

    def _repr_html_(self) -> str:
        record, best = self.record, self.top(5)
        goal = ", ".join(f"{mode} {name}" for name, mode in record.objectives)
        names = list(dict.fromkeys(name for trial in best for name in trial.config))
        rows = [(trial.id, trial.score, *(trial.config.get(name) for name in names)) for trial in best]
        return cards.card(
            cards.title(record.name, f"{record.state}; {goal}; {self._counts()}"),
            cards.table(["best trials", "score", *names], rows) if rows else "",
        )

    def __repr__(self) -> str:
        record = self.record
        goal = ", ".join(f"{mode} {name}" for name, mode in record.objectives)
        text = f"Study {record.name!r} ({record.state}; {goal}): {self._counts()}"
        try:
            best = self.best
        except ResultError:
            return text
        return f"{text}\nbest: trial {best.id}, score {best.score:.6g}, {dict(best.config)}"


def load(store: str | Path, name: str) -> SavedStudy:
    """Opens a study read-only, without its task.

    Args:
      store: path or URL of the store.
      name: the study's name.

    Raises:
      StoreError: there is no such store, or no such study in it.

    Example:
      >>> import tempfile, jax.numpy as jnp, vtune
      >>> store = tempfile.mkdtemp() + "/vtune.db"
      >>> task = vtune.Function(lambda hp, key: {"loss": jnp.square(hp.x)})
      >>> study = vtune.tune(
      ...     task, vtune.Space(x=vtune.Float(-1, 1)), trials=8, store=store, name="bowl", progress="off"
      ... )
      >>> study.close()
      >>> vtune.load(store, "bowl").state
      'complete'
    """
    reader = open_reader(store)
    record = reader.study(name)
    return SavedStudy(reader, record, variables_folder(reader.location.path, record.id))
