"""The networks that the accelerator benchmark trains, each small enough that one trial leaves a large chip idle.

Plain single-trial Flax on synthetic data, made from a seed: nothing is downloaded. The products of a network are those
of its forward pass, from which its arithmetic and the limit are counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from peers.problem import TracedDropout

import vtune

BOUNDS = {"lr": (1e-4, 1e-2), "weight_decay": (1e-6, 1e-1), "dropout": (0.01, 0.5)}
ROWS, VALID = 1024, 128
Product = tuple[int, int, int]
"""Rows, inputs and outputs of a matrix product."""


@dataclass(frozen=True)
class Workload:
    """What every driver trains.

    Attributes:
      module: (dropout rate, dropout layer, type of the computation) -> the network.
      inputs: shape of one input.
      classes: the outputs are logits of so many; where there are as many as input values, the inputs are tokens.
      batch: rows a step.
      products: of the forward pass of one batch; the first needs no gradient of its inputs.
      tokens: whether the inputs are whole numbers.
    """

    module: Callable[[Any, Any, Any], nn.Module]
    inputs: tuple[int, ...]
    classes: int
    batch: int
    products: tuple[Product, ...]
    tokens: bool = False

    @property
    def flops(self) -> float:
        """Of the products of a training step: each forward, and its gradients by weights and by inputs."""
        first, *others = (2.0 * rows * inputs * outputs for rows, inputs, outputs in self.products)
        return 2 * first + 3 * sum(others)


class MLP(nn.Module):
    rate: Any
    layer: Any
    dtype: Any
    widths: tuple[int, ...]
    classes: int

    @nn.compact
    def __call__(self, x, train: bool = False):
        for width in self.widths:
            x = nn.relu(nn.Dense(width, dtype=self.dtype)(x))
            x = self.layer(self.rate, deterministic=not train)(x)
        return nn.Dense(self.classes, dtype=self.dtype)(x)


class CNN(nn.Module):
    rate: Any
    layer: Any
    dtype: Any

    @nn.compact
    def __call__(self, x, train: bool = False):
        for channels in (16, 32):
            x = nn.relu(nn.Conv(channels, (3, 3), dtype=self.dtype)(x))
            x = nn.avg_pool(x, (2, 2), (2, 2))
        x = self.layer(self.rate, deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(10, dtype=self.dtype)(x)


class Transformer(nn.Module):
    rate: Any
    layer: Any
    dtype: Any
    width: int = 64
    heads: int = 4
    layers: int = 2
    vocabulary: int = 64

    @nn.compact
    def __call__(self, x, train: bool = False):
        length = x.shape[-1]
        where = self.param("positions", nn.initializers.normal(0.02), (length, self.width))
        x = nn.Embed(self.vocabulary, self.width, dtype=self.dtype)(x) + where.astype(self.dtype)
        mask = nn.make_causal_mask(jnp.ones((1, length)))
        for _ in range(self.layers):
            y = nn.LayerNorm(dtype=self.dtype)(x)
            y = nn.MultiHeadDotProductAttention(self.heads, dtype=self.dtype)(y, mask=mask)
            x = x + self.layer(self.rate, deterministic=not train)(y)
            y = nn.Dense(2 * self.width, dtype=self.dtype)(nn.LayerNorm(dtype=self.dtype)(x))
            x = x + self.layer(self.rate, deterministic=not train)(nn.Dense(self.width, dtype=self.dtype)(nn.gelu(y)))
        return nn.Dense(self.vocabulary, dtype=self.dtype)(x)


def mlp(widths: tuple[int, ...], inputs: int, classes: int, batch: int) -> Workload:
    sizes = (inputs, *widths, classes)
    products = tuple((batch, before, after) for before, after in itertools.pairwise(sizes))
    return Workload(lambda *given: MLP(*given, widths, classes), (inputs,), classes, batch, products)


def transformer(length: int, batch: int) -> Workload:
    width, layers, vocabulary = Transformer.width, Transformer.layers, Transformer.vocabulary
    rows = length * batch
    one = ((rows, width, 3 * width), (rows, width, length), (rows, length, width), (rows, width, width))
    one += ((rows, width, 2 * width), (rows, 2 * width, width))
    products = one * layers + ((rows, width, vocabulary),)
    return Workload(lambda *given: Transformer(*given), (length,), vocabulary, batch, products, tokens=True)


WORKLOADS = {
    "2x64": mlp((64, 64), 64, 10, 64),
    "tiny": mlp((16,), 16, 4, 32),
    "2x512": mlp((512, 512), 64, 10, 64),
    "cnn": Workload(CNN, (8, 8, 1), 10, 64, ((64 * 64, 9, 16), (64 * 16, 144, 32), (64, 128, 10))),
    "transformer": transformer(32, 16),
}


def data_of(work: Workload) -> tuple[Any, Any]:
    """Training and validation examples, (inputs, labels) each, on the host."""
    rng = np.random.default_rng(0)
    if work.tokens:
        text = rng.integers(0, work.classes, (ROWS + VALID, work.inputs[0] + 1)).astype(np.int32)
        x, y = text[:, :-1], text[:, 1:]
    else:
        x = rng.normal(size=(ROWS + VALID, *work.inputs)).astype(np.float32)
        y = x.reshape(len(x), -1)[:, : work.classes].argmax(1).astype(np.int32)
    return (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])


def configs(trials: int) -> dict[str, np.ndarray]:
    """Configurations as float32[trials] a hyperparameter."""
    rng = np.random.default_rng(1)
    return {
        name: np.exp(rng.uniform(np.log(low), np.log(high), trials)).astype(np.float32)
        for name, (low, high) in BOUNDS.items()
    }


def optimizer(lr: Any, weight_decay: Any) -> optax.GradientTransformation:
    return optax.adamw(lr, weight_decay=weight_decay)


def loss(logits: Any, y: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), y).mean()


def whole_run(work: Workload, dtype: Any) -> Callable[..., Any]:
    """A trial from start to end as an expert writes it: run(hp, key, steps, train, valid) -> validation loss."""

    def run(hp: Any, key: Any, steps: Any, train: Any, valid: Any) -> Any:
        module = work.module(hp["dropout"], TracedDropout, dtype)
        tx = optimizer(hp["lr"], hp["weight_decay"])
        init_key, batch_key, dropout_key = jax.random.split(key, 3)
        params = module.init(init_key, train[0][:1])

        def step(number: Any, state: Any) -> Any:
            params, opt = state
            rows = jax.random.randint(jax.random.fold_in(batch_key, number), (work.batch,), 0, ROWS)
            key = jax.random.fold_in(dropout_key, number)

            def loss_of(params: Any) -> Any:
                return loss(module.apply(params, train[0][rows], True, rngs={"dropout": key}), train[1][rows])

            updates, opt = tx.update(jax.grad(loss_of)(params), opt, params)
            return optax.apply_updates(params, updates), opt

        params, _ = jax.lax.fori_loop(0, steps, step, (params, tx.init(params)))
        return loss(module.apply(params, valid[0]), valid[1])

    return run


def task(work: Workload, dtype: Any) -> tuple[vtune.Supervised, vtune.Space]:
    """The same for vtune: the unmodified network with `nn.Dropout`."""
    train, valid = data_of(work)
    given = vtune.Supervised(
        lambda hp: work.module(hp.dropout, nn.Dropout, dtype),
        lambda hp: optimizer(hp.lr, hp.weight_decay),
        train=train,
        valid=valid,
        batch_size=work.batch,
    )
    return given, vtune.Space(**{name: vtune.Float(low, high, log=True) for name, (low, high) in BOUNDS.items()})
