"""flax.linen models as a `Network`."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen

from vtune.errors import TaskError
from vtune.tasks.convolution import in_linen
from vtune.tasks.network import mode_arguments

_OTHER_STREAMS = 2


class LinenNetwork:
    """A linen module. `extra` holds its mutable collections (batch statistics and others) by name.

    Collections that grow with every call (what `sow` makes: tuples) are not carried.
    """

    def __init__(self, module: linen.Module):
        self._module = module

    def init(self, key: Any, arguments: tuple[Any, ...]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        variables = self._module.init(key, *arguments, **mode_arguments(self._module, False))
        variables = dict(linen.meta.unbox(variables))
        params = variables.pop("params", None)
        if not params:
            raise TaskError(f"a model needs params to train; {type(self._module).__name__} has none.")
        return params, {name: tree for name, tree in variables.items() if not _grows(tree)}

    def apply(
        self, params: Any, extra: Any, arguments: tuple[Any, ...], key: Any, training: bool
    ) -> tuple[Any, dict[Any, Any]]:
        variables = {"params": params, **extra}
        streams = {"dropout": key, "params": jax.random.fold_in(key, _OTHER_STREAMS)}
        mode = mode_arguments(self._module, training)
        with in_linen():
            if not training:
                return self._module.apply(variables, *arguments, rngs=streams, **mode), extra
            outputs, changed = self._module.apply(variables, *arguments, rngs=streams, mutable=list(extra), **mode)
        return outputs, {**extra, **changed}

    def given(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        return variables.get("params", {}), {name: tree for name, tree in variables.items() if name != "params"}

    def variables(self, params: Any, extra: Any) -> dict[Any, Any]:
        return {"params": params, **extra}

    def restored(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        return self.given(variables)


def _grows(tree: Any) -> bool:
    return any(isinstance(leaf, tuple) for leaf in jax.tree.leaves(tree, is_leaf=lambda each: isinstance(each, tuple)))
