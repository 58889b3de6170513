"""Which hyperparameters a function reads, and what else it may be given of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vtune.hyper import Packing, PlainHP


class _Noting(PlainHP):
    """A plain config that notes what is read."""

    __slots__ = ("_noted",)
    _noted: dict[str, Any]

    def __init__(self, config: Mapping[str, Any], noted: dict[str, Any]) -> None:
        super().__init__(config)
        object.__setattr__(self, "_noted", noted)

    def _read(self, name: str) -> Any:
        self._noted[name] = super()._read(name)
        return self._noted[name]


def variants(
    function: Callable[[Any], Any], config: Mapping[str, Any], space: Any, packing: Packing
) -> list[dict[str, Any]]:
    """The values that a function reads of a config, and the same with each other name that one program may choose.

    >>> from vtune.space import Choice, Float, Space
    >>> space = Space(lr=Float(0.0, 1.0), act=Choice("relu", "tanh"), optimizer=Choice("sgd", "adam"))
    >>> config = {"lr": 0.1, "act": "relu", "optimizer": "sgd"}
    >>> variants(lambda hp: (hp.lr, hp.optimizer), config, space, Packing())
    [{'lr': 0.1, 'optimizer': 'sgd'}, {'lr': 0.1, 'optimizer': 'adam'}]
    """
    read: dict[str, Any] = {}
    function(_Noting(config, read))
    found = [dict(read)]
    for name, value in read.items():
        others = getattr(space[name], "values", ()) if isinstance(value, str) and packing.packs(name) else ()
        found += [{**read, name: other} for other in others if other != value]
    return found
