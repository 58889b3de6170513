"""The cases that packed modules of every shell must pass, and a training loop to compare networks by.

A shell is a module with two tables of models, PACKED and PLAIN, by the name of the case's network.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from nn import shell_linen, shell_nnx
from nn.lanes import in_lanes

from vtune.hyper import Packing, PlainHP
from vtune.nn.sizes import ledger, masked
from vtune.rng import implementation
from vtune.space import Choice, Float, Int, Space
from vtune.tasks.network import build

SHELLS = {"linen": shell_linen, "nnx": shell_nnx}
STEPS = 50
WIDTHS = (10, 30, 50, 70, 90)
CAPS = (90, 128)

OPTIMIZERS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "sgd": lambda hp: optax.sgd(hp.lr, 0.9),
    "adam": lambda hp: optax.adam(hp.lr / 10),
    "clipped": lambda hp: optax.chain(
        optax.clip_by_global_norm(0.5), optax.add_decayed_weights(0.01), optax.sgd(hp.lr, 0.9)
    ),
}


@dataclass(frozen=True)
class Case:
    """A sweep over structure.

    Attributes:
      network: name of the network, a key of the shell's tables.
      space: what varies.
      width: which of the names is the width.
      configs: one a lane.
      optimizers: which to train it with.
    """

    network: str
    space: Space
    width: str
    configs: tuple[Mapping[str, Any], ...]
    optimizers: tuple[str, ...] = ("sgd",)


def _configs(lanes: int = len(WIDTHS), **columns: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    return tuple({name: column[lane % len(column)] for name, column in columns.items()} for lane in range(lanes))


_RATE = Float(0.001, 1.0, log=True)
CASES = {
    "structure": Case(
        "mlp",
        Space(
            features=Int(8, 128),
            depth=Int(1, 3),
            activation=Choice("relu", "tanh", "gelu", "sigmoid"),
            dropout=Float(0.0, 0.5),
            kernel_init=Choice("he_normal", "lecun_normal", "glorot_uniform", "orthogonal"),
            lr=_RATE,
        ),
        "features",
        _configs(
            features=WIDTHS,
            depth=(1, 3, 2, 3, 2),
            activation=("tanh", "relu", "sigmoid", "gelu"),
            dropout=(0.3, 0.0, 0.5),
            kernel_init=("he_normal", "orthogonal", "lecun_normal", "glorot_uniform"),
            lr=(0.1, 0.05, 0.2, 0.03),
        ),
        ("sgd", "adam"),
    ),
    "residual": Case(
        "mlp",
        Space(features=Int(8, 128), depth=Int(1, 3), residual=Choice(True), norm=Choice("layer"), lr=_RATE),
        "features",
        _configs(3, features=(90, 30, 10), depth=(2, 3, 1), residual=(True,), norm=("layer",), lr=(0.1, 0.2)),
        ("clipped",),
    ),
    "layers": Case(
        "layers",
        Space(width=Int(8, 128), rate=Float(0.0, 0.5), lr=_RATE),
        "width",
        _configs(2, width=(30, 90), rate=(0.2, 0.0), lr=(0.1,)),
    ),
    "norms": Case(
        "mlp",
        Space(
            features=Int(8, 128),
            depth=Int(1, 3),
            dropout=Float(0.0, 0.5),
            norm=Choice("batch", "none", "layer", "rms"),
            lr=_RATE,
        ),
        "features",
        _configs(
            4,
            features=(50, 10, 30, 90),
            depth=(2, 1),
            dropout=(0.1,),
            norm=("batch", "rms", "layer", "none"),
            lr=(0.1,),
        ),
        ("clipped",),
    ),
}
RUNS = [(shell, name, optimizer) for shell in SHELLS for name, case in CASES.items() for optimizer in case.optimizers]
QUICK = {
    ("linen", "structure", "adam"),
    *((shell, *run) for shell in SHELLS for run in (("layers", "sgd"), ("norms", "clipped"))),
}


@dataclass(frozen=True)
class Result:
    """What the lanes of a packed program, or one small network, did.

    Attributes:
      params: path -> initial values.
      extra: path -> what the network changes by itself, such as statistics, after training.
      sizes: path -> true length of each axis, for params and extra.
      outputs: of the trained network, not in training.
      losses: before each step.
      norms: global norm of the gradients at each step.
      outside: largest gradient of padding at each step.
      trained: path -> values after training.
      count: true number of params.
    """

    params: dict[str, Any]
    extra: dict[str, Any]
    sizes: dict[str, Any]
    outputs: Any
    losses: Any
    norms: Any
    outside: Any
    trained: dict[str, Any]
    count: Any

    def lane(self, at: int) -> Result:
        """One trial of a packed program, without padding."""
        one = jax.tree.map(lambda array: array[at], vars(self))
        for field in ("params", "extra", "trained"):
            one[field] = {path: _true(array, one["sizes"][path]) for path, array in one[field].items()}
            one[field] = {path: array for path, array in one[field].items() if array.size}
        return Result(**one)


def _true(array: Any, sizes: Any) -> Any:
    if (np.asarray(sizes) == 0).any():
        return np.zeros(0)
    return np.asarray(array)[tuple(slice(0, int(size)) for size in sizes)]


@functools.cache
def packed(shell: str, name: str, optimizer: str, cap: int) -> tuple[Result, Any]:
    """All lanes of a case in one program whose widths go up to the cap, and its session."""
    case = CASES[name]
    packing = Packing(intervals={case.width: (8, cap)})
    run = functools.partial(train, SHELLS[shell].PACKED[case.network], optimizer)
    found, session = in_lanes(run, case.space, list(case.configs), packing=packing)
    return Result(**jax.tree.map(np.asarray, found)), session


@functools.cache
def small(shell: str, name: str, optimizer: str) -> list[Result]:
    """Each config of a case alone, as a small network of ordinary Flax."""
    case = CASES[name]
    run = functools.partial(train, SHELLS[shell].PLAIN[case.network], optimizer)
    found = [jax.jit(functools.partial(run, PlainHP(config)))() for config in case.configs]
    return [Result(**jax.tree.map(np.asarray, each)) for each in found]


def train(model: Any, optimizer: str, hp: Any, given: Any = None) -> dict[str, Any]:
    key = jax.random.key(3, impl=implementation("pcg"))
    begin, draw, *_ = jax.random.split(key, 3)
    x, y = jax.random.normal(draw, (12, 5)), jnp.arange(12) % 3
    with ledger() as made:
        network = build(model, hp, begin)
        params, extra = network.init(begin, (x,))
        sizes = jax.tree.map(made.sizes, (params, extra))

    def loss(params: Any, extra: Any, key: Any) -> Any:
        outputs, changed = network.apply(params, extra, (x,), key, True)
        return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean(), (outputs, changed)

    transformation = OPTIMIZERS[optimizer](hp)

    def step(carry: Any, at: Any) -> Any:
        params, extra, state = carry
        (value, (_, extra)), grads = jax.value_and_grad(loss, has_aux=True)(params, extra, jax.random.fold_in(key, at))
        updates, state = transformation.update(grads, state, params)
        outside = jax.tree.map(lambda grad, size: jnp.abs(grad - masked(grad, size)).max(), grads, sizes[0])
        largest = jnp.max(jnp.stack(jax.tree.leaves(outside)))
        return (optax.apply_updates(params, updates), extra, state), (value, optax.global_norm(grads), largest)

    carry = params, extra, transformation.init(params)
    (trained, changed, _), (losses, norms, outside) = jax.lax.scan(step, carry, jnp.arange(STEPS))
    arrays, sizes = (params, _statistics(extra)), (sizes[0], _statistics(sizes[1]))
    lengths = jax.tree.map(lambda _, size: jnp.stack([jnp.int32(axis.value) for axis in size]), arrays, sizes)
    return {
        "params": _by_path(params),
        "extra": _by_path(_statistics(changed)),
        "sizes": _by_path(lengths[0]) | _by_path(lengths[1]),
        "outputs": network.apply(trained, changed, (x,), key, False)[0],
        "losses": losses,
        "norms": norms,
        "outside": outside,
        "trained": _by_path(trained),
        "count": sum(jnp.prod(length) for length in jax.tree.leaves(lengths[0])),
    }


def _statistics(extra: dict[str, Any]) -> dict[str, Any]:
    return {name: tree for name, tree in extra.items() if name != "rngs"}


def _by_path(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
