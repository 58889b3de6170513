"""What more trials could still gain, by what a model has learned from those there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtune.driver.told import told
from vtune.errors import ArgumentError, ResultError

if TYPE_CHECKING:
    from vtune.results import SavedStudy


@dataclass(frozen=True, slots=True)
class RoomLeft:
    """How much better than the best trial the best of the space may be.

    Attributes:
      best: the best score so far.
      gain: by how much it may still be bettered, at least 0; the mean over draws from the model.
      deviation: of the gain over these draws.
      trials: trials that the model learned from.

    Example:
      >>> room = RoomLeft(best=0.97, gain=0.004, deviation=0.002, trials=256)
      >>> room
      best 0.97; more trials may gain 0.004 ± 0.002, a model of 256 trials expects
    """

    best: float
    gain: float
    deviation: float
    trials: int

    def __repr__(self) -> str:
        may = f"more trials may gain {self.gain:.2g} ± {self.deviation:.2g}"
        return f"best {self.best:.6g}; {may}, a model of {self.trials:,} trials expects"


def room_left(study: SavedStudy) -> RoomLeft:
    """Asks a Gaussian process that knows a study's trials; see `SavedStudy.room_left`."""
    from vtune.proposers.gp import GP  # brings JAX

    record = study.record
    if len(record.objectives) > 1:
        raise ArgumentError("room_left needs a study of one metric; of several, look at how study.hypervolume() grows")
    known = told(study)
    gp = GP(study.space, record.seed)
    gp.tell(known.configs, known.scores[:, 0], known.steps, known.excess)
    promise = gp.promise()
    if promise is None:
        raise ResultError(
            f"the model needs {gp.start} trials with a score to say what more could gain; study {study.name!r} has "
            f"{int((known.scores == known.scores).sum())}"
        )
    return RoomLeft(study.best.score or 0.0, *promise, trials=known.trials)
