"""`HyperStr`: a string of a Choice that still knows which hyperparameter it is, until Python looks at it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vtune.hyper.body import Body


@dataclass(slots=True, eq=False)
class Reading:
    """One reading of a string hyperparameter.

    Attributes:
      name: the hyperparameter.
      body: where it was read.
      looked: whether Python looked at the string.
      packed: whether packed code took the string's position instead.
    """

    name: str
    body: Body
    looked: bool = False
    packed: bool = False

    @property
    def stands(self) -> bool:
        """Whether the equality guard of this reading is needed."""
        return self.looked or not self.packed


class HyperStr(str):
    """The exemplar's string. Any look at it (comparing, hashing, formatting, slicing) keeps its equality guard.

    Packed code that uses the position among the choices instead takes the guard back, unless something looked.
    """

    __slots__ = ("reading",)
    reading: Reading

    def __new__(cls, value: str, reading: Reading) -> HyperStr:
        made = super().__new__(cls, value)
        made.reading = reading
        return made

    def __copy__(self) -> HyperStr:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> HyperStr:
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return str, (str(self),)

    def __radd__(self, other: str) -> str:
        return other + str(self)


_SILENT = {
    "__class__",
    "__delattr__",
    "__dir__",
    "__doc__",
    "__getattribute__",
    "__getnewargs__",
    "__getstate__",
    "__init__",
    "__init_subclass__",
    "__new__",
    "__reduce__",
    "__setattr__",
    "__sizeof__",
    "__subclasshook__",
}


def _looking(name: str) -> Any:
    method = getattr(str, name)

    @functools.wraps(method)
    def looks(self: HyperStr, *args: Any, **kwargs: Any) -> Any:
        self.reading.looked = True
        return method(self, *args, **kwargs)

    return looks


for _name in set(dir(str)) - _SILENT - set(vars(HyperStr)) | {"__hash__", "__eq__"}:
    if callable(getattr(str, _name)) and _name != "maketrans":
        setattr(HyperStr, _name, _looking(_name))
