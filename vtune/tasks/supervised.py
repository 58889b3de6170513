"""Supervised learning with Flax and Optax as a task: model, optimizer, data, loss and metrics."""

from __future__ import annotations

import contextlib
import copy
import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from vtune.errors import TaskError
from vtune.hyper import Hyper, Packing, PlainHP, Size, packed_size
from vtune.nn import rows as true_rows
from vtune.nn.sizes import count, ledger
from vtune.tasks import batch as batches
from vtune.tasks import evaluation, freezing, losses
from vtune.tasks import metrics as measures
from vtune.tasks.base import Run
from vtune.tasks.data import fingerprint, forms, rows, take
from vtune.tasks.division import Sums, held_apart, k_folds
from vtune.tasks.network import Network, build, plain, takes, takes_rngs
from vtune.tasks.padded_rows import Parts
from vtune.tasks.rehearsal import Rehearsals
from vtune.tasks.sources import classes, divided, label_facts
from vtune.tasks.training import Training, examples, training
from vtune.tasks.unpadded import unpadded

_ORDER, _AUGMENT = 1, 1
_SAMPLE = 256
_shuffled = jax.jit(batches.shuffled, static_argnums=(3, 4))


class Supervised:
    """Trains a Flax model with an Optax optimizer on arrays: a `Task` made of ordinary single-trial parts.

    Batches are any pytree of arrays with one leading axis; `(x, y)` is only the common case. Every epoch visits every
    row once, in an order of the trial's own; batches are always full and run on across the end of an epoch.

    A step returns `batch_loss` and `grad_norm` (global norm of the gradients); a measurement returns `loss` and every
    metric on the validation data, and the same with `train_` on a fixed random part of the training data that is no
    larger than the validation data, all in evaluation mode.

    **The same by hand.** With `init_key = vtune.rng.key(seed, trial, "init")` and `key = vtune.rng.key(seed, trial,
    "model", step)`, a trial is exactly

    - linen: `variables = module.init(init_key, x[:1], train=False)`; nnx: `module = model(hp, nnx.Rngs(init_key))`;
    - step `t` takes the rows `task.indices(init_key, t, batch_size)` of `task.data["train"]`, then `prepare(batch)`,
      then `augment(hp, batch, jax.random.fold_in(key, 1))`;
    - linen: `module.apply(variables, x, train=True, rngs={"dropout": key, "params": jax.random.fold_in(key, 2)},
      mutable=[all collections but params])`; streams of other names fall back on "params", as linen has it;
      nnx: `module.train()`, and the module's own streams advance;
    - the loss is averaged over the batch, and `tx.update(grads, opt_state, params, value=loss, grad=grads,
      value_fn=...)` gets what line searches and plateau schedules ask for.

    The optimizer sees the trainable params as a nested dict at their own paths, so that masks and labels by path work.

    Args:
      model: model(hp) -> flax.linen.Module, or model(hp, rngs) -> flax.nnx.Module. A `__call__` may take `train`,
        `training`, `is_training` or `deterministic`; nnx modules are also switched by `.train()` and `.eval()`.
      optimizer: optimizer(hp) or optimizer(hp, run) -> optax.GradientTransformation; `run` is a `Training`.
      train: training data, pytree of arrays `[rows, ...]`.
      valid: validation data of the same form, or the fraction of the rows in `train` to set aside (stratified where
        the labels are integers).
      test: test data, a fraction as for `valid`, or None. Neither training nor evaluation reads it.
      loss: a name ("cross_entropy", "binary_cross_entropy", "mse", "mae", "huber") or fn(hp, outputs, batch) -> scalar
        or one value a row.
      metrics: names ("accuracy", "top_5_accuracy", "f1" (macro), "auc", "mse", "mae", "rmse", "r2", "n_params") or
        {name: fn(outputs, batch) -> scalar or one value a row, or (sums, finish)}: sums(outputs, batch) -> pytree of
        sums over the batch, finish(total) -> scalar.
      batch_size: rows a step, or fn(hp) -> rows; not more than there are. Sizes that are hyperparameters share a
        program, padded to the largest, where a rehearsal shows that padded rows change nothing (see `rehearsed`).
      inputs: fn(batch) -> what the model is called with; a tuple gives several arguments. By default the first of a
        tuple, or `x`, `input` or `inputs` of a dict, or the whole batch.
      prepare: fn(batch) -> batch, applied inside the program wherever data are read, e.g. uint8 -> float.
      augment: fn(hp, batch, key) -> batch, after `prepare`, in training only; may change labels.
      init: pretrained variables, whole or in part: linen {"params": ..., "batch_stats": ...}; nnx a nested dict or
        nnx.State of the module's variables. What is not given is initialised.
      trainable: fn(path) -> bool over the paths of params (tuples of text). Params that are not trainable must be in
        `init`; they are stored once for all lanes and have neither gradients nor optimizer state. Batch statistics
        are no params: those of a frozen part still follow the data, as in Flax, unless its layers use running averages.
      name: of studies made from this task; None leaves it to vtune.

    **Folds.** `vtune.tune(..., folds=k)` divides all rows of `train` (those of a fractional `valid` too) into k groups;
    row numbers of each are `study.task.folds`. A trial has a replica for each fold.

    Attributes:
      data: {"train", "valid", "subset", "pretrained"}: what `init`, `step` and `evaluate` get as `data`; with folds
        {"train", "order", "fold", "pretrained"}.
      test: the test data, on the host; None if there are none.
      metric_names: every name that `evaluate` returns.

    Raises:
      TaskError: for data, names and options that do not fit, before anything runs.

    Example:
      >>> import types, flax.linen as nn
      >>> x, y = np.random.default_rng(0).normal(size=(50, 4)), np.arange(50) % 2
      >>> task = Supervised(lambda hp: nn.Dense(2), lambda hp: optax.sgd(hp.lr), train=(x, y), loss="cross_entropy",
      ...                   metrics="accuracy", batch_size=10)
      >>> hp = types.SimpleNamespace(lr=0.1)
      >>> state = task.init(hp, task.data, jax.random.key(0))
      >>> state, info = task.step(hp, state, task.data, jax.random.key(1))
      >>> sorted(info), sorted(task.evaluate(hp, state, task.data, jax.random.key(2)))
      (['batch_loss', 'grad_norm'], ['accuracy', 'loss', 'train_accuracy', 'train_loss'])
    """

    def __init__(
        self,
        model: Callable[..., Any],
        optimizer: Callable[..., optax.GradientTransformation],
        *,
        train: Any,
        valid: Any = 0.2,
        test: Any = None,
        loss: str | losses.Loss = "cross_entropy",
        metrics: Any = (),
        batch_size: int | Callable[[Any], Any] = 64,
        inputs: Callable[[Any], Any] | None = None,
        prepare: Callable[[Any], Any] | None = None,
        augment: Callable[[Any, Any, Any], Any] | None = None,
        init: Any = None,
        trainable: Callable[[freezing.Path], bool] | None = None,
        name: str | None = None,
    ):
        functions = {"model": model, "optimizer": optimizer, "inputs": inputs, "prepare": prepare, "augment": augment}
        for option, function in {**functions, "trainable": trainable}.items():
            required = option in ("model", "optimizer")
            unwrapped = required and isinstance(function, linen.Module | nnx.Module)
            if unwrapped or (not callable(function) and (required or function is not None)):
                hint = " Wrap it: `lambda hp: ...`." if required else ""
                raise TaskError(f"{option} must be a function; it is {function!r:.80}.{hint}")
        self.name = name
        self.run: Run | None = None
        self.notes: Mapping[str, str] = {}
        self.packed: frozenset[str] = frozenset()
        self._packs_rows = False
        self._rehearsals = Rehearsals()
        self._model, self._optimizer = model, optimizer
        self._inputs, self._prepare, self._augment = inputs or batches.default_inputs, prepare, augment
        self._trainable = trainable
        sources = divided(train, valid, test, finite=prepare is None)
        self.test, self._whole = sources.test, sources.whole
        self._batch_size = batch_size if callable(batch_size) else _batch_size(batch_size, rows(sources.train))
        facts = label_facts(loss, sources.sets, prepared=prepare is not None)
        self._loss = losses.resolve(loss, facts.top)
        self._resolve = functools.partial(measures.resolve, binary=loss == "binary_cross_entropy", centre=facts.centre)
        self._metrics = self._resolve(metrics)
        self._names = {"loss": loss if isinstance(loss, str) else _qualified(loss), "metrics": list(self._metrics)}
        self._division, data = held_apart(sources.train, sources.valid)
        self.data = {**data, "pretrained": None if init is None else plain(init, takes_rngs(model))}

    def for_run(self, run: Run) -> Supervised:
        """A copy that tells `optimizer(hp, run)` how long trials train."""
        task = copy.copy(self)
        task.run = run
        task._rehearsals = Rehearsals()
        return task

    def measuring(self, names: Iterable[str]) -> Supervised:
        """A copy that also measures those of some metrics that are known by name, as a study that tunes one asks."""
        missing = [name for name in names if name in measures.NAMES and name not in self._metrics]
        if not missing:
            return self
        task = copy.copy(self)
        task._metrics = {**self._metrics, **self._resolve(missing)}
        task._names = {**self._names, "metrics": list(task._metrics)}
        task._rehearsals = Rehearsals()
        return task

    def for_folds(self, folds: int, seed: int) -> Supervised:
        """A copy that trains in k-fold cross-validation on all rows but the test data, validation data among them.

        A trial of fold k trains on all groups of rows but group k, and is measured on group k, its `train_` metrics on
        the next group. Integer labels are spread evenly over the groups.

        Args:
          folds: how many groups.
          seed: of the division.

        Raises:
          TaskError: numbers of groups that cannot be.
        """
        task = copy.copy(self)
        whole = self._whole()
        task._division = divided = k_folds(rows(whole), folds, classes(whole), seed)
        if isinstance(self._batch_size, int):
            _batch_size(self._batch_size, divided.fewest)
        data = {"train": whole, "order": divided.order, "fold": np.int32(0)}
        task.data = {**data, "pretrained": self.data["pretrained"]}
        task._rehearsals = Rehearsals()
        return task

    @property
    def folds(self) -> list[np.ndarray]:
        """Rows of `data["train"]` that each fold is measured on, as `for_folds` divides them; empty without folds."""
        return list(getattr(self._division, "groups", ()))

    def fold(self, data: Any, number: Any) -> Any:
        """The data as one fold sees them; the number may be traced."""
        return {**data, "fold": jnp.asarray(number, jnp.int32)}

    def steps_for(self, config: Mapping[str, Any], amount: float, unit: str) -> float:
        """Steps, a fraction if need be, that a config takes for an amount of "epochs" or "examples".

        Args:
          config: a filled config.
          amount: how much, in `unit`.
          unit: "epochs" or "examples".
        """
        return examples(amount, unit, self._division.most) / self._rows_a_step(PlainHP(config)).value

    def rehearsed(self, config: Mapping[str, Any], space: Any, packing: Packing, key: Any) -> Supervised:
        """A copy that has tried what may be packed in the program of a config.

        The packed network must be the small one, padded in known places, and the optimizer must not see the padding.
        The batch size is packed only if padded rows leave the loss, the gradients and the other variables as they are;
        else `notes` says why not.

        Args:
          config: a filled config.
          space: where it comes from.
          packing: what the program packs.
          key: a trial's key, of the generator that the trials use.

        Raises:
          TaskError: padding that would change what is trained, and what to do about it.
        """
        task, padded = copy.copy(self), copy.copy(self)
        padded._packs_rows = True
        found = self._rehearsals.find(self._parts(), padded._parts(), config, space, packing, key)
        task._packs_rows, task.notes, task.packed = found.packs_rows, found.notes, found.packed
        return task

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The names that `evaluate` returns."""
        measured = ["loss", *(name for name, metric in self._metrics.items() if metric is not None)]
        constant = [name for name, metric in self._metrics.items() if metric is None]
        return (*measured, *(f"train_{name}" for name in measured), *constant)

    def init(self, hp: Any, data: Any, key: Any) -> dict[str, Any]:
        """Makes a fresh state: {"params", "extra", "opt", "used", "order"}, all plain arrays in dicts.

        Args:
          hp: hyperparameters, handed to the user's functions.
          data: `task.data`.
          key: the trial's "init" key.
        """
        network, params, extra = self._fresh(hp, data, key)
        params, extra = freezing.filled(params, extra, *network.given(data["pretrained"] or {}), self._is_trainable)
        params = freezing.pruned(params, self._is_trainable)
        if not params:
            raise TaskError("trainable= must be true for at least one path of the model's params; it is for none.")
        return {
            "params": params,
            "extra": extra,
            "opt": self._transformation(hp).init(params),
            "used": jnp.zeros(2, jnp.uint32),
            "order": jax.random.fold_in(key, _ORDER),
        }

    def step(self, hp: Any, state: dict[str, Any], data: Any, key: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Trains on one batch; returns the next state and {"batch_loss", "grad_norm"}."""
        size, total = self._rows_a_step(hp), self._division.trained(data)
        epoch, used = state["used"]
        places = batches.shuffled(state["order"], epoch, used, size.cap, total)
        batch = take(data["train"], self._division.row(data, places))
        loss = self._objective(hp, state["extra"], data["pretrained"], batch, size, key)
        (value, extra), gradients = jax.value_and_grad(loss, has_aux=True)(state["params"])
        updates, opt = optax.with_extra_args_support(self._transformation(hp)).update(
            gradients, state["opt"], state["params"], value=value, grad=gradients, value_fn=lambda each: loss(each)[0]
        )
        seen = used + jnp.asarray(size.value, jnp.uint32)
        over = seen >= total
        following = {
            "params": optax.apply_updates(state["params"], updates),
            "extra": extra,
            "opt": opt,
            "used": jnp.stack([epoch + over, jnp.where(over, seen - total, seen)]).astype(jnp.uint32),
            "order": state["order"],
        }
        return following, {"batch_loss": value, "grad_norm": optax.global_norm(gradients)}

    def evaluate(self, hp: Any, state: dict[str, Any], data: Any, key: Any) -> dict[str, Any]:
        """Measures the state on the validation data and on the subset of the training data."""
        network = build(self._model, hp, key)
        params = freezing.merged(self._frozen(network, data["pretrained"]), state["params"])
        valid, train = self._measure(
            hp, network, params, state["extra"], lambda sums: self._division.totals(sums, data, key)
        )
        constant = {name: self._n_params(hp, data, key) for name, metric in self._metrics.items() if metric is None}
        return {**valid, **{f"train_{name}": value for name, value in train.items()}, **constant}

    def variables(self, hp: Any, state: dict[str, Any], data: Any) -> dict[str, Any]:
        """The trained variables, frozen ones included, as the plain Flax model takes them: without padding.

        linen: `{"params": ..., "batch_stats": ...}` for `module.apply`. nnx: a nested dict of the module's variables
        without its random streams, for `nnx.update(module, variables)`.
        """
        key = jax.random.key(0)
        network = build(self._model, hp, key)
        params = freezing.merged(self._frozen(network, data["pretrained"]), state["params"])
        small_params, small_extra = jax.eval_shape(lambda: self._fresh(hp, data, key)[1:])
        return network.variables(unpadded(params, small_params), unpadded(state["extra"], small_extra))

    def test_metrics(self, hp: Any, variables: Any, key: Any = None, stacked: bool = False) -> dict[str, Any]:
        """Loss and metrics of trained variables on the test data.

        Args:
          hp: the trial's hyperparameters, as plain values with attributes.
          variables: as `variables` gives them (`Study.best_params()`).
          key: for models that draw random numbers in evaluation; fixed by default.
          stacked: whether the variables have a leading axis of folds and seeds; values are arrays `[replicas]` then.

        Raises:
          TaskError: when the task has no test data.
        """
        if self.test is None:
            raise TaskError("test_metrics needs test data; this task has none. Pass test= to Supervised.")
        key = jax.random.key(0) if key is None else key

        def measure(variables: Any, rows_: Any) -> dict[str, Any]:
            network = build(self._model, hp, key)
            params, extra = network.restored(variables)
            return self._measure(hp, network, params, extra, lambda sums: evaluation.totals(sums, [rows_], key))[0]

        run = (lambda trees, rows_: jax.lax.map(lambda tree: measure(tree, rows_), trees)) if stacked else measure
        found = jax.jit(run)(variables, self.test)
        return {name: np.asarray(value) if stacked else float(value) for name, value in found.items()}

    def indices(self, init_key: Any, step: int, batch_size: int, fold: int = 0) -> Any:
        """The rows of `data["train"]` that a step sees, for training by hand.

        Args:
          init_key: the trial's "init" key.
          step: number of steps done before.
          batch_size: rows a step.
          fold: number of the fold, where there are folds.

        Returns:
          Indices `[batch_size]`.
        """
        data = self.fold(self.data, fold)
        total = int(self._division.trained(data))
        epoch, used = divmod(step * batch_size, total)
        places = _shuffled(jax.random.fold_in(init_key, _ORDER), epoch, used, batch_size, total)
        return self._division.row(data, places)

    def describe(self) -> dict[str, Any]:
        """What must not change between a study and its resumption, as JSON values."""
        sizes = self._batch_size if isinstance(self._batch_size, int) else _qualified(self._batch_size)
        optional = {"inputs": self._inputs, "prepare": self._prepare, "augment": self._augment}
        return {
            "task": "Supervised",
            "model": _qualified(self._model),
            "optimizer": _qualified(self._optimizer),
            **{name: function and _qualified(function) for name, function in optional.items()},
            "trainable": self._trainable and _qualified(self._trainable),
            **self._names,
            "batch_size": sizes,
            "data": {part: {"leaves": forms(each), "hash": fingerprint(each)} for part, each in self.data.items()},
        }

    def _rows_a_step(self, hp: Any) -> Size:
        total = self._division.fewest
        given = self._batch_size(hp) if callable(self._batch_size) else self._batch_size
        size = packed_size(given) if self._packs_rows and isinstance(given, Hyper) else None
        length = _batch_size(given if size is None else size.cap, total)
        return Size(length, length) if size is None else size

    def _transformation(self, hp: Any) -> Any:
        if not takes("run", self._optimizer):
            return self._optimizer(hp)
        if self.run is None:
            raise TaskError(
                "optimizer(hp, run) needs to know the run: call task.for_run(Run(steps, eval_every)) first."
            )
        size = self._rows_a_step(hp)
        told: Training = training(self.run, size.hyper if size.packed else size.value, self._division.most)
        return self._optimizer(hp, told)

    def _fresh(self, hp: Any, data: Any, key: Any) -> tuple[Network, dict[Any, Any], dict[Any, Any]]:
        """The network, and its params and other variables as it makes them."""
        network = build(self._model, hp, key)
        one = jax.tree.map(lambda leaf: jnp.asarray(leaf[:1]), data["train"])
        return network, *network.init(key, self._arguments(self._prepared(one)))

    def _objective(self, hp: Any, extra: Any, pretrained: Any, batch: Any, size: Size, key: Any) -> Callable[..., Any]:
        """The function params -> (loss, next extra) of a batch as it lies in the data, `size.cap` rows."""
        batch = self._prepared(batch)
        if self._augment is not None:
            batch = self._augment(hp, batch, jax.random.fold_in(key, _AUGMENT))
        network = build(self._model, hp, key)
        frozen = self._frozen(network, pretrained)

        def loss(params: Any) -> tuple[Any, Any]:
            whole = freezing.merged(frozen, params)
            with true_rows.packed(size) if size.packed else contextlib.nullcontext():
                outputs, following = network.apply(whole, extra, self._arguments(batch), key, training=True)
            return self._loss(hp, outputs, batch, size), following

        return loss

    def _parts(self) -> Parts:
        """What is rehearsed."""

        def fresh(hp: Any, key: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
            _, params, extra = self._fresh(hp, self.data, key)
            return freezing.pruned(params, self._is_trainable), extra

        return Parts(
            batch_size=self._batch_size,
            rows=self._rows_a_step,
            fresh=fresh,
            objective=lambda hp, extra, *given: self._objective(hp, extra, self.data["pretrained"], *given),
            optimizer=self._transformation,
            train=self.data["train"],
        )

    def _n_params(self, hp: Any, data: Any, key: Any) -> Any:
        """How many params the network has, without padding."""
        with ledger() as made:
            _, params, _ = self._fresh(hp, data, key)
        return jnp.float32(sum(count(made.sizes(leaf)) for leaf in jax.tree.leaves(params)))

    def _prepared(self, batch: Any) -> Any:
        return batch if self._prepare is None else self._prepare(batch)

    def _arguments(self, batch: Any) -> tuple[Any, ...]:
        given = self._inputs(batch)
        return given if isinstance(given, tuple) else (given,)

    def _is_trainable(self, path: freezing.Path) -> bool:
        return self._trainable is None or bool(self._trainable(path))

    def _frozen(self, network: Network, pretrained: Any) -> dict[Any, Any]:
        if self._trainable is None or pretrained is None:
            return {}
        params, _ = network.given(pretrained)
        return freezing.pruned(params, lambda path: not self._is_trainable(path))

    def _measure(
        self, hp: Any, network: Network, params: Any, extra: Any, totals: Callable[[Sums], list[Any]]
    ) -> list[dict[str, Any]]:
        loss = measures.average("loss", lambda outputs, batch: self._loss(hp, outputs, batch))
        every = {"loss": loss} | {name: metric for name, metric in self._metrics.items() if metric is not None}

        def sums(batch: Any, batch_key: Any) -> dict[str, Any]:
            batch = self._prepared(batch)
            outputs, _ = network.apply(params, extra, self._arguments(batch), batch_key, training=False)
            return {name: metric.sums(outputs, batch) for name, metric in every.items()}

        return [{name: metric.finish(total[name]) for name, metric in every.items()} for total in totals(sums)]


def _batch_size(given: Any, total: int) -> int:
    if isinstance(given, bool | float | str) or not hasattr(given, "__index__"):
        raise TaskError(f"batch_size must be a whole number or fn(hp) that returns one; it is {given!r:.80}.")
    size = operator.index(given)
    if not 1 <= size <= total:
        raise TaskError(f"batch_size must lie between 1 and the rows of training data ({total}); it is {size}.")
    return size


def _qualified(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))
