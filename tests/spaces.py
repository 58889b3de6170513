"""Hypothesis strategies that make search spaces, and a plain reading of what their conditions mean."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vtune.space import Choice, Float, Int, Parameter, Space

VALUES = ("relu", "", "gelu", 1, 0, 2.5, -3, None, (1, 2), ("a", (None, 3.5)), (), 7.25)


@st.composite
def floats(draw: st.DrawFn) -> dict[str, Any]:
    log = draw(st.booleans())
    low = draw(st.floats(1e-12, 1e6) if log else st.floats(-1e6, 1e6))
    high = draw(st.floats(low, low * 1e6) if log else st.floats(low, low + 1e6))
    return {"low": low, "high": high, "log": log}


@st.composite
def steps(draw: st.DrawFn, count: int) -> dict[str, Any]:
    step = draw(st.sampled_from([0.1, 0.25, 1.0, 3.0, 1e-3]))
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -50, 50)) * step
    extra = draw(st.sampled_from([0.0, 0.5]))
    cells = draw(st.integers(1, count - 1))
    return {"low": low, "high": low + (cells + extra) * step, "log": log, "step": step}


@st.composite
def ints(draw: st.DrawFn, count: int) -> dict[str, Any]:
    log = draw(st.booleans())
    step = draw(st.sampled_from([None, 1, 3]))
    low = draw(st.integers(1 if log else -1000, 1000))
    return {"low": low, "high": low + draw(st.integers(0, count - 1)) * (step or 1), "log": log, "step": step}


@st.composite
def spaces(draw: st.DrawFn, most: int = 6, count: int = 1000, continuous: bool = True) -> Space:
    """Spaces of up to `most` hyperparameters, each with up to `count` values unless it is continuous."""
    made: dict[str, Parameter] = {}
    kinds = ["int", "choice", "step"] + (["float"] if continuous else [])
    for position in range(draw(st.integers(1, most))):
        when = draw(conditions(made))
        match draw(st.sampled_from(kinds)):
            case "int":
                parameter: Parameter = Int(**draw(ints(count)), when=when)
            case "step":
                parameter = Float(**draw(steps(count)), when=when)
            case "float":
                parameter = Float(**draw(floats()), when=when)
            case _:
                values = draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=min(count, 5), unique=True))
                parameter = Choice(*values, when=when)
        made[f"p{position}"] = parameter
    names = draw(st.permutations(list(made)))
    return Space(**{name: made[name] for name in names})


@st.composite
def conditions(draw: st.DrawFn, made: dict[str, Parameter]) -> dict[str, Any] | None:
    parents = [name for name, parameter in made.items() if parameter.size is not None and finite(parameter)]
    chosen = draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []
    when = {name: tuple(draw(st.lists(st.sampled_from(finite(made[name])), min_size=1, max_size=3))) for name in chosen}
    return when or None


def finite(parameter: Parameter) -> list[Any]:
    """The first values of a hyperparameter that has distinct ones, read off its arguments."""
    if isinstance(parameter, Choice):
        return list(parameter.values)
    if parameter.step is None and isinstance(parameter, Float):
        return []
    step = parameter.step or 1
    count = min(int((parameter.high - parameter.low) / step + 1e-9) + 1, 50)
    return [parameter.low + k * step for k in range(count)]


def active(space: Space, config: dict[str, Any]) -> set[str]:
    """Names that must be in a config, told one by one from what `when` says."""

    def holds(name: str) -> bool:
        wanted = space[name].when or {}
        return all(holds(parent) and any(same(config[parent], v) for v in values) for parent, values in wanted.items())

    return {name for name in space if holds(name)}


def same(one: Any, other: Any) -> bool:
    """Equality that forgives the last bits of a float with a step."""
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-9 * max(1.0, abs(one))
    return type(one) is type(other) and one == other


def halved(space: Space) -> Space:
    """The same space with a constraint on its first unconditional hyperparameter that about half of it satisfies."""
    name = next(name for name in space if space[name].when is None)
    parameter = space[name]

    def half(config: dict[str, Any]) -> bool:
        if isinstance(parameter, Choice):
            return len(parameter.values) == 1 or config[name] != parameter.values[-1]
        return config[name] <= parameter.default

    return Space(**dict(space), constraints=half)
