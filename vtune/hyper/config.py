"""`hp`: how user code reads a config, with the hyperparameters of a program or with plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from vtune.hyper.body import Body


class _Reader(Mapping[str, Any]):
    """Reading by attribute and by item. One `hp` equals only itself, so that modules may hold it."""

    __slots__ = ()

    def _names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _read(self, name: str) -> Any:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._names():
            raise AttributeError(f"hp has no hyperparameter {name!r}; it has {_listed(self._names())}")
        return self._read(name)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names():
            raise KeyError(f"hp has no hyperparameter {name!r}; it has {_listed(self._names())}")
        return self._read(name)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"hp cannot be changed; tried to set {name!r}")

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __copy__(self) -> _Reader:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Reader:
        return self


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


class HP(_Reader):
    """The hyperparameters of a program inside a trace: `Hyper` scalars, strings and plain values. Made by a session."""

    __slots__ = ("_body",)
    _body: Body

    def __init__(self, body: Body) -> None:
        object.__setattr__(self, "_body", body)

    def _names(self) -> tuple[str, ...]:
        return tuple(self._body.session.exemplar)

    def _read(self, name: str) -> Any:
        return self._body.read(name)

    def __repr__(self) -> str:
        return f"HP({_listed(self._names())})"


class PlainHP(_Reader):
    """A filled config read as `hp`, with plain Python values: to train one trial alone, without vtune's machinery.

    Args:
      config: a filled config.

    >>> hp = PlainHP({"lr": 0.1, "depth": 2})
    >>> hp.lr, hp["depth"], dict(hp), hp.get("width", 16)
    (0.1, 2, {'lr': 0.1, 'depth': 2}, 16)
    """

    __slots__ = ("_config",)
    _config: dict[str, Any]

    def __init__(self, config: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_config", dict(config))

    def _names(self) -> tuple[str, ...]:
        return tuple(self._config)

    def _read(self, name: str) -> Any:
        return self._config[name]

    def __repr__(self) -> str:
        return f"PlainHP({self._config})"

    def __reduce__(self) -> tuple[Any, ...]:
        return PlainHP, (self._config,)
