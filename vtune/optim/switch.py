"""One of several Optax transformations, chosen by a hyperparameter in a program that serves every choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from vtune.errors import ArgumentError
from vtune.hyper import keep_choice, plain, resident
from vtune.optim.branches import branches


class SwitchState(NamedTuple):
    """State of whichever transformation was chosen.

    Attributes:
      slots: buffers that the transformations share: for each shape and dtype as many as the one that has most of them.
      hyperparams: the same for hyperparameters that live in their states, as with `optax.inject_hyperparams`.
    """

    slots: tuple[jax.Array, ...]
    hyperparams: tuple[jax.Array, ...] = ()


class _Slots:
    """Which buffer holds which leaf of the state of each transformation."""

    def __init__(self, states: Sequence[Any]):
        flat = [jax.tree_util.tree_flatten_with_path(state) for state in states]
        self.definitions = [definition for _, definition in flat]
        owned = [
            [(leaf.shape, leaf.dtype, resident(jax.tree_util.keystr(path))) for path, leaf in leaves]
            for leaves, _ in flat
        ]
        most: Counter[Any] = Counter()
        for kinds in owned:
            most |= Counter(kinds)
        self.kinds = sorted(most.elements(), key=lambda kind: kind[-1])
        self.places = [self._places(kinds) for kinds in owned]

    def _places(self, kinds: Sequence[Any]) -> list[int]:
        free: dict[Any, list[int]] = {}
        for place, kind in enumerate(self.kinds):
            free.setdefault(kind, []).append(place)
        return [free[kind].pop(0) for kind in kinds]

    def read(self, branch: int, shared: SwitchState) -> Any:
        """The state of a transformation."""
        slots = [*shared.slots, *shared.hyperparams]
        leaves = [slots[place] for place in self.places[branch]]
        return jax.tree.unflatten(self.definitions[branch], leaves)

    def write(self, branch: int, shared: SwitchState, state: Any) -> SwitchState:
        """The shared state with that of a transformation in its places."""
        written = [*shared.slots, *shared.hyperparams]
        leaves, _ = jax.tree.flatten(state)
        for place, leaf in zip(self.places[branch], leaves, strict=True):
            written[place] = leaf
        return self._state(map(_as, written, [dtype for _, dtype, _ in self.kinds]))

    def empty(self) -> SwitchState:
        """What no transformation has written to."""
        return self._state(jax.lax.full(shape, 0, dtype) for shape, dtype, _ in self.kinds)

    def _state(self, slots: Iterable[Any]) -> SwitchState:
        first, flat = sum(not lives for *_, lives in self.kinds), tuple(slots)
        return SwitchState(flat[:first], flat[first:])


def _as(leaf: Any, dtype: Any) -> Any:
    """The leaf as a strongly typed array: all branches must return the same types."""
    extended = jax.dtypes.issubdtype(dtype, jax.dtypes.extended)
    return leaf if extended else jax.lax.convert_element_type(leaf, dtype)


def switch(choice: Any, transformations: Mapping[Any, optax.GradientTransformation]) -> optax.GradientTransformation:
    """The Optax transformation of a name; for a hyperparameter one program serves all names.

    The transformations stand behind one index (`jax.lax.switch`) and share their state: a buffer of some shape and
    dtype belongs to every transformation that needs one like it, so that the state is as large as the largest one.
    Lanes that run one after another compute only what they chose; lanes that run side by side compute all and select.

    Args:
      choice: a name, or a hyperparameter that is a `vtune.Choice`.
      transformations: the transformation of each name. Names that the Choice does not have are ignored.

    Returns:
      The very transformation that was named; for a packed hyperparameter one that gives each lane the updates of its
      own, and hands extra arguments such as `value` to those that take them. Its state is a `SwitchState`.

    Raises:
      ArgumentError: a name without a transformation.

    >>> import jax, optax
    >>> from vtune.hyper import Session
    >>> from vtune.space import Choice, Float, Space
    >>> def first_update(hp):
    ...     tx = switch(hp.optimizer, {"sgd": optax.sgd(hp.lr), "adam": optax.adam(hp.lr)})
    ...     params = {"w": jnp.ones(3)}
    ...     return tx.update({"w": jnp.full(3, 2.0)}, tx.init(params), params)[0]["w"][0]
    >>> session = Session({"optimizer": "sgd", "lr": 0.1}, Space(optimizer=Choice("sgd", "adam"), lr=Float(0, 1)))
    >>> program = jax.jit(jax.vmap(session.bind(first_update))).lower(session.abstract_columns(2)).compile()
    >>> columns = session.layout.encode([{"optimizer": "sgd", "lr": 0.5}, {"optimizer": "adam", "lr": 0.5}])
    >>> program(columns).round(3).tolist(), session.guards
    ([-1.0, -0.5], ())
    """
    for name, given in transformations.items():
        if not isinstance(given, optax.GradientTransformation):
            raise ArgumentError(
                f"`switch` chooses between Optax transformations; {name!r} is a {type(given).__name__}."
            )
    index, chosen = branches(choice, transformations, "a transformation")
    if index is None:
        return chosen[0]
    keep_choice(choice)
    return _switched(index, [optax.with_extra_args_support(each) for each in chosen])


def _switched(
    index: Any, transformations: Sequence[optax.GradientTransformationExtraArgs]
) -> optax.GradientTransformationExtraArgs:
    def slots_for(params: Any) -> _Slots:
        return _Slots([jax.eval_shape(lambda each=each: plain(each.init(params))) for each in transformations])

    def init(params: Any) -> SwitchState:
        shared = slots_for(params)

        def initial(branch: int) -> Callable[[], SwitchState]:
            return lambda: shared.write(branch, shared.empty(), plain(transformations[branch].init(params)))

        state: SwitchState = jax.lax.switch(index, [initial(branch) for branch in range(len(transformations))])
        return state

    def update(updates: Any, state: SwitchState, params: Any = None, **extra: Any) -> tuple[Any, SwitchState]:
        shared = slots_for(updates if params is None else params)

        def updated(branch: int) -> tuple[Any, Any]:
            given = shared.read(branch, state)
            return plain(transformations[branch].update(updates, given, params, **extra))

        results = [jax.eval_shape(lambda branch=branch: updated(branch)[0]) for branch in range(len(transformations))]
        dtypes = jax.tree.map(lambda *leaves: jnp.result_type(*[leaf.dtype for leaf in leaves]), *results)

        def alike(branch: int) -> Callable[[], tuple[Any, SwitchState]]:
            def result() -> tuple[Any, SwitchState]:
                own, after = updated(branch)
                return jax.tree.map(_as, own, dtypes), shared.write(branch, state, after)

            return result

        found: tuple[Any, SwitchState] = jax.lax.switch(index, [alike(each) for each in range(len(transformations))])
        return found

    return optax.GradientTransformationExtraArgs(init, update)
