"""flax.nnx models as a `Network`."""

from __future__ import annotations

from typing import Any

from flax import nnx

from vtune.errors import TaskError
from vtune.tasks.convolution import in_nnx
from vtune.tasks.freezing import leaves, merged, named, pruned
from vtune.tasks.network import mode_arguments


class NnxNetwork:
    """An nnx module. `extra` holds its other variables ("stats": batch statistics and the like; "rngs": its streams).

    The module is built anew in every call, since its static attributes may hold hyperparameters; only its definition
    is used then, and XLA drops the initial values.
    """

    def __init__(self, module: nnx.Module):
        self._module = in_nnx(module)

    def init(self, key: Any, arguments: tuple[Any, ...]) -> tuple[dict[Any, Any], dict[Any, Any]]:
        return self._parts(self._module)

    def apply(
        self, params: Any, extra: Any, arguments: tuple[Any, ...], key: Any, training: bool
    ) -> tuple[Any, dict[Any, Any]]:
        module = nnx.merge(nnx.graphdef(self._module), params, extra["stats"], extra["rngs"])
        module.train() if training else module.eval()
        outputs = module(*arguments, **mode_arguments(module, training))
        if not training:
            return outputs, extra
        _, changed = self._parts(module)
        return outputs, {part: _only(changed[part], extra[part]) for part in extra}

    def given(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        own = {named(path) for path, _ in leaves(self._parts(self._module)[0])}
        return pruned(variables, own.__contains__), {"stats": pruned(variables, lambda path: path not in own)}

    def variables(self, params: Any, extra: Any) -> dict[Any, Any]:
        return merged(params, extra["stats"])

    def restored(self, variables: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
        nnx.update(self._module, variables)
        return self._parts(self._module)

    def _parts(self, module: nnx.Module) -> tuple[dict[Any, Any], dict[Any, Any]]:
        params, rngs, stats = nnx.state(module, nnx.Param, nnx.RngState, ...)
        if not params:
            raise TaskError(f"a model needs nnx.Param variables to train; {type(module).__name__} has none.")
        return nnx.to_pure_dict(params), {"stats": nnx.to_pure_dict(stats), "rngs": nnx.to_pure_dict(rngs)}


def _only(tree: Any, known: Any) -> dict[Any, Any]:
    """Without what a call added (`sow`), so that the state keeps its form."""
    paths = {named(path) for path, _ in leaves(known)}
    return pruned(tree, paths.__contains__)
