"""The ladder: when a program cannot be traced or lowered with Hypers, demote as few hyperparameters as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vtune.errors import GuardError
from vtune.hyper.guards import refuse_pins
from vtune.hyper.packing import Packing
from vtune.hyper.session import Demotion, Session

if TYPE_CHECKING:
    from vtune.space import Space

Result = TypeVar("Result")
_Names = frozenset[str]
_NONE: _Names = frozenset()


def trace_with_ladder(
    attempt: Callable[[Session], Result],
    exemplar: Mapping[str, Any],
    space: Space,
    packing: Packing = Packing(),
) -> tuple[Session, Result]:
    """Trace and lower a program, with as few hyperparameters demoted as it takes.

    At first all numbers are Hypers. If that fails although plain values work, integers become plain values guarded by
    equality (or bare tracers, if that is enough), then floats become bare tracers, then single floats plain values: one
    alone if that is enough, else all together. What fails with plain values too is the user's own error.

    Args:
      attempt: traces and lowers the program with a session, and returns anything; called once a rung.
      exemplar: the filled config to trace with.
      space: the space that it comes from.
      packing: which hyperparameters packed code may trace.

    Returns:
      The session of the attempt that worked, whose `demotion` says what was demoted, and what the attempt returned.

    Raises:
      GuardError: the program is tied to the exact value of a continuous hyperparameter.
      Exception: the user's own error, with a note that names the config.
    """
    session = Session(exemplar, space, packing=packing)
    try:
        result = attempt(session)
    except GuardError:
        raise
    except Exception as error:
        return _Ladder(attempt, exemplar, space, packing, _first_line(error)).climb()
    refuse_pins(session.guards, space)
    return session, result


class _Ladder(Generic[Result]):
    """The rungs above the first, for one program."""

    def __init__(
        self,
        attempt: Callable[[Session], Result],
        exemplar: Mapping[str, Any],
        space: Space,
        packing: Packing,
        reason: str,
    ) -> None:
        self.attempt = attempt
        self.exemplar = exemplar
        self.space = space
        self.packing = packing
        self.reason = reason

    def climb(self) -> tuple[Session, Result]:
        """The first rung that works; the top one, all plain values, is tried before those between."""
        top = self._session(frozenset(self.space), _NONE)
        try:
            result = self.attempt(top)
        except Exception as error:
            error.add_note(f"vtune: raised with plain Python values too; the config is {dict(self.exemplar)}")
            raise
        read = _NONE.union(*[guard.names for guard in top.guards])
        numbers = {name: top.exemplar[name] for name in top.exemplar if name in read and top.numeric(name)}
        ints = frozenset(name for name, value in numbers.items() if isinstance(value, int))
        for plain, raw in _rungs(ints, frozenset(numbers) - ints, lambda *rung: self._try(*rung) is not None):
            found = self._try(plain, raw)
            if found is not None and plain and plain <= ints:
                found = self._try(_NONE, plain) or found  # an index may be a tracer, and then one program serves all
            if found is not None:
                refuse_pins(found[0].guards, self.space)
                return found
        refuse_pins(top.guards, self.space)
        return top, result

    def _session(self, plain: _Names, raw: _Names) -> Session:
        demotion = Demotion(plain, raw, self.reason)
        return Session(self.exemplar, self.space, demotion=demotion, packing=self.packing)

    def _try(self, plain: _Names, raw: _Names) -> tuple[Session, Result] | None:
        session = self._session(plain, raw)
        try:
            return session, self.attempt(session)
        except GuardError:
            raise
        except Exception:
            return None


def _rungs(ints: _Names, floats: _Names, works: Callable[[_Names, _Names], bool]) -> Iterator[tuple[_Names, _Names]]:
    """What to demote, (plain, raw), fewest first; single integers only if all of them together would do."""
    if ints and (len(ints) == 1 or works(ints, _NONE)):
        yield from ((plain, _NONE) for plain in _alone_then_together(ints))
    for plain in dict.fromkeys((_NONE, ints)):
        yield from ((plain, raw) for raw in _alone_then_together(floats))
    if ints:
        yield _NONE, ints | floats
    for name in sorted(floats):
        yield ints | {name}, _NONE


def _alone_then_together(names: Iterable[str]) -> Iterator[_Names]:
    ordered = sorted(names)
    for name in ordered:
        yield frozenset({name})
    if len(ordered) > 1:
        yield frozenset(ordered)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
